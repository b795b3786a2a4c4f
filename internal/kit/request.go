package kit

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// Experiment is what the arguments ask for: an attached server and one phase of load named "load".
func (a *Arguments) Experiment() (lab.Experiment, error) {
	l, err := a.load()
	if err != nil {
		return lab.Experiment{}, err
	}
	slo, err := a.goodput()
	if err != nil {
		return lab.Experiment{}, err
	}
	e := lab.Experiment{
		Name:   a.experimentName(),
		Server: lab.Server{BaseURL: a.baseURL(), Model: a.Word("served-model-name")},
		Phases: []lab.Phase{{Name: "load", Judged: true, Load: l}},
		SLO:    slo, Margin: margin,
		Telemetry: lab.Telemetry{Period: lab.Duration(telemetryPeriod)},
	}
	if e.Server.Model == "" {
		e.Server.Model = a.Word("model")
	}
	if faults := e.Validate(); len(faults) > 0 {
		return e, &ArgumentError{Problem: a.inWords(faults)}
	}
	return e, nil
}

func (a *Arguments) experimentName() string {
	if label := a.Word("label"); label != "" {
		return label
	}
	return "bench " + a.Word("dataset-name")
}

func (a *Arguments) baseURL() string {
	if url := a.Word("base-url"); url != "" {
		return strings.TrimSuffix(strings.TrimRight(url, "/"), "/v1")
	}
	return "http://" + net.JoinHostPort(a.Word("host"), a.Word("port"))
}

// Backend is the name that the result carries.
func (a *Arguments) Backend() string {
	if !a.Given("backend") && a.Given("endpoint-type") {
		return a.Word("endpoint-type")
	}
	return a.Word("backend")
}

func (a *Arguments) load() (lab.Load, error) {
	l := lab.Load{
		Concurrency: a.whole("max-concurrency"), Requests: a.whole("num-prompts"), Seed: uint64(a.whole("seed")),
		Warmup: a.whole("num-warmups"), API: "completions", Endpoint: a.Word("endpoint"),
		OnDemand: !a.Has("preconnect"), KeepText: a.Has("save-detailed"), RequestTimeout: lab.Duration(requestTimeout),
	}
	if a.Backend() == "openai-chat" {
		l.API = "chat"
	}
	if err := a.checkCounts(); err != nil {
		return l, err
	}
	if err := a.checkEndpoint(); err != nil {
		return l, err
	}
	if err := a.arrivals(&l); err != nil {
		return l, err
	}
	if err := a.dataset(&l); err != nil {
		return l, err
	}
	return l, a.body(&l)
}

func (a *Arguments) checkCounts() error {
	for _, name := range []string{"max-concurrency", "num-prompts"} {
		if a.Given(name) && a.whole(name) <= 0 {
			return &ArgumentError{"--" + name, "must be above zero"}
		}
	}
	if a.whole("seed") < 0 {
		return &ArgumentError{"--seed", "must not be negative"}
	}
	return nil
}

// checkEndpoint: a path that does not fit the backend would get nothing but errors.
func (a *Arguments) checkEndpoint() error {
	end, path := "completions", a.Word("endpoint")
	if a.Backend() == "openai-chat" {
		end = "chat/completions"
	}
	if path != "" && (!strings.HasPrefix(path, "/") || !strings.HasSuffix(path, end)) {
		return &ArgumentError{"--endpoint", fmt.Sprintf("%q: the path for --backend %s begins with / and ends in %s", path, a.Backend(), end)}
	}
	return nil
}

// arrivals: a rate, all at once, or a ramp.
func (a *Arguments) arrivals(l *lab.Load) error {
	strategy := a.Word("ramp-up-strategy")
	if strategy == "" {
		if a.Given("ramp-up-start-rps") || a.Given("ramp-up-end-rps") {
			return &ArgumentError{"--ramp-up-strategy", "is missing: linear or exponential"}
		}
		l.Rate, l.Burstiness = lab.Number(a.number("request-rate")), lab.Number(a.number("burstiness"))
		return nil
	}
	if a.Given("request-rate") && !math.IsInf(a.number("request-rate"), 1) {
		return &ArgumentError{"--request-rate", "a ramp-up sets the rate: leave --request-rate out"}
	}
	if !a.Given("ramp-up-start-rps") || !a.Given("ramp-up-end-rps") {
		return &ArgumentError{"--ramp-up-strategy", "needs --ramp-up-start-rps and --ramp-up-end-rps"}
	}
	r := &lab.RampUp{Strategy: strategy, Start: a.whole("ramp-up-start-rps"), End: a.whole("ramp-up-end-rps")}
	if r.Start < 0 || r.End <= 0 || r.Start > r.End || strategy == "exponential" && r.Start == 0 {
		return &ArgumentError{"--ramp-up-start-rps", "must not be above --ramp-up-end-rps nor negative, and not 0 for an exponential ramp"}
	}
	l.RampUp, l.Burstiness = r, lab.Number(a.number("burstiness"))
	return nil
}

