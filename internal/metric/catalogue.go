package metric

import (
	"slices"
	"strings"

	"lab/internal/lab"
)

// Definitions is the version of the formulas; it rises when one changes, so that figures of different formulas are
// never compared unawares.
//
// 2: a chunk arrives when the kernel took it in, where it says so; until then it was when the client had read it.
const Definitions = 2

// Metric is one entry of the catalogue.
type Metric struct {
	Name    string
	Title   string
	Unit    string
	Formula string
	Sense   Sense
	Share   bool // compared by difference in its own unit, not by ratio
	Own     bool // tells of lab's own client, not of the server: no row of a comparison
}

// Sense says which direction of a metric is good.
type Sense int

// The senses.
const (
	Lower   Sense = iota // smaller is better
	Higher               // larger is better
	Neither              // tells, but is neither good nor bad
)

// quantities are measured once per request (or gap) and summed up by several statistics.
var quantities = []struct{ name, title, formula string }{
	{"ttft", "TTFT", "first chunk with output - intended moment"},
	{"tpot", "TPOT", "(last chunk - first chunk) / (output tokens - 1), per request"},
	{"itl", "ITL", "gap between chunks / tokens in the later chunk, once for each token"},
	{"e2el", "E2EL", "last chunk with output - intended moment"},
}

// statistics of a quantity, over the successful requests of a phase; percentiles by linear interpolation.
var statistics = []struct {
	name, title string
	quantile    float64 // -1: mean
}{
	{"mean", "mean", -1}, {"p50", "p50", 0.50}, {"p90", "p90", 0.90}, {"p95", "p95", 0.95}, {"p99", "p99", 0.99},
}

// singles are metrics with one value per phase.
var singles = []Metric{
	{Name: "output_throughput", Title: "output throughput", Unit: "tok/s", Sense: Higher, Formula: "output tokens of successful requests / (last response - start of the phase)"},
	{Name: "total_throughput", Title: "total throughput", Unit: "tok/s", Sense: Higher, Formula: "input and output tokens of successful requests / (last response - start of the phase)"},
	{Name: "request_throughput", Title: "request throughput", Unit: "req/s", Sense: Higher, Formula: "successful requests / (last response - start of the phase)"},
	{Name: "output_throughput.peak", Title: "peak output", Unit: "tok/s", Sense: Neither, Formula: "most output tokens that arrived within any one second"},
	{Name: "concurrency.max", Title: "most in flight", Unit: "requests", Sense: Neither, Formula: "most requests that were sent and not yet ended at one moment"},
	{Name: "goodput", Title: "goodput", Unit: "share", Sense: Higher, Share: true, Formula: "requests that succeed within every limit of slo / requests offered"},
	{Name: "error_share", Title: "errors", Unit: "share", Sense: Lower, Share: true, Formula: "requests that do not succeed / requests offered"},
	{Name: "energy_per_token", Title: "energy", Unit: "J/tok", Sense: Lower, Formula: "energy of all GPUs over the phase / output tokens of successful requests"},
	{Name: "power.mean", Title: "GPU power", Unit: "W", Sense: Neither, Formula: "energy of all GPUs over the phase / its length"},
	{Name: "gpu_util.mean", Title: "GPU utilisation", Unit: "%", Sense: Neither, Share: true, Formula: "mean of the samples: share of time with a kernel running"},
	{Name: "gpu_mem.max", Title: "GPU memory", Unit: "bytes", Sense: Neither, Formula: "largest sample, summed over GPUs"},
	{Name: "sampler_cpu", Title: "sampler CPU", Unit: "cores", Sense: Neither, Own: true, Formula: "CPU time of the process that samples the hardware over the phase / its length"},
	{Name: "sampler_late.p99", Title: "sampler lateness p99", Unit: "s", Sense: Neither, Own: true, Formula: "99th percentile of how late a reading of GPU power began, over the whole run"},
	{Name: "kv_usage.max", Title: "KV cache usage", Unit: "share", Sense: Neither, Share: true, Formula: "largest sample of the engine's own gauge"},
	{Name: "prefix_hit_share", Title: "prefix cache hits", Unit: "share", Sense: Neither, Share: true, Formula: "prompt tokens found in the cache / looked up, over the phase, by the engine's counters"},
	{Name: "preemptions", Title: "preemptions", Unit: "count", Sense: Neither, Share: true, Formula: "increase of the engine's counter over the phase"},
	{Name: "queue_time.mean", Title: "time in the queue", Unit: "s", Sense: Neither, Formula: "mean over requests that ended in the phase: waiting to be scheduled, by the engine's counters"},
	{Name: "prefill_time.mean", Title: "prefill time", Unit: "s", Sense: Neither, Formula: "mean over requests that ended in the phase: scheduled to first token, by the engine's counters"},
	{Name: "decode_time.mean", Title: "decode time", Unit: "s", Sense: Neither, Formula: "mean over requests that ended in the phase: first to last token, by the engine's counters"},
	{Name: "spec_accept_share", Title: "drafts accepted", Unit: "share", Sense: Neither, Share: true, Formula: "draft tokens accepted / drafted, over the phase, by the engine's counters"},
	{Name: "server_cpu", Title: "server CPU", Unit: "cores", Sense: Neither, Formula: "CPU time of the server's processes over the phase / its length"},
	{Name: "startup", Title: "server start-up", Unit: "s", Sense: Lower, Formula: "server ready, a first token included - server process started; once a run"},
}

// catalogue is what Catalogue lists, put together once: verdicts look in it for every figure of every run.
var catalogue = catalogued()

func catalogued() []Metric {
	var all []Metric
	for _, q := range quantities {
		for _, s := range statistics {
			all = append(all, Metric{Name: q.name + "." + s.name, Title: q.title + " " + s.title, Unit: "s", Formula: s.title + " of " + q.formula})
		}
	}
	return slices.Concat(all, singles, stepMetrics(), ownMetrics())
}

// Catalogue lists every metric, in the order in which they are shown.
func Catalogue() []Metric { return slices.Clone(catalogue) }

// Names lists the names of the catalogue.
func Names() []string {
	var names []string
	for _, m := range catalogue {
		names = append(names, m.Name)
	}
	return names
}

// Find looks a metric up by name.
func Find(name string) (Metric, bool) {
	i := slices.IndexFunc(catalogue, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return catalogue[i], true
}

// In says where a metric's figure of a phase is: among those of the run as a whole where it is measured once a run.
func In(phase, name string) string {
	if name == "startup" {
		return WholeRun
	}
	return phase
}

// Default is the metric that decides where an experiment names none: in an open loop throughput is what was asked for,
// so time per token decides; in a closed loop throughput does.
func Default(l lab.Load) string {
	if l.Open() {
		return "tpot.mean"
	}
	return "output_throughput"
}

// Suggest finds the name nearest to a misspelt one, or "".
func Suggest(name string) string {
	best, distance := "", 1+len(name)/2
	for _, known := range Names() {
		if d := lab.Edits(strings.ToLower(name), known); d < distance {
			best, distance = known, d
		}
	}
	return best
}
