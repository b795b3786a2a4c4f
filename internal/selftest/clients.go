package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// The clients that can be measured.
const (
	nameLab   = "lab"
	namePlain = "net/http"
	nameVLLM  = "vllm bench"
)

// report is what a client gave for one load.
type report struct {
	child
	seen  []Seen
	notes []string
}

// setting is one load on a truth server, as a client meets it.
type setting struct {
	url     string
	load    lab.Load
	scratch string // a folder for this run alone
	core    int
}

// runLab measures the server with `lab run` as a user would: everything that it normally records is recorded, into a store
// of its own.
func (o Options) runLab(ctx context.Context, s setting) (report, error) {
	phase := map[string]any{"requests": s.load.Requests, "seed": s.load.Seed, "warmup": 0, "dataset": map[string]any{
		"kind": "random", "input_tokens": s.load.Dataset.InputTokens, "output_tokens": s.load.Dataset.OutputTokens, "vocab": vocab}}
	if s.load.Open() {
		phase["rate"] = float64(s.load.Rate)
	} else {
		phase["concurrency"] = s.load.Concurrency
	}
	text, err := json.Marshal(map[string]any{ // JSON is YAML
		"name": "selftest", "server": map[string]any{"model": truthModel, "base_url": s.url}, "load": phase,
	})
	if err != nil {
		return report{}, fmt.Errorf("write experiment: %w", err)
	}
	file, records := filepath.Join(s.scratch, "selftest.yaml"), filepath.Join(s.scratch, "records")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return report{}, fmt.Errorf("write experiment: %w", err)
	}
	argv := []string{o.Self, "run", "--json", file}
	if o.Profiles != "" {
		argv = append(argv, "--pprof", filepath.Join(o.Profiles, profileName(s.load)))
	}
	// The box is locked already, by the selftest itself.
	c, err := runClient(ctx, s.core, argv, []string{"LAB_DIR=" + records, "LAB_LOCK_DIR=" + filepath.Join(s.scratch, "locks")}, nil)
	if err != nil {
		return report{}, err
	}
	r := report{child: c}
	const invalid = 6 // lab's own verdict on its figures, which is a finding here too
	if c.code != 0 && c.code != invalid {
		return r, c.failed("lab run")
	}
	return r, r.readRecords(records)
}

func profileName(l lab.Load) string {
	return strings.NewReplacer(" ", "-", "/", "-per-").Replace(title(l)) + ".pprof"
}

func (r *report) readRecords(dir string) error {
	db, err := store.Open(dir)
	if err != nil {
		return err
	}
	runs, err := db.List()
	if err != nil {
		return err
	}
	if len(runs) != 1 {
		return fmt.Errorf("read lab's records: there are %d runs in %s, not one", len(runs), dir)
	}
	sealed, err := db.Sealed(runs[0].ID)
	if err != nil {
		return err
	}
	tables, err := db.Tables(runs[0].ID)
	if err != nil {
		return err
	}
	for _, f := range sealed.Run.Findings {
		if f.Level == lab.Invalid {
			r.notes = append(r.notes, "lab calls its own run invalid: "+f.Detail)
		}
	}
	epoch := sealed.Run.Epoch.Monotonic
	moment := func(at int64) int64 {
		if at == 0 {
			return 0
		}
		return epoch + at
	}
	for _, rec := range tables.Requests {
		seen := Seen{
			ID: "lab-" + sealed.Run.ID + "-" + strconv.Itoa(rec.Seq), Error: rec.Error,
			Intended: moment(int64(rec.Intended)), Sent: moment(int64(rec.Sent)), Written: moment(int64(rec.Written)),
		}
		seen.TTFT, _ = rec.TTFT()
		for _, c := range rec.Chunks {
			seen.Tokens = append(seen.Tokens, moment(int64(c.At)))
		}
		r.seen = append(r.seen, seen)
	}
	return nil
}

