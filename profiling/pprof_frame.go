package profiling

import (
	"regexp"
	"strconv"
	"strings"
)

// frame names are made equal where they mean the same, as pprof joins stacks, and two profiles, by nothing else: no address, no
// number of a layer, no path to where packages happen to be installed.

// label is one frame as pprof shows it.
type label struct {
	name, file string
	line       int64
	step       int // of a step's marker: its kind + 1
}

// labelBits is what a frame's number may take beside a time in one word.
const labelBits = seriesBits

// labels numbers frames.
type labels struct {
	all   []label
	at    map[label]uint32
	plain map[string]uint32 // by the name in the file
	pyth  map[string]uint32 // of Python functions
}

func newLabels() *labels {
	return &labels{at: map[label]uint32{}, plain: map[string]uint32{}, pyth: map[string]uint32{}}
}

func (l *labels) number(of label) uint32 {
	n, known := l.at[of]
	if !known {
		n = uint32(len(l.all))
		l.at[of] = n
		l.all = append(l.all, of)
	}
	return n
}

// find gives the number of the frame that an event's name stands for.
func (l *labels) find(name []byte, python bool) uint32 {
	known := l.plain
	if python {
		known = l.pyth
		name = withoutAddress(name)
	}
	if n, ok := known[string(name)]; ok {
		return n
	}
	if len(known) >= opNames {
		return l.number(label{name: "(names beyond the first 131072)"})
	}
	of := label{name: strings.ToValidUTF8(spelled(name), "\ufffd")} // profile.proto holds nothing else
	if python {
		of = pythonLabel(of.name)
	}
	n := l.number(of)
	known[string(name)] = n
	return n
}

var (
	pythonFrame = regexp.MustCompile(`^(.*\.py)\((\d+)\): (.+)$`)
	numbered    = regexp.MustCompile(`^(nn\.Module: .*?)_\d+$`)
)

// pythonLabel reads a name as the profiler writes it: "/venv/site-packages/vllm/a.py(12): f", "nn.Module: LlamaMLP_3". The
// number behind a file is the function's first line, not that of the call.
func pythonLabel(name string) label {
	if m := numbered.FindStringSubmatch(name); m != nil {
		return label{name: m[1]}
	}
	m := pythonFrame.FindStringSubmatch(name)
	if m == nil {
		return label{name: name}
	}
	line, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return label{name: name}
	}
	file := m[1]
	if at := strings.LastIndex(file, "site-packages/"); at >= 0 {
		file = file[at+len("site-packages/"):]
	} else if m := libPython.FindStringIndex(file); m != nil {
		file = file[m[1]:]
	}
	return label{name: m[3], file: file, line: line}
}

var libPython = regexp.MustCompile(`^.*/lib/python3[.0-9]*/`)

// marker stands for all markers of a kind.
func (l *labels) marker(m marker) uint32 { return l.number(label{name: m.form, step: m.kind + 1}) }
