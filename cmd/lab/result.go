package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/store"
)

// result is a run, or a phase of one, as a result of vllm bench serve.
type result struct {
	run           lab.Run
	name          string // for people: a file, or the id with the phase where there are several
	document      []byte
	input, output int // tokens a request, 0 where they are not known
}

// resultsOf gives the results of a run, one a phase. An imported one is given back as it came.
func resultsOf(db *store.DB, id string) ([]result, error) {
	s, err := readout.Run(db, id)
	if err != nil {
		return nil, err
	}
	if i := s.Run.Imported; i != nil {
		document, err := db.Source(id)
		if err == nil {
			input, output := kit.LengthsIn(i.File)
			return []result{{s.Run, filepath.Base(i.File), document, input, output}}, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read run %s: %w", id, err)
		}
	}
	tables, err := db.Tables(id)
	if err != nil {
		return nil, err
	}
	if len(tables.Requests) == 0 || len(s.Summary.Phases) == 0 {
		return nil, &fileError{fmt.Errorf("run %s has no records of measured requests, so there is no result to compute", id)}
	}
	var all []result
	for _, t := range s.Summary.Phases {
		r := result{run: s.Run, name: id, document: kit.ReportOf(s.Run, t, tables.Requests).JSON()}
		if len(s.Summary.Phases) > 1 {
			r.name += "-" + t.Phase
		}
		for _, p := range s.Run.Experiment.Phases {
			if d := p.Load.Dataset; p.Name == t.Phase {
				r.input, r.output = d.InputTokens, d.OutputTokens
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// save writes a file as a whole: who reads it meanwhile sees the old one or the new one.
func save(name string, content []byte) error { return kit.AppendResult(name, content, false) }
