package kit

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// Lists are the measurements by request, in order of seq, as --save-detailed saves them. Times are in seconds. A request
// succeeded where its entry in Errors is empty.
type Lists struct {
	InputLens, OutputLens []int
	TTFTs                 []float64
	ITLs                  [][]float64
	Latencies             []float64
	StartTimes            []float64 // CLOCK_MONOTONIC
	QueueTimes            []float64
	Texts, Errors         []string
}

// ListsOf measures the requests of a phase by vLLM's definitions. Base is what CLOCK_MONOTONIC showed at the run's epoch.
func ListsOf(records []lab.RequestRecord, phase string, base time.Duration) Lists {
	var mine []lab.RequestRecord
	for _, r := range records {
		if r.Phase == phase {
			mine = append(mine, r)
		}
	}
	slices.SortStableFunc(mine, func(a, b lab.RequestRecord) int { return cmp.Compare(a.Seq, b.Seq) })
	var l Lists
	for _, r := range mine {
		l.add(r, base)
	}
	return l
}

func (l *Lists) add(r lab.RequestRecord, base time.Duration) {
	start := r.Sent
	if start == 0 { // it never left
		start = r.Intended
	}
	input := r.WantInput
	var output int
	var ttft, latency float64
	var gaps []float64
	var text, fault string
	if came := messages(r); succeeded(r, came) {
		output, text = 1, r.Text // the kit counts the tokens of the text itself where the server does not; any message is one
		if u := r.Usage; u != nil && u.Output > 0 {
			output = u.Output
		}
		if u := r.Usage; u != nil && u.Input > 0 {
			input = u.Input
		}
		ttft, latency = seconds(came[0]-start), seconds(came[len(came)-1]-start)
		for i, at := range came[1:] {
			gaps = append(gaps, seconds(at-came[i]))
		}
	} else {
		fault = failure(r)
	}
	l.InputLens, l.OutputLens = append(l.InputLens, input), append(l.OutputLens, output)
	l.TTFTs, l.ITLs, l.Latencies = append(l.TTFTs, ttft), append(l.ITLs, gaps), append(l.Latencies, latency)
	l.StartTimes = append(l.StartTimes, seconds(base+start))
	l.QueueTimes = append(l.QueueTimes, seconds(start-r.Intended))
	l.Texts, l.Errors = append(l.Texts, text), append(l.Errors, fault)
}

// messages are the arrivals of all events that carried choices, with output or without.
func messages(r lab.RequestRecord) []time.Duration {
	all := make([]time.Duration, 0, len(r.Chunks)+len(r.Empty))
	for _, c := range r.Chunks {
		all = append(all, c.At)
	}
	all = append(all, r.Empty...)
	slices.Sort(all)
	return all
}

// succeeded is vLLM's rule: status 200 and a message, unless the exchange itself broke. An error event, an abort or a
// wrong number of tokens after the first message is a success there.
func succeeded(r lab.RequestRecord, came []time.Duration) bool {
	return r.Status == http.StatusOK && len(came) > 0 && !broke(r)
}

func broke(r lab.RequestRecord) bool {
	switch r.Error {
	case lab.ErrConnect, lab.ErrCut, lab.ErrTimeout, lab.ErrCanceled:
		return true
	case lab.ErrFormat: // an event that is no JSON ends the request there; one that ended in order only lacked output
		return r.Finish == "" || len(r.Chunks) > 0
	}
	return false
}

// noMessage is what the kit says of an answer that ended in good order and brought nothing.
const noMessage = "Never received a valid chunk to calculate TTFT.This response will be marked as failed!"

// failure is the kit's text for a failed request. Where the kit writes a Python traceback, this is what lab saw. It is
// never empty, for that would mean success.
func failure(r lab.RequestRecord) string {
	if r.Status != 0 && r.Status != http.StatusOK {
		return cmp.Or(http.StatusText(r.Status), fmt.Sprintf("HTTP %d", r.Status))
	}
	if r.Status == http.StatusOK && !broke(r) {
		return noMessage
	}
	return cmp.Or(r.Detail, r.Error, "no answer")
}

// Failures is what the kit prints in front of its result where requests failed, with the first ten errors; empty where none did.
func (l Lists) Failures() string {
	var out strings.Builder
	n := 0
	for _, fault := range l.Errors {
		if fault == "" || n == 10 {
			continue
		}
		if n == 0 {
			out.WriteString("Failed requests during benchmark run detected (capping to 10):\n")
		}
		fmt.Fprintf(&out, "Error %d: %s\n", n, fault)
		n++
	}
	return out.String()
}

func seconds(d time.Duration) float64 { return float64(d) / 1e9 }

// filled gives every list the length of the longest. A result that was saved without --save-detailed has two of them only.
func (l Lists) filled() Lists {
	n := max(len(l.InputLens), len(l.OutputLens), len(l.TTFTs), len(l.ITLs), len(l.Latencies), len(l.StartTimes), len(l.QueueTimes), len(l.Texts), len(l.Errors))
	return Lists{
		InputLens: fill(l.InputLens, n), OutputLens: fill(l.OutputLens, n), TTFTs: fill(l.TTFTs, n), ITLs: fill(l.ITLs, n), Latencies: fill(l.Latencies, n),
		StartTimes: fill(l.StartTimes, n), QueueTimes: fill(l.QueueTimes, n), Texts: fill(l.Texts, n), Errors: fill(l.Errors, n),
	}
}

func fill[T any](list []T, n int) []T {
	return append(slices.Clip(list), make([]T, n-len(list))...)
}
