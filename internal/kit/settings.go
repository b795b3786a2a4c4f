package kit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Apply puts what the command line says of the result over what is known of the run.
func (a *Arguments) Apply(b Bench) (Bench, error) {
	pairs, err := a.pairs("metadata")
	if err != nil {
		return b, err
	}
	for _, p := range pairs {
		b.Metadata = append(b.Metadata, Pair{p[0], p[1]})
	}
	if b.Percentiles, err = a.percentiles(); err != nil {
		return b, err
	}
	if b.Metrics, err = a.metrics(); err != nil {
		return b, err
	}
	b.Backend, b.Label, b.Detailed = a.Backend(), a.Word("label"), a.Has("save-detailed")
	if model := a.Word("model"); model != "" {
		b.Model = model
	}
	b.Tokenizer = b.Model
	if name := a.Word("tokenizer"); name != "" {
		b.Tokenizer = name
	}
	return b, nil
}

func (a *Arguments) percentiles() ([]float64, error) {
	var all []float64
	for _, word := range strings.Split(a.Word("metric-percentiles"), ",") {
		p, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || math.IsNaN(p) || p < 0 || p > 100 {
			return nil, &ArgumentError{"--metric-percentiles", fmt.Sprintf("%q is no number from 0 to 100", word)}
		}
		all = append(all, p)
	}
	return all, nil
}

func (a *Arguments) metrics() ([]string, error) {
	all := strings.Split(a.Word("percentile-metrics"), ",")
	for i, word := range all {
		all[i] = strings.TrimSpace(word)
		known := false
		for _, q := range quantities {
			known = known || q.name == all[i]
		}
		if !known {
			return nil, &ArgumentError{"--percentile-metrics", fmt.Sprintf("%q is not one of ttft, tpot, itl, e2el, client_queue_time, e2el_including_client_queue", word)}
		}
	}
	return all, nil
}

// ReadyCheck is how long the server may take to be there; 0: it must be there.
func (a *Arguments) ReadyCheck() time.Duration {
	return time.Duration(a.whole("ready-check-timeout-sec")) * time.Second
}
