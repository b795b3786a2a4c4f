package profiling

import (
	"strconv"
	"strings"
)

// StepKind says what a step of the engine computed.
type StepKind string

// The kinds of step. Whole is one of a program whose markers tell no kind; Empty had nothing to compute.
const (
	Prefill StepKind = "prefill"
	Decode  StepKind = "decode"
	Mixed   StepKind = "mixed"
	Empty   StepKind = "empty"
	Whole   StepKind = "step"
)

// stepKinds is the order of tables. outside, their number, stands for what belongs to no step.
var stepKinds = []StepKind{Prefill, Mixed, Decode, Empty, Whole}

const outside = 5

// marker is what the name of a step says.
type marker struct {
	kind              int  // of stepKinds
	counted           bool // the four below are known
	prefills, prompt  int64
	decodes, produced int64
	form              string
}

// The forms of markers, by who wrote them.
const (
	formContext  = "execute_context_N(T)_generation_N(T)"
	formDetailed = "execute_T_context_N(sq…)_generation_N(sq…)"
	formNew      = "execute_new_N_cached_N"
	formProfiler = "ProfilerStep#N"
)

// stepOf reads the name of a span. vLLM names each step by what is in it:
//
//	execute_new_1_cached_3                          to 0.11: requests that are new, requests that go on
//	execute_context_1(22)_generation_3(3)           since: requests and tokens of prefill and of decode
//	execute_26_context_1(sq22sk22…)_generation_3(…) with detailed_trace_annotation: sq is the tokens, sk the context
//	ProfilerStep#7                                  the profiler's own, of any program
func stepOf(name []byte) (marker, bool) {
	s := string(name)
	if n, ok := strings.CutPrefix(s, "ProfilerStep#"); ok {
		_, err := strconv.ParseUint(n, 10, 63)
		return marker{kind: kindIndex(Whole), form: formProfiler}, err == nil
	}
	s, ok := strings.CutPrefix(s, "execute_")
	if !ok {
		return marker{}, false
	}
	if rest, ok := strings.CutPrefix(s, "new_"); ok {
		fresh, rest, ok1 := number(rest)
		rest, ok2 := strings.CutPrefix(rest, "_cached_")
		going, rest, ok3 := number(rest)
		m := marker{kind: kindFor(fresh, going), form: formNew}
		return m, ok1 && ok2 && ok3 && rest == ""
	}
	m := marker{counted: true, form: formContext}
	if _, rest, ok := number(s); ok {
		m.form = formDetailed
		s = strings.TrimPrefix(rest, "_")
	}
	s, ok = strings.CutPrefix(s, "context_")
	if !ok {
		return marker{}, false
	}
	var ok1, ok2, ok3 bool
	m.prefills, m.prompt, s, ok1 = group(s)
	s, ok2 = strings.CutPrefix(s, "_generation_")
	m.decodes, m.produced, s, ok3 = group(s)
	m.kind = kindFor(m.prefills, m.decodes)
	return m, ok1 && ok2 && ok3 && s == ""
}

// group reads 3(128), or 3(sq128sk640…).
func group(s string) (requests, tokens int64, rest string, ok bool) {
	requests, s, ok1 := number(s)
	s, ok2 := strings.CutPrefix(s, "(")
	s, detailed := strings.CutPrefix(s, "sq")
	tokens, s, ok3 := number(s)
	inner, rest, ok4 := strings.Cut(s, ")")
	return requests, tokens, rest, ok1 && ok2 && ok3 && ok4 && (detailed || inner == "")
}

func number(s string) (int64, string, bool) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(s[:n], 10, 64)
	return v, s[n:], err == nil
}

func kindFor(prefills, decodes int64) int {
	switch {
	case prefills > 0 && decodes > 0:
		return kindIndex(Mixed)
	case prefills > 0:
		return kindIndex(Prefill)
	case decodes > 0:
		return kindIndex(Decode)
	}
	return kindIndex(Empty)
}

func kindIndex(k StepKind) int {
	for i, known := range stepKinds {
		if k == known {
			return i
		}
	}
	return outside
}
