package profiling

import (
	"strings"
	"testing"
	"time"
)

const (
	before = `{"schemaVersion": 1, "traceEvents": [
  {"ph": "X", "cat": "kernel", "name": "first", "pid": 0, "tid": 7, "ts": 10.000, "dur": 1.001, "args": {"correlation": 1}},
  `
	after = `,
  {"ph": "X", "cat": "kernel", "name": "last", "pid": 0, "tid": 7, "ts": 90.000, "dur": 2.000, "args": {"correlation": 2}}
]}`
)

func TestEachKindOfDirtIsPassedOver(t *testing.T) {
	long := strings.Repeat("x", 3*windowSize)
	for name, c := range map[string]struct {
		event                      string
		took                       time.Duration // of the event between first and last
		resyncs, unread, times, of int64         // of: events
	}{
		"a raw line break in a name":      {"{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"a\nb\x01\", \"pid\": 0, \"ts\": 20, \"dur\": 5}", 5000, 0, 0, 0, 3},
		"invalid UTF-8":                   {"{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"a\xff\xfe\", \"pid\": 0, \"ts\": 20, \"dur\": 5}", 5000, 0, 0, 0, 3},
		"NaN and inf":                     {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": 5, "args": {"a": NaN, "b": inf, "c": -Infinity}}`, 5000, 0, 0, 0, 3},
		"a duration that is no number":    {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": "inf"}`, 0, 0, 0, 1, 3},
		"a duplicate key":                 {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": 9, "dur": 5}`, 5000, 0, 0, 0, 3},
		"quotes that nobody escaped":      {`{"ph": "X", "cat": "kernel", "name": "op "m" {"a"}", "pid": 0, "ts": 20, "dur": 5}`, 0, 1, 0, 0, 2},
		"a lone quote in the arguments":   {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": 5, "args": {"a": "b"c", "d": {"name": 1}}}`, 0, 1, 0, 0, 2},
		"a time as a string":              {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": "20.5", "dur": "5.000"}`, 5000, 0, 0, 0, 3},
		"no duration":                     {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20}`, 0, 0, 0, 0, 3},
		"no start":                        {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "dur": 5}`, 0, 0, 0, 1, 3},
		"zeroed times":                    {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 0.000, "dur": 0.000}`, 0, 0, 0, 1, 3},
		"a negative nanosecond":           {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 0.-05, "dur": 5}`, 0, 0, 0, 1, 3},
		"process and thread as words":     {`{"ph": "X", "cat": "cpu_op", "name": "m", "pid": "Spans", "tid": "", "ts": 20, "dur": 5}`, 0, 0, 0, 0, 3},
		"a category that is a number":     {`{"ph": "X", "cat": 5, "name": "m", "pid": 0, "ts": 20, "dur": 5}`, 0, 0, 0, 0, 3},
		"a name that is a number":         {`{"ph": "X", "cat": "kernel", "name": 7, "pid": 0, "ts": 20, "dur": 5}`, 0, 0, 1, 0, 2},
		"a name that is null":             {`{"ph": "X", "cat": "kernel", "name": null, "pid": 0, "ts": 20, "dur": 5}`, 0, 0, 1, 0, 2},
		"entries that are no events":      {`7, null, [1], "x", {}`, 0, 0, 5, 0, 2},
		"keys with escapes":               {`{"\u0070h": "X", "cat": "kernel", "n\u0061me": "m", "pid": 0, "ts": 2e1, "dur": 5.0E+0}`, 5000, 0, 0, 0, 3},
		"an event larger than the window": {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": 5, "args": {"a": "` + long + `"}}`, 5000, 0, 0, 0, 3},
		"a kernel that lasts days":        {`{"ph": "X", "cat": "kernel", "name": "m", "pid": 0, "ts": 20, "dur": 700000000000}`, 0, 0, 0, 1, 3},
		"nonsense longer than the window": {`{"ph": ` + long + ` {"name": `, 0, 2, 0, 0, 2},
	} {
		s := sumUp(t, before+c.event+after)
		got := time.Duration(0)
		for _, k := range s.Kernels {
			got += k.Took
		}
		if !s.Complete || got != c.took+3001 || s.Resyncs != c.resyncs || s.Unread != c.unread || s.BadTimes != c.times || s.Events != c.of {
			t.Errorf("%s: complete %t %s, %d ns, %d resyncs, %d unread, %d bad times, %d events", name, s.Complete, s.Damage, got, s.Resyncs, s.Unread, s.BadTimes, s.Events)
		}
	}
}

func TestDamageInTheLastEventIsToldAsThat(t *testing.T) {
	s := sumUp(t, before+`{"ph": "X", "name": "a"b"}]}`)
	if s.Complete || s.Damage != "no event follows the last damaged stretch" || len(s.Kernels) != 1 {
		t.Errorf("complete %t, %s, %d kernels", s.Complete, s.Damage, len(s.Kernels))
	}
}

func TestAListOfEventsAloneIsATrace(t *testing.T) {
	s := sumUp(t, "\xef\xbb\xbf"+before[strings.IndexByte(before, '['):]+`{"ph": "i"}`+strings.TrimSuffix(after, "}"))
	if !s.Complete || len(s.Kernels) != 2 {
		t.Errorf("complete %t (%s), %d kernels", s.Complete, s.Damage, len(s.Kernels))
	}
}

func TestMembersCountBeforeAndBehindTheEvents(t *testing.T) {
	events := strings.TrimSuffix(before, ",\n  ")[len(`{"schemaVersion": 1, `):] + "]"
	meta := `"vllm_version": "0.32.0", "with_stack": 1, "baseTimeNanoseconds": 17, "distributedInfo": {"rank": 3, "world_size": 8}, "deviceProperties": [{"id": 0, "name": "H100"}]`
	first, second := sumUp(t, "{"+meta+", "+events+"}"), sumUp(t, "{"+events+", "+meta+"}")
	for _, s := range []Summary{first, second} {
		if s.Source.VLLM != "0.32.0" || !s.Source.Stacks || *s.Source.BaseTime != 17 || *s.Source.Rank != 3 || s.GPUs[0].Name != "H100" {
			t.Errorf("%+v", s.Source)
		}
	}
}

func TestSpansOutOfOrderHaveNoSelfTime(t *testing.T) {
	s := sumUp(t, `[{"ph":"X","cat":"cpu_op","name":"b","pid":1,"tid":1,"ts":20,"dur":5},{"ph":"X","cat":"cpu_op","name":"a","pid":1,"tid":1,"ts":10,"dur":5}]`)
	if s.Unordered != 1 || len(s.Operators) != 2 || s.Operators[0].Self != nil || s.Operators[0].Took != 5000 || s.Categories != nil {
		t.Errorf("%+v", s)
	}
}