func (o Options) runPlain(ctx context.Context, s setting) (report, error) {
	prompt := make([]int, s.load.Dataset.InputTokens)
	for i := range prompt {
		prompt[i] = 100 + i
	}
	text, err := json.Marshal(plainLoad{URL: s.url, Load: s.load, Prompt: prompt})
	if err != nil {
		return report{}, fmt.Errorf("write the plain client's load: %w", err)
	}
	c, err := runClient(ctx, s.core, append([]string{o.Self}, o.Plain...), nil, text)
	if err != nil {
		return report{}, err
	}
	r := report{child: c}
	if c.code != 0 {
		return r, c.failed("the plain client")
	}
	if err := json.Unmarshal(c.stdout, &r.seen); err != nil {
		return r, fmt.Errorf("read what the plain client saw: %w", err)
	}
	return r, nil
}

// runVLLM measures with `vllm bench serve` of an installation. Its result file holds a start, the time to the first token and
// the gaps of each request, in the order in which it numbered them.
func (o Options) runVLLM(ctx context.Context, s setting) (report, error) {
	rate := "inf"
	if s.load.Open() {
		rate = strconv.FormatFloat(float64(s.load.Rate), 'g', -1, 64)
	}
	argv := []string{filepath.Join(o.VLLM, "bin", "vllm"), "bench", "serve", "--backend", "openai", "--base-url", s.url, "--endpoint", "/v1/completions",
		"--model", truthModel, "--tokenizer", o.Tokenizer, "--dataset-name", "random", "--random-input-len", strconv.Itoa(s.load.Dataset.InputTokens),
		"--random-output-len", strconv.Itoa(s.load.Dataset.OutputTokens), "--num-prompts", strconv.Itoa(s.load.Requests), "--request-rate", rate,
		"--seed", strconv.FormatUint(s.load.Seed, 10), "--ignore-eos", "--disable-tqdm", "--request-id-prefix", "vllm-",
		"--save-result", "--save-detailed", "--result-dir", s.scratch, "--result-filename", "vllm.json"}
	if !s.load.Open() {
		argv = append(argv, "--max-concurrency", strconv.Itoa(s.load.Concurrency))
	}
	c, err := runClient(ctx, s.core, argv, []string{"HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1"}, nil)
	if err != nil {
		return report{}, err
	}
	r := report{child: c}
	if c.code != 0 {
		return r, c.failed(nameVLLM)
	}
	text, err := os.ReadFile(filepath.Join(s.scratch, "vllm.json"))
	if err != nil {
		return r, fmt.Errorf("read the result of %s: %w", nameVLLM, err)
	}
	r.seen, err = parseVLLM(text)
	return r, err
}

// parseVLLM reads a result of `vllm bench serve --save-detailed`. Its clock is CLOCK_MONOTONIC in seconds; what it does not
// tell is when it meant to send.
func parseVLLM(text []byte) ([]Seen, error) {
	var result struct {
		Starts []float64   `json:"start_times"`
		TTFTs  []float64   `json:"ttfts"`
		Gaps   [][]float64 `json:"itls"`
		Errors []string    `json:"errors"`
	}
	text = []byte(strings.NewReplacer("Infinity", "null", "NaN", "null").Replace(string(text))) // Python's words, which are no JSON
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("read the result of %s: %w", nameVLLM, err)
	}
	n := len(result.TTFTs)
	if n == 0 || len(result.Starts) != n || len(result.Gaps) != n || len(result.Errors) != n {
		return nil, errors.New("read the result of " + nameVLLM + ": start_times, ttfts, itls and errors must be there and of one length")
	}
	ns := func(seconds float64) int64 { return int64(math.Round(seconds * 1e9)) }
	seen := make([]Seen, n)
	for i := range seen {
		s := Seen{ID: "vllm-" + strconv.Itoa(i), Sent: ns(result.Starts[i]), Error: result.Errors[i]}
		if s.Error == "" {
			at := result.Starts[i] + result.TTFTs[i]
			s.TTFT = time.Duration(ns(result.TTFTs[i]))
			s.Tokens = append(s.Tokens, ns(at))
			for _, gap := range result.Gaps[i] {
				at += gap
				s.Tokens = append(s.Tokens, ns(at))
			}
		}
		seen[i] = s
	}
	return seen, nil
}
