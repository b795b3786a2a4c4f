package matrices

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lab/internal/lab"
)

// SweepFile is a matrix of experiments with the places where its values were written.
type SweepFile struct {
	Sweep lab.Sweep // without ID, time and seed: those are of one execution
	cells []*File
}

// Locate turns faults of one cell that were found later into an error with their places.
func (s *SweepFile) Locate(cell int, faults lab.Faults) *Error { return s.cells[cell].Locate(faults) }

// most bounds the cells of a matrix: nobody waits for more.
const most = 10_000

// LoadSweep reads a matrix: an experiment file with `sweep`, or a combos.yaml of the vLLM benchmark kit. Everything wrong
// with it is one *Error.
func LoadSweep(name string) (*SweepFile, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, &Error{[]Problem{{File: name, Text: "read sweep: " + reason(err)}}}
	}
	return ParseSweep(name, text)
}

// ParseSweep reads a matrix's text; name is where relative paths start and what errors call it.
func ParseSweep(name string, text []byte) (*SweepFile, error) {
	r := &reader{}
	root := r.tree(name, text, nil)
	s := &SweepFile{Sweep: lab.Sweep{Repeats: 1}}
	var plans []plan
	switch {
	case root == nil:
	case isCombos(root):
		s.Sweep.Kit = true
		plans = r.combos(root)
	default:
		plans = r.matrix(root, &s.Sweep)
	}
	if len(r.problems) == 0 {
		r.read(s, plans)
	}
	if len(r.problems) > 0 {
		return nil, &Error{sorted(r.problems)}
	}
	s.Sweep.Name = named(root, name)
	if whole, err := filepath.Abs(name); err == nil {
		s.Sweep.File = whole
	}
	return s, nil
}

// named is what the sweep is called: as the file says, else as the file is called.
func named(root *node, file string) string {
	if n := root.get("name"); n != nil && n.kind == scalar {
		return n.text
	}
	return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
}

// plan is a cell that has not been read yet: an experiment's text with the cell's values in their places.
type plan struct {
	name   string
	values []lab.Setting
	root   *node
	result string // "": made from what the cell is
}

// read makes the experiments of all cells. What is wrong with every cell is told once; what is wrong with some names the
// first of them.
func (r *reader) read(s *SweepFile, plans []plan) {
	type seen struct {
		Problem
		cell string
		n    int
	}
	var order []string
	all := map[string]*seen{}
	for _, p := range plans {
		one, f := &reader{}, &File{root: p.root}
		one.experiment(f)
		for _, problem := range sorted(one.problems) {
			key := problem.String()
			if all[key] == nil {
				all[key] = &seen{problem, p.name, 0}
				order = append(order, key)
			}
			all[key].n++
		}
		e := f.Experiment
		e.Name = strings.TrimSpace(named(p.root, p.root.at.in.name) + " " + p.name)
		s.cells = append(s.cells, &File{Experiment: e, root: p.root})
		s.Sweep.Cells = append(s.Sweep.Cells, lab.Cell{Name: p.name, Values: p.values, Result: p.result, Experiment: e})
	}
	for _, key := range order {
		problem := all[key].Problem
		switch n := all[key].n; {
		case n == len(plans):
		case n == 1:
			problem.Text += fmt.Sprintf(" (in cell %s)", all[key].cell)
		default:
			problem.Text += fmt.Sprintf(" (in cell %s and %d more)", all[key].cell, n-1)
		}
		r.problems = append(r.problems, problem)
	}
	nameResults(s.Sweep.Cells)
}

// nameResults gives the cells of a matrix the names of the kit's result files, with what else varies behind; a number
// keeps apart what would still be alike.
func nameResults(cells []lab.Cell) {
	taken := map[string]bool{}
	for i := range cells {
		c := &cells[i]
		if c.Result == "" {
			c.Result = resultName(*c)
		}
		for base, n := c.Result, 2; taken[c.Result]; n++ {
			c.Result = fmt.Sprintf("%s-%d", base, n)
		}
		taken[c.Result] = true
	}
}

func resultName(c lab.Cell) string {
	name := "bench"
	if len(c.Experiment.Phases) == 0 { // refused already
		return name
	}
	l := c.Experiment.Phases[0].Load
	inName := []string{}
	if d := l.Dataset; d.InputTokens > 0 && d.OutputTokens > 0 {
		name += fmt.Sprintf("_io%dx%d", d.InputTokens, d.OutputTokens)
		inName = append(inName, "load.dataset.input_tokens", "load.dataset.output_tokens")
	}
	if l.Concurrency > 0 {
		name += fmt.Sprintf("_mc%d", l.Concurrency)
		inName = append(inName, "load.concurrency")
	}
	if l.Requests > 0 {
		name += fmt.Sprintf("_np%d", l.Requests)
		inName = append(inName, "load.requests")
	}
	for _, v := range c.Values {
		if !slices.Contains(inName, v.Path) {
			name += "_" + plainLetters(v.Path[strings.LastIndexByte(v.Path, '.')+1:]) + "-" + plainLetters(v.Value)
		}
	}
	const longest = 200 // a file name may have 255 bytes, ending included
	return name[:min(len(name), longest)]
}

// plainLetters leaves what is safe in the name of a file on any system.
func plainLetters(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, text)
}
