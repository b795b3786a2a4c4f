package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"lab/internal/lab"
	"lab/profiling"
)

// Capture prints what became of the window of a profiled run.
func Capture(w io.Writer, r lab.Run, o Options) error {
	p := &printer{w: w, o: o}
	p.line("run      %s  %s", r.ID, r.Experiment.Name)
	p.capture(r)
	return p.err
}

// CaptureJSON writes a profiled run and the summaries of its traces as one document.
func CaptureJSON(w io.Writer, s lab.Sealed, traces []profiling.Summary) error {
	return document(w, struct {
		Schema string `json:"schema"`
		Times  string `json:"times"`
		Valid  bool   `json:"valid"` // for a verdict: never
		lab.Sealed
		Traces []profiling.Summary `json:"traces"`
	}{"lab.capture/v1", "nanoseconds since run.epoch", s.Run.Valid(), s, traces})
}

// ProfilesJSON writes the summaries of the traces of one run, one a worker, as one document.
func ProfilesJSON(w io.Writer, traces []profiling.Summary) error {
	return document(w, struct {
		Schema string              `json:"schema"`
		Traces []profiling.Summary `json:"traces"`
	}{"lab.profiles/v1", traces})
}

func (p *printer) capture(r lab.Run) {
	c := r.Profile
	if c == nil {
		return
	}
	p.of = OfCapture
	p.line("")
	if c.Mechanism == lab.ProfileByServer {
		p.paragraph("profile  ", "the server's own profiler ran beside the load; its traces lie where that server was told to put them")
		if c.Start != nil {
			p.paragraph("calls    ", calls(c))
		}
		return
	}
	state := "complete"
	if c.Lost != "" {
		state = p.bold("LOST") + ": " + c.Lost
	}
	p.paragraph("profile  ", state)
	p.paragraph("window   ", windowOf(r.Experiment.Profile, c))
	p.paragraph("by       ", fmt.Sprintf("%s; %s", mechanism(c.Mechanism), boundOf(c.Bound)))
	if c.Start != nil {
		p.paragraph("calls    ", calls(c))
	}
	if o := c.Overhead; o != nil {
		p.paragraph("overhead ", fmt.Sprintf("a further token took %s with the profiler (mean ITL, n=%d tokens) and %s without (n=%d, before and after it): %+.1f %%",
			span(o.Profiled), o.ProfiledTokens, span(o.Unprofiled), o.UnprofiledTokens, o.Share()*100))
	} else if c.Lost == "" {
		p.paragraph("overhead ", "not known: no two tokens of a request came surely within the window, or none beside it; a longer window has more (profile.iterations)")
	}
	for _, remark := range c.Remarks {
		p.paragraph("note     ", remark)
	}
	p.traceFiles(c.Files)
	if slices.ContainsFunc(c.Traces(), func(f lab.TraceFile) bool { return f.Size > 0 }) {
		p.line("look     lab profile show %s", r.ID)
		p.line("         lab profile view %s   (flame graph)", r.ID)
	}
}

func windowOf(w *lab.ProfileWindow, c *lab.Profile) string {
	text := fmt.Sprintf("%d steps of the engine asked for, start %s", w.Iterations, c.Condition)
	if c.Met != "" {
		text += fmt.Sprintf("; it opened %s into the run: %s", length(c.MetAt), c.Met)
	}
	if c.Steps != nil {
		text += fmt.Sprintf("; the engine had made %d steps when the stop was asked for", *c.Steps)
	}
	return text
}

func mechanism(m string) string {
	if m == lab.ProfileByEnv {
		return "VLLM_TORCH_PROFILER_DIR"
	}
	return "--profiler-config"
}

func boundOf(b string) string {
	if b == "lab" {
		return "lab counts the steps and closes the window, since this version has no limit of its own"
	}
	return "the server closes the window at its own limit of steps"
}

func calls(c *lab.Profile) string {
	text := "start " + answer(c.Start)
	if c.Stop != nil {
		text += "; stop " + answer(c.Stop)
	}
	if c.FilesAt > 0 {
		text += fmt.Sprintf("; the files were whole %s after the stop was asked for", length(c.Took))
	}
	return text
}

func answer(r *lab.ProfileReply) string {
	if r.Status == 0 {
		return fmt.Sprintf("got no answer in %s: %s", length(r.Took), r.Text)
	}
	text := fmt.Sprintf("answered %d after %s", r.Status, length(r.Took.Round(time.Millisecond)))
	if !r.OK() && r.Text != "" {
		text += " (" + r.Text + ")"
	}
	return text
}

func (p *printer) traceFiles(files []lab.TraceFile) {
	if len(files) == 0 {
		return
	}
	g := &grid{right: map[int]bool{1: true}, free: 3}
	g.head("files", "size", "rank", "name in the run's folder", "sha256")
	for _, f := range files {
		rank, name := "", f.Path
		if f.Rank != nil {
			rank = fmt.Sprint(*f.Rank)
		}
		if !f.Complete {
			name += " NOT WHOLE: " + f.Damage
		}
		g.add(f.Kind, bytesOf(int64(f.Size)), rank, name, f.SHA256[:min(12, len(f.SHA256))])
	}
	p.grid(g, "")
}
