package profiling

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/pprof/profile"
)

// maxStacks bounds a profile: pprof's flame graph takes some 650 bytes a stack, and a browser shows no more anyway.
const maxStacks = 10_000

// Stacks is a trace as a profile: GPU time by the stack that launched the work, and CPU time by the stack that was open.
type Stacks struct {
	GPUTime time.Duration // of all kernels, copies and fills; the profile holds all of it
	CPUTime time.Duration // while any span was open, summed over threads
	Folded  int           // stacks that were shortened to keep the profile small
	Damage  string        // why the trace is not complete

	profile *profile.Profile
	steps   [outside + 1]int64 // of each kind
}

// The types of samples.
const (
	gpuTime = "gpu_time"
	cpuTime = "cpu_time"
)

// ReadStacks reads traces, which may be those of the ranks of one run, into one profile.
func ReadStacks(ctx context.Context, names ...string) (*Stacks, error) {
	var all []*Stacks
	for _, name := range names {
		s, err := readStacks(ctx, name, maxStacks/len(names))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return merge(all)
}

func readStacks(ctx context.Context, name string, most int) (*Stacks, error) {
	f, err := openTrace(name)
	if err != nil {
		return nil, err
	}
	defer f.close()
	s, scan, err := stacks(ctx, f, name)
	if err != nil {
		return nil, err
	}
	p := s.profile(name, most)
	p.Damage = scan.damage
	return p, nil
}

func merge(all []*Stacks) (*Stacks, error) {
	whole := &Stacks{}
	var profiles []*profile.Profile
	for _, s := range all {
		whole.GPUTime += s.GPUTime
		whole.CPUTime += s.CPUTime
		whole.Folded += s.Folded
		whole.Damage = cmp.Or(whole.Damage, s.Damage)
		for i := range s.steps {
			whole.steps[i] += s.steps[i]
		}
		profiles = append(profiles, s.profile)
	}
	var err error
	if whole.profile, err = profile.Merge(profiles); err != nil {
		return nil, fmt.Errorf("merge profiles of %d traces: %w", len(all), err)
	}
	return whole, nil
}

// Write writes the profile as `go tool pprof` reads it: profile.proto, gzipped.
func (s *Stacks) Write(w io.Writer) error { return s.profile.Write(w) }

// builder makes a profile of samples.
type builder struct {
	*stacker
	trees     [2]*tree
	p         *profile.Profile
	locations map[uint32]*profile.Location

	categories map[named]string
}

// profile turns the records into a profile of at most so many stacks, half of them for the CPU.
func (s *stacker) profile(name string, most int) *Stacks {
	trees := [2]*tree{onCPU: newTree(), onGPU: newTree()}
	for i := range s.threads {
		s.sweep(trees, int32(i))
	}
	b := &builder{stacker: s, trees: trees, locations: map[uint32]*profile.Location{}, categories: map[named]string{}}
	out := &Stacks{steps: counted(s.steps), profile: b.header(name)}
	gpu, n := b.gpuStacks(most / 2)
	cpu, m := b.cpuStacks(most / 2)
	out.Folded = n + m
	for _, k := range gpu {
		out.GPUTime += time.Duration(k.took)
	}
	for _, k := range cpu {
		out.CPUTime += time.Duration(k.took)
	}
	b.emit(gpu, cpu)
	return out
}

func (b *builder) header(name string) *profile.Profile {
	p := &profile.Profile{PeriodType: &profile.ValueType{Type: "trace", Unit: "count"}, Period: 1}
	b.p = p
	meta := b.meta.source
	// pprof heads its pages with the first mapping's file, and "unknown" without one. No location is in it, so that two profiles join.
	p.Mapping = []*profile.Mapping{{ID: 1, File: filepath.Base(name), HasFunctions: true, HasFilenames: true, HasLineNumbers: true}}
	p.Comments = []string{"trace " + filepath.Base(name)}
	if meta.VLLM != "" {
		p.Comments = append(p.Comments, "vLLM "+meta.VLLM)
	}
	start, took := b.first, b.last-b.first
	if b.session != nil {
		start, took = b.session.start, b.session.end-b.session.start
	}
	p.DurationNanos = took
	if meta.BaseTime != nil {
		p.TimeNanos = *meta.BaseTime + start
	}
	return p
}

// emit writes the samples: a GPU's with the kernel as leaf, the CPU's with its innermost span.
func (b *builder) emit(gpu, cpu []stack) {
	var types []*profile.ValueType
	add := func(count, took string) {
		types = append(types, &profile.ValueType{Type: count, Unit: "count"}, &profile.ValueType{Type: took, Unit: "nanoseconds"})
	}
	if len(gpu) > 0 {
		add("gpu_activities", gpuTime)
	}
	if len(cpu) > 0 || len(gpu) == 0 {
		add("calls", cpuTime)
	}
	b.p.SampleType = types
	b.p.DefaultSampleType = types[1].Type
	for _, k := range gpu {
		values := make([]int64, len(types))
		values[0], values[1] = k.n, k.took
		b.p.Sample = append(b.p.Sample, &profile.Sample{Value: values, Location: b.path(k), Label: b.gpuLabels(k)})
	}
	for _, k := range cpu {
		values := make([]int64, len(types))
		values[len(types)-2], values[len(types)-1] = k.n, k.took
		b.p.Sample = append(b.p.Sample, &profile.Sample{Value: values, Location: b.path(k), Label: b.cpuLabels(k)})
	}
}

// path goes from the leaf to the root.
func (b *builder) path(k stack) []*profile.Location {
	var all []*profile.Location
	if k.place >= 0 {
		all = append(all, b.location(k.label))
	}
	t, n := b.tree(k), k.node
	for ; t.nodes[n].caller >= 0; n = t.nodes[n].caller {
		all = append(all, b.location(t.nodes[n].label))
	}
	if step := t.of[n].step; step != outside {
		all = append(all, b.location(b.labels.number(label{name: "step:" + string(stepKinds[step])})))
	}
	return all
}

// location has a function of its own. SystemName stays empty: pprof would take a name that is there for a mangled one, and
// cut what stands in brackets out of the names of kernels and copies.
func (b *builder) location(n uint32) *profile.Location {
	if l := b.locations[n]; l != nil {
		return l
	}
	of := b.labels.all[n]
	f := &profile.Function{ID: uint64(len(b.p.Function) + 1), Name: of.name, Filename: of.file, StartLine: of.line}
	l := &profile.Location{ID: uint64(len(b.p.Location) + 1), Line: []profile.Line{{Function: f}}}
	b.p.Function = append(b.p.Function, f)
	b.p.Location = append(b.p.Location, l)
	b.locations[n] = l
	return l
}

func (b *builder) gpuLabels(k stack) map[string][]string {
	place := b.places[k.place]
	all := b.cpuLabels(k)
	of := named{place.kind, b.labels.all[k.label].name}
	if b.categories[of] == "" {
		b.categories[of] = kernelCategory(of.kind, of.name)
	}
	all["category"] = []string{b.categories[of]}
	all["device"] = []string{strconv.FormatInt(place.device, 10)}
	all["stream"] = []string{strconv.FormatInt(place.stream, 10)}
	return all
}

func (b *builder) cpuLabels(k stack) map[string][]string {
	all := map[string][]string{}
	t := b.tree(k)
	r := t.of[t.rootUnder(k.node)]
	if r.step != outside {
		all["step"] = []string{string(stepKinds[r.step])}
	}
	if r.thread >= 0 {
		t := b.threads[r.thread]
		all["thread"] = []string{fmt.Sprintf("%d/%d", t.pid, t.tid)}
	}
	if rank := b.meta.source.Rank; rank != nil {
		all["rank"] = []string{strconv.FormatInt(*rank, 10)}
	}
	return all
}
