package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Sweep is a matrix of experiments as it was begun. It is kept before its first run, so that it can be gone on with after
// a kill, and so that a file that changed meanwhile is noticed.
type Sweep struct {
	ID      string    `json:"id"` // sorts by time, like a run's
	Made    time.Time `json:"made"`
	Name    string    `json:"name"`
	File    string    `json:"file"` // absolute
	Kit     bool      `json:"kit"`  // a combos.yaml of the vLLM benchmark kit
	Seed    uint64    `json:"seed"` // what the seeds of cells and repeats follow from
	Repeats int       `json:"repeats"`
	Results string    `json:"results"` // folder of the result files, absolute
	Cells   []Cell    `json:"cells"`   // in the order of the file
}

// Cell is one experiment of a sweep.
type Cell struct {
	Name       string     `json:"name"`   // unique in the sweep
	Values     []Setting  `json:"values"` // what varies over the sweep, as this cell has it
	Result     string     `json:"result"` // name of its result file, without ending; unique in the sweep
	Experiment Experiment `json:"experiment"`
}

// Setting is one value that a sweep varies.
type Setting struct {
	Path  string `json:"path"` // "load.concurrency"
	Value string `json:"value"`
}

// SweepPlace says which run of a sweep a run is.
type SweepPlace struct {
	ID     string `json:"id"`
	Name   string `json:"name"` // of the sweep
	Cell   string `json:"cell"`
	Repeat int    `json:"repeat"` // from 1
}

// Experiment is what one repeat (from 1) of a cell measures: the cell's experiment with seeds of its own, which follow
// from the sweep's seed and the place, so that no run sends a prompt that an earlier one has put into the prefix cache.
func (s Sweep) Experiment(cell, repeat int) Experiment {
	e := s.Cells[cell].Experiment
	e.Phases = slices.Clone(e.Phases)
	for i := range e.Phases {
		seed := &e.Phases[i].Load.Seed
		place := uint64(cell)<<32 | uint64(repeat)<<8 | uint64(i)
		const exact = 1<<53 - 1 // what a program that reads JSON numbers as floats still tells apart
		*seed = rand.New(rand.NewPCG(s.Seed^*seed<<32, place)).Uint64() & exact
	}
	return e
}

// Place says where a repeat of a cell stands.
func (s Sweep) Place(cell, repeat int) SweepPlace {
	return SweepPlace{ID: s.ID, Name: s.Name, Cell: s.Cells[cell].Name, Repeat: repeat}
}

// ResultName is the name of the result file of a repeat: the first keeps the cell's, as a kit that knows no repeats
// expects.
func (c Cell) ResultName(repeat int) string {
	if repeat == 1 {
		return c.Result + ".json"
	}
	return fmt.Sprintf("%s_r%d.json", c.Result, repeat)
}

// Key identifies a server: two experiments whose servers have the same key can be measured on one process.
func (s Server) Key() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("hash server: " + err.Error()) // see Experiment.Key
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// DiffSweeps says in what the cells of a sweep differ from those of an earlier form of it, one line each; nothing where
// they are the same. The order counts: the seeds follow from it.
func DiffSweeps(was, is Sweep) []string {
	var lines []string
	now := map[string]int{}
	for i, c := range is.Cells {
		now[c.Name] = i
	}
	for i, c := range was.Cells {
		j, there := now[c.Name]
		delete(now, c.Name)
		if !there {
			lines = append(lines, "cell "+c.Name+" is gone")
			continue
		}
		differences := Diff(c.Experiment, is.Cells[j].Experiment)
		for _, d := range differences {
			lines = append(lines, fmt.Sprintf("cell %s: %s was %s and is %s", c.Name, d.Path, orUnset(d.A), orUnset(d.B)))
		}
		if len(differences) == 0 && i != j && len(was.Cells) == len(is.Cells) {
			lines = append(lines, fmt.Sprintf("cell %s was number %d and is number %d", c.Name, i+1, j+1))
		}
	}
	for _, c := range is.Cells {
		if _, fresh := now[c.Name]; fresh {
			lines = append(lines, "cell "+c.Name+" is new")
		}
	}
	return lines
}

func orUnset(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}
