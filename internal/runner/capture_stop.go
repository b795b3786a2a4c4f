package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lab/gpu"
	"lab/internal/box"
	"lab/internal/lab"
	"lab/profiling"
	"lab/supervisor"
)

// turnOff closes the window and waits until the files are whole. What counts is on the disk: a server that answers with an
// error may have written everything, and one that answers well may still be writing.
func (c *capture) turnOff(ctx context.Context, base int) error {
	if made := c.engine.last.steps - base; base > 0 {
		c.record.Steps = &made
	}
	asked := c.now()
	if !c.setup.Bounded {
		c.until = asked
	}
	answered := make(chan supervisor.ProfilerReply, 1)
	go func() { answered <- supervisor.AskProfiler(ctx, c.access, false) }()
	answer := c.showGrowth(answered)
	c.record.Stop = reply(asked, c.now(), answer)
	if ctx.Err() != nil {
		return cut(ctx, "while the server wrote its traces")
	}
	if err := c.awaitFiles(ctx, answer); err != nil {
		return err
	}
	c.record.FilesAt = c.now()
	c.record.Took = c.record.FilesAt - asked
	if !c.record.Stop.OK() {
		c.record.Remarks = append(c.record.Remarks, fmt.Sprintf("the server answered the stop with %s, though its files are whole", said(answer)))
	}
	return nil
}

func said(r supervisor.ProfilerReply) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return fmt.Sprintf("status %d %s", r.Status, r.Text)
}

// showGrowth shows how much has been written until the answer comes.
func (c *capture) showGrowth(answered <-chan supervisor.ProfilerReply) supervisor.ProfilerReply {
	tick := time.NewTicker(pollFiles)
	defer tick.Stop()
	for {
		c.busy.Store(int64(c.now()))
		select {
		case answer := <-answered:
			c.busy.Store(int64(c.now()))
			return answer
		case <-tick.C:
			c.growth()
		}
	}
}

// growth shows how much there is and says whether it changed since the last look.
func (c *capture) growth() bool {
	size, changed, err := c.folder.Look()
	if err != nil {
		return false
	}
	c.job.status.detail(fmt.Sprintf("%.1f MB so far", float64(size)/1e6))
	return changed
}

// awaitFiles waits until every file that is expected is whole. It gives up when nothing has grown for the hang timeout.
func (c *capture) awaitFiles(ctx context.Context, answer supervisor.ProfilerReply) error {
	patience := max(time.Duration(c.job.run.Experiment.Server.HangTimeout), time.Second)
	last := c.now()
	for {
		files, err := c.folder.Files(ctx)
		if err != nil {
			return err
		}
		workers, frontends := profiling.Traces(files)
		if workers >= c.setup.Workers && (!c.setup.Frontend || frontends > 0) {
			return nil
		}
		if c.now()-last > patience {
			why := missingTraces(files, c.setup, workers)
			if answer.Err != nil || answer.Status/100 != 2 {
				return fmt.Errorf("the server answered the stop with %s, and %s", said(answer), why)
			}
			return fmt.Errorf("%s, and nothing has grown for %s", why, patience)
		}
		select { // the end of the load is no reason to stop waiting
		case <-ctx.Done():
			return cut(ctx, "while the server wrote its traces")
		case <-time.After(pollFiles):
		}
		c.busy.Store(int64(c.now()))
		if c.growth() {
			last = c.now()
		}
	}
}

func missingTraces(files []lab.TraceFile, setup supervisor.Profiler, whole int) string {
	for _, f := range files {
		if !f.Complete {
			return fmt.Sprintf("%s is not whole: %s", f.Path, f.Damage)
		}
	}
	if whole < setup.Workers {
		return fmt.Sprintf("%d of %d workers wrote a trace", whole, setup.Workers)
	}
	return "the API server wrote no trace"
}

// collect is called when the server has been stopped: nothing writes any more. It makes the manifest; up says that there was a
// server at all.
func (c *capture) collect(up bool) {
	if c == nil {
		return
	}
	r := c.record
	if !up {
		c.lost(errors.New("no server came up"))
	}
	c.job.status.stage("checking traces", 0)
	var err error
	if r.Files, err = c.folder.Files(context.Background()); err != nil {
		c.lost(err)
	}
	workers, frontends := profiling.Traces(r.Files)
	r.Complete = workers >= c.setup.Workers && (!c.setup.Frontend || frontends > 0)
	switch {
	case r.Complete && r.Lost != "" && r.Stop != nil:
		// The server went down, or the user stopped the run, when all was on the disk already.
		r.Remarks = append(r.Remarks, r.Lost)
		r.Lost = ""
	case !r.Complete && r.Lost == "":
		r.Lost = missingTraces(r.Files, c.setup, workers)
	}
	c.makeRoom()
}

// makeRoom takes broken traces off a full disk: the record of the run needs the room more.
func (c *capture) makeRoom() {
	free, err := gpu.DiskFree(c.files)
	if err != nil || free >= box.NeededSpace {
		return
	}
	var kept []lab.TraceFile
	for _, f := range c.record.Files {
		if f.Complete {
			kept = append(kept, f)
			continue
		}
		if err := os.Remove(filepath.Join(c.files, f.Path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			kept = append(kept, f)
			continue
		}
		c.record.Remarks = append(c.record.Remarks, fmt.Sprintf("the disk is full: %s was removed, which was not whole (%s)", f.Path, f.Damage))
	}
	c.record.Files = kept
}

// compare lets the load go on without the profiler for some steps, for the overhead: more than were in the window, since it
// costs little and what is compared is a mean.
func (c *capture) compare(ctx context.Context) {
	const longest, fewest, times = 30 * time.Second, 64, 4
	c.job.status.stage("loading without the profiler, for the overhead", 0)
	wanted := max(fewest, times*c.window.Iterations)
	base := c.engine.last.steps
	if e, ok := c.engine.poll(ctx); ok {
		base = e.steps
	}
	for end := c.now() + longest; c.now() < end && c.engine.last.steps-base < wanted; {
		if c.pause(ctx, pollWindow) != waited {
			return
		}
		c.engine.poll(ctx)
	}
}