// body: the sampling flags, --extra-body over them, and whether the model may end early.
func (a *Arguments) body(l *lab.Load) error {
	l.ServerSampling = !a.Given("temperature")
	l.Body = map[string]any{"ignore_eos": a.Has("ignore-eos") || slices.Contains([]string{"random", "random-mm", "timed_trace"}, l.Dataset.Kind)}
	if a.Given("temperature") {
		t := a.number("temperature")
		l.Temperature = &t
	}
	for flag, field := range map[string]string{
		"top-p": "top_p", "min-p": "min_p", "frequency-penalty": "frequency_penalty",
		"presence-penalty": "presence_penalty", "repetition-penalty": "repetition_penalty",
	} {
		if a.Given(flag) {
			l.Body[field] = a.number(flag)
		}
	}
	for flag, field := range map[string]string{"top-k": "top_k", "logprobs": "logprobs"} {
		if a.Given(flag) {
			l.Body[field] = a.whole(flag)
		}
	}
	if a.Given("extra-body") {
		if err := json.Unmarshal([]byte(a.Word("extra-body")), &l.Body); err != nil {
			return &ArgumentError{"--extra-body", err.Error()}
		}
	}
	if _, ok := l.Body["temperature"]; ok {
		l.ServerSampling, l.Temperature = true, nil // what --extra-body says holds
	}
	return nil
}

// longestLimit, in milliseconds, is far beyond every request and within what a duration holds.
const longestLimit = 1e12

// goodput reads ttft:200 tpot:50 e2el:5000, in milliseconds; the last of two for one metric holds.
func (a *Arguments) goodput() ([]lab.SLO, error) {
	var all []lab.SLO
	for _, word := range a.given["goodput"] {
		metric, limit, ok := strings.Cut(word, ":")
		ms, err := strconv.ParseFloat(limit, 64)
		switch {
		case !ok || err != nil || math.IsNaN(ms):
			return nil, &ArgumentError{"--goodput", fmt.Sprintf("%q is not METRIC:MILLISECONDS, such as ttft:200", word)}
		case !slices.Contains([]string{"ttft", "tpot", "e2el"}, metric):
			return nil, &ArgumentError{"--goodput", fmt.Sprintf("invalid metric name %q: there are ttft, tpot, e2el", metric)}
		case !(ms > 0 && ms < longestLimit):
			return nil, &ArgumentError{"--goodput", fmt.Sprintf("%q: a limit must be above zero and below %.0f", word, longestLimit)}
		}
		all = slices.DeleteFunc(all, func(s lab.SLO) bool { return s.Metric == metric })
		all = append(all, lab.SLO{Metric: metric, Limit: lab.Duration(math.Round(ms * 1e6))})
	}
	return all, nil
}

// Header is what --header adds to every request.
func (a *Arguments) Header() (http.Header, error) {
	pairs, err := a.pairs("header")
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, p := range pairs {
		header.Set(p[0], p[1])
	}
	return header, nil
}

var tuple = regexp.MustCompile(`\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)\s*:\s*([0-9.eE+-]+)`)

// buckets reads Python's {(height, width, frames): share, …}. lab makes images, so buckets of videos must have no share.
func buckets(text string) ([]lab.ImageBucket, error) {
	var all []lab.ImageBucket
	for _, m := range tuple.FindAllStringSubmatch(text, -1) {
		height, _ := strconv.Atoi(m[1])
		width, _ := strconv.Atoi(m[2])
		share, err := strconv.ParseFloat(m[4], 64)
		if err != nil || share < 0 {
			return nil, fmt.Errorf("%s: the share must be a number, and not negative", m[0])
		}
		if m[3] != "1" {
			if share > 0 {
				return nil, fmt.Errorf("%s: lab makes images, no videos", m[0])
			}
			continue
		}
		if share > 0 {
			all = append(all, lab.ImageBucket{Width: width, Height: height, Share: share})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q is not {(height, width, 1): share, …}", text)
	}
	return all, nil
}
