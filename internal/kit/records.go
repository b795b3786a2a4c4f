package kit

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"lab/internal/lab"
)

// infinite is what plainNumbers makes of Python's Infinity.
const infinite = "1e999"

// firstMoment is where the first request of an imported run stands: 0 would mean absent.
const firstMoment = time.Microsecond

// listsIn reads the lists of --save-detailed. They are there where all that places a request in time is; a list that
// newer clients added is made up from the others, or is zero.
func listsIn(fields map[string]json.RawMessage) (Lists, bool) {
	var l Lists
	for key, list := range map[string]any{
		"input_lens": &l.InputLens, "output_lens": &l.OutputLens, "ttfts": &l.TTFTs, "itls": &l.ITLs, "latencies": &l.Latencies,
		"start_times": &l.StartTimes, "queue_times": &l.QueueTimes, "generated_texts": &l.Texts, "errors": &l.Errors,
	} {
		if raw, ok := fields[key]; ok && json.Unmarshal(raw, list) != nil {
			return Lists{}, false
		}
	}
	n := len(l.StartTimes)
	if n == 0 || len(l.InputLens) != n || len(l.OutputLens) != n || len(l.TTFTs) != n || len(l.ITLs) != n {
		return Lists{}, false
	}
	if len(l.Latencies) == 0 { // not in results of before the autumn of 2026
		for i, ttft := range l.TTFTs {
			latency := ttft
			for _, gap := range l.ITLs[i] {
				latency += gap
			}
			l.Latencies = append(l.Latencies, latency)
		}
	}
	for _, have := range []int{len(l.Latencies), len(l.QueueTimes), len(l.Texts), len(l.Errors)} {
		if have != 0 && have != n {
			return Lists{}, false
		}
	}
	l = l.filled()
	return l, l.sound()
}

// sound says whether all times are in order and lie within a year: of others no run was made.
func (l Lists) sound() bool {
	const year = 366 * 24 * 3600.0
	low, high := math.Inf(1), math.Inf(-1)
	for i, start := range l.StartTimes {
		took := l.TTFTs[i]
		ok := l.QueueTimes[i] >= 0 && took >= 0 && l.Latencies[i] >= 0
		for _, gap := range l.ITLs[i] {
			took += gap
			ok = ok && gap >= 0
		}
		if !ok {
			return false
		}
		low, high = min(low, start-l.QueueTimes[i]), max(high, start+max(took, l.Latencies[i]))
	}
	const clock = 1e9 // seconds: no machine has run for longer
	return low > -clock && high < clock && high-low < year
}

// records places every request in time, the first at firstMoment. Monotonic is what the client's clock showed at the
// epoch that they count from. In an open loop a request was intended when it began to queue; in a closed one, when its
// slot came free.
func (l Lists) records(open bool) (records []lab.RequestRecord, monotonic int64) {
	queue := func(i int) float64 {
		if open {
			return l.QueueTimes[i]
		}
		return 0
	}
	first := math.Inf(1)
	for i, start := range l.StartTimes {
		first = min(first, start-queue(i))
	}
	moment := func(at float64) time.Duration { return firstMoment + time.Duration(math.Round((at-first)*1e9)) }
	for i, start := range l.StartTimes {
		r := lab.RequestRecord{Seq: i, Phase: phase, Intended: moment(start - queue(i)), Sent: moment(start), WantInput: l.InputLens[i]}
		r.Done = r.Sent
		if fault := l.Errors[i]; fault != "" {
			r.Error, r.Status = classify(fault)
			r.Detail = lastLine(fault)
		} else {
			r.Status, r.Text = http.StatusOK, l.Texts[i]
			r.Usage = &lab.Usage{Input: l.InputLens[i], Output: l.OutputLens[i]}
			at := start + l.TTFTs[i]
			r.Chunks = append(r.Chunks, lab.Chunk{At: moment(at)})
			for _, gap := range l.ITLs[i] {
				at += gap
				r.Chunks = append(r.Chunks, lab.Chunk{At: moment(at)})
			}
			r.Done = moment(at)
		}
		records = append(records, r)
	}
	return records, int64(math.Round(first*1e9)) - int64(firstMoment)
}

// classify finds lab's class for the text of an error: the kit keeps the reason phrase of a status, or a traceback.
func classify(fault string) (class string, status int) {
	for code := 400; code < 600; code++ {
		if http.StatusText(code) == fault {
			return lab.ErrStatus, code
		}
	}
	for _, known := range []struct{ word, class string }{
		{"Cannot connect to host", lab.ErrConnect}, {"ClientConnectorError", lab.ErrConnect}, {"ConnectionRefusedError", lab.ErrConnect},
		{"TimeoutError", lab.ErrTimeout}, {"CancelledError", lab.ErrCanceled},
		{"ServerDisconnectedError", lab.ErrCut}, {"ClientPayloadError", lab.ErrCut}, {"ConnectionResetError", lab.ErrCut},
		{"ClientOSError", lab.ErrCut},
	} {
		if strings.Contains(fault, known.word) {
			return known.class, 0
		}
	}
	return lab.ErrFormat, 0
}

// lastLine is what a Python traceback ends in: the error itself.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// errorClasses counts the failed requests by class.
func errorClasses(records []lab.RequestRecord) map[string]int {
	classes := map[string]int{}
	for _, r := range records {
		if !r.OK() {
			classes[r.Error]++
		}
	}
	if len(classes) == 0 {
		return nil
	}
	return classes
}
