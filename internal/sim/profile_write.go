package sim

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// errTold is the fault that a server was told to have.
var errTold = errors.New("told to fail")

// writeByItself is what workers do when they have seen as many steps as they were to: nobody asked, and the engine stands still.
func (p *profiler) writeByItself(rec *recorder) {
	p.byItself.Lock()
	defer p.byItself.Unlock()
	p.complain(p.writeWorkers(rec, time.Now()))
}

// writeLater plays the oldest engine: the stop is answered at once, the file is there and empty, and fills later.
func (p *profiler) writeLater(rec *recorder) {
	const later = 500 * time.Millisecond
	now := time.Now()
	for rank := range p.ranks() {
		p.complain(p.create(p.workerFile(rank, now), nil))
	}
	p.writers.Go(func() {
		select {
		case <-p.quit:
		case <-time.After(later):
			p.complain(p.writeWorkers(rec, now))
		}
	})
}

// writeAll writes what a stop leaves: traces of the workers that have not written theirs, then that of the API process. A
// worker that cannot write says so in the log, and the stop succeeds all the same.
func (p *profiler) writeAll(rec *recorder, now time.Time) error {
	if p.s.c.faults.profileStop500 {
		return errTold
	}
	if rec != nil {
		p.complain(p.writeWorkers(rec, now))
	}
	if !p.frontend {
		return nil
	}
	text := trace{p: p, rank: -1}.text(nil, p.since, now)
	if err := p.writeTrace(p.frontendFile(now)+".pt.trace.json.gz", text); err != nil {
		return err
	}
	if p.s.t.minor >= 18 {
		return p.create(p.frontendName()+".profiler_out.txt", []byte("\n"))
	}
	return nil
}

// complain is a line in the server's log.
func (p *profiler) complain(err error) {
	if err != nil {
		fmt.Fprintf(os.Stdout, "WARNING Failed to stop profiler: %v\n", err)
	}
}

// ranks is how many workers write a trace.
func (p *profiler) ranks() int {
	n := max(1, p.s.c.number("tensor-parallel-size", 1)) * max(1, p.s.c.number("pipeline-parallel-size", 1))
	if lost := p.s.c.faults.profileRanks; lost > 0 {
		return min(n, lost)
	}
	return n
}

func (p *profiler) writeWorkers(rec *recorder, now time.Time) error {
	for rank := range p.ranks() {
		if err := p.writeTrace(p.workerFile(rank, now), trace{p: p, rank: rank}.text(rec.steps, p.since, now)); err != nil {
			return err
		}
		name := ""
		switch {
		case p.s.t.minor >= 18:
			name = fmt.Sprintf("%srank%d.profiler_out.txt", p.named(), rank)
		case p.s.t.minor >= 12:
			name = fmt.Sprintf("profiler_out_%d.txt", rank)
		default:
			continue // it goes to the log
		}
		if err := p.create(name, table(rec.steps)); err != nil {
			return err
		}
	}
	return nil
}

func (p *profiler) named() string {
	if p.prefix == "" {
		return ""
	}
	return filepath.Base(p.prefix) + "_"
}

func (p *profiler) workerFile(rank int, now time.Time) string {
	switch {
	case p.s.t.minor < 12:
		return fmt.Sprintf("%s_%d.%d.pt.trace.json.gz", hostName(), os.Getpid()+1+rank, now.UnixNano())
	case p.s.t.minor < 18:
		return fmt.Sprintf("%d-rank-%d.%d.pt.trace.json.gz", p.began.UnixNano(), rank, now.UnixNano())
	}
	return fmt.Sprintf("%srank%d.%d.pt.trace.json.gz", p.named(), rank, now.UnixNano())
}

func (p *profiler) frontendName() string {
	return fmt.Sprintf("%s%s_%d.async_llm", p.named(), hostName(), os.Getpid())
}

func (p *profiler) frontendFile(now time.Time) string {
	return fmt.Sprintf("%s.%d", p.frontendName(), now.UnixNano())
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func (p *profiler) create(name string, content []byte) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o644); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

// writeTrace packs a trace and writes it in the time that it was told to take; it may break off half way, with or without the
// engine's death.
func (p *profiler) writeTrace(name string, text []byte) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		return fmt.Errorf("pack trace: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("pack trace: %w", err)
	}
	content, f := packed.Bytes(), p.s.c.faults
	broken := f.profileCrash || f.profilePartial
	if broken {
		content = content[:len(content)/2]
	}
	if err := p.create(name, nil); err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(p.dir, name), os.O_WRONLY, 0o644)
	if err == nil {
		err = errors.Join(p.pour(out, content, f.profileStop), out.Close())
	}
	if f.profileCrash {
		p.s.loop.crash()
	}
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

// pour writes in pieces over a time; the end of the process breaks it off.
func (p *profiler) pour(w io.Writer, content []byte, over time.Duration) error {
	const pieces = 20
	if over == 0 {
		_, err := w.Write(content)
		return err
	}
	for i := range pieces {
		if _, err := w.Write(content[len(content)*i/pieces : len(content)*(i+1)/pieces]); err != nil {
			return err
		}
		select {
		case <-p.quit:
			return errors.New("the process ends")
		case <-time.After(over / pieces):
		}
	}
	return nil
}

// table is the operator table beside a trace, in a short form.
func table(steps []recordedStep) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%50s  %12s  %12s\n", "Name", "CPU total", "# of Calls")
	for _, s := range steps {
		fmt.Fprintf(&b, "%50s  %10.3fms  %12d\n", s.name(), float64(s.took)/1e6, 1)
	}
	return b.Bytes()
}
