package lab

import "strings"

// Fault is one thing that is wrong with an experiment. Path is the field as the YAML file spells it, such as
// "server.max_num_seqs" or "load[1].rate"; the reader of experiments turns it into file, line and column.
type Fault struct {
	Path    string `json:"path"`
	Problem string `json:"problem"` // what is wrong and what to write instead
}

// Faults is an error that carries everything wrong with an experiment, found before or when vllm was asked.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Path + ": " + fault.Problem
	}
	return strings.Join(lines, "\n")
}
