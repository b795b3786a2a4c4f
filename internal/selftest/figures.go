package selftest

import (
	"fmt"
	"slices"
	"time"

	"lab/internal/metric"
)

// figure is one of the figures that are taken of every run.
type figure struct{ name, title, unit string }

// leftOut counts the requests of which client and server tell different things: nothing else is said of them.
const leftOut = "left_out"

// figures lists them in the order of the table.
var figures = []figure{
	{"ttft_error.mean", "TTFT error, mean", "ms"},
	{"ttft_p99.error", "TTFT p99 - truth's p99", "ms"},
	{"ttft_error.p99", "TTFT error, p99", "ms"},
	{"send.mean", "way to the server, mean", "ms"},
	{"receive.mean", "way back, mean", "ms"},
	{"gap_p99.error", "gap p99, off the truth's", "ms"},
	{"gap_p99", "gap p99 as reported", "ms"},
	{"gap_p99.truth", "gap p99, the truth's", "ms"},
	{"gap_error.p99", "gap error, p99", "ms"},
	{"lateness.p99", "sent - intended, p99", "ms"},
	{"written_lateness.p99", "last byte - intended, p99", "ms"},
	{"cpu", "CPU", "ms/1000 tok"},
	{"resident", "resident memory, peak", "MB"},
	{"start_up", "start-up to first request", "ms"},
	{"server_late.p99", "server late, p99", "ms"},
	{"server_late.max", "server late, max", "ms"},
	{leftOut, "requests left out of a run, most", "requests"},
	{"others", "other programs on the two cores", "%"},
}

// value is a figure of one run. It is absent where n is 0.
type value struct {
	value float64
	n     int
}

func ms(d int64) float64 { return float64(d) / 1e6 }

// compare sets what a client saw beside the truth. Both must tell of the same tokens; requests of which they do not are left
// out, and said in a note.
func compare(r report, truth map[string]Truth, timing Timing) (map[string]value, []string) {
	t := tally{timing: timing, values: map[string][]float64{}}
	odd, example := 0, ""
	for _, s := range r.seen {
		known, found := truth[s.ID]
		switch {
		case s.Error != "":
			example = "request " + s.ID + ": " + s.Error
		case !found:
			example = "request " + s.ID + " is not known to the server"
		case len(known.Before) != len(s.Tokens) || len(s.Tokens) == 0:
			example = fmt.Sprintf("request %s: the server wrote %d tokens, %d were seen", s.ID, len(known.Before), len(s.Tokens))
		default:
			t.add(s, known)
			continue
		}
		odd++
	}
	notes := slices.Clone(r.notes)
	if odd > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d requests are left out; %s", odd, len(r.seen), example))
	}
	if t.blocked > 0 {
		notes = append(notes, fmt.Sprintf("%d tokens did not fit into the socket at once: the client read too slowly, and their true moments are not exact", t.blocked))
	}
	all := t.figures(r)
	all[leftOut] = value{float64(odd), len(r.seen)}
	return all, notes
}

// tally gathers the differences of one run, in milliseconds.
type tally struct {
	timing  Timing
	values  map[string][]float64
	tokens  int
	blocked int
	first   int64 // when the first request was sent
}

func (t *tally) put(name string, v float64) { t.values[name] = append(t.values[name], v) }

func (t *tally) add(s Seen, known Truth) {
	t.tokens += len(s.Tokens)
	t.blocked += known.Blocked
	t.put("ttft", ms(int64(s.TTFT)))
	t.put("ttft.truth", ms(int64(known.TTFT())))
	t.put("ttft_error", ms(int64(s.TTFT-known.TTFT())))
	t.put("receive", ms(s.Tokens[0]-known.Before[0]))
	origin := s.Tokens[0] - int64(s.TTFT) // what the client counts from
	t.put("send", ms(known.Received-origin))
	if s.Intended > 0 && s.Sent > 0 {
		t.put("lateness", ms(s.Sent-s.Intended))
	}
	if s.Intended > 0 && s.Written > 0 {
		t.put("written_lateness", ms(s.Written-s.Intended))
	}
	if s.Sent > 0 && (t.first == 0 || s.Sent < t.first) {
		t.first = s.Sent
	}
	for i, at := range known.Before {
		t.put("server_late", ms(at-known.Due(i, t.timing)))
		if i == 0 {
			continue
		}
		gap, written := s.Tokens[i]-s.Tokens[i-1], at-known.Before[i-1]
		t.put("gap", ms(gap))
		t.put("gap.truth", ms(written))
		t.put("gap_error", max(ms(gap-written), ms(written-gap)))
	}
}

// p99 is the percentile of what was gathered under a name.
func (t *tally) p99(name string) value { return t.quantile(name, 0.99) }

func (t *tally) quantile(name string, q float64) value {
	all := t.values[name]
	if len(all) == 0 {
		return value{}
	}
	slices.Sort(all)
	return value{metric.Quantile(all, q), len(all)}
}

func (t *tally) mean(name string) value {
	all := t.values[name]
	if len(all) == 0 {
		return value{}
	}
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return value{sum / float64(len(all)), len(all)}
}

func (t *tally) figures(r report) map[string]value {
	difference := func(a, b value) value { return value{a.value - b.value, min(a.n, b.n)} }
	gaps := difference(t.p99("gap"), t.p99("gap.truth"))
	gaps.value = max(gaps.value, -gaps.value)
	all := map[string]value{
		"ttft_error.mean": t.mean("ttft_error"), "ttft_error.p99": t.p99("ttft_error"), "ttft_p99.error": difference(t.p99("ttft"), t.p99("ttft.truth")),
		"send.mean": t.mean("send"), "receive.mean": t.mean("receive"),
		"gap_p99.error": gaps, "gap_p99": t.p99("gap"), "gap_p99.truth": t.p99("gap.truth"), "gap_error.p99": t.p99("gap_error"),
		"lateness.p99": t.p99("lateness"), "written_lateness.p99": t.p99("written_lateness"),
		"server_late.p99": t.p99("server_late"), "server_late.max": t.quantile("server_late", 1),
	}
	if t.tokens > 0 {
		all["cpu"] = value{ms(int64(r.cpu)) / float64(t.tokens) * 1000, t.tokens}
	}
	if r.resident > 0 {
		all["resident"] = value{float64(r.resident) / 1e6, 1}
	}
	if t.first > 0 {
		all["start_up"] = value{ms(t.first - r.began), 1}
	}
	return all
}

// limit is what lab's client promises for a load.
type limit struct {
	figure string
	value  float64
}

// limits are the promises by streams, for the loads of this package: 50 ms to the first token, 10 ms between them.
var limits = map[int][]limit{
	1:    {{"ttft_error.mean", 0.4}, {"ttft_p99.error", 2}, {"gap_p99.error", 0.3}},
	10:   {{"ttft_error.mean", 0.3}, {"ttft_p99.error", 1}, {"gap_p99.error", 0.1}, {"cpu", 60}},
	100:  {{"ttft_error.mean", 0.6}, {"ttft_p99.error", 5}, {"gap_p99.error", 0.1}, {"cpu", 40}},
	500:  {{"ttft_error.mean", 2.5}, {"ttft_p99.error", 15}, {"gap_p99.error", 0.3}, {"cpu", 22}, {"resident", 100}},
	1000: {{"ttft_error.mean", 10}, {"ttft_p99.error", 20}, {"gap_p99.error", 3}, {"cpu", 16}},
}

// openLimits are those of an open loop up to fastestRate.
var openLimits = []limit{{"lateness.p99", 1}}

const (
	fastestRate  = 2000
	startUpLimit = 50 * time.Millisecond
)
