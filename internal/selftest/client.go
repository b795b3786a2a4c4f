package selftest

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lab/internal/lab"
)

// Options says what `lab selftest client` measures and with what.
type Options struct {
	Self      string   // path of this binary
	Server    []string // arguments with which it plays the truth server
	Plain     []string // and the plain client
	Streams   []int    // loads of a closed loop
	Rates     []int    // loads of an open loop, requests a second
	Repeat    int
	VLLM      string // a virtual environment whose `vllm bench serve` is measured too; empty: none
	Tokenizer string // folder of the tokenizer that it builds its prompts with
	Profiles  string // a folder for CPU profiles of lab's runs; empty: none
	Progress  func(string)
}

// The loads are those of the peers' published figures, so that they can be set beside them.
const (
	inputTokens = 32
	vocab       = 512
	firstToken  = 50 * time.Millisecond
	tokenGap    = 10 * time.Millisecond
	openSeconds = 10
	openTokens  = 4 // short answers: what is tested is the sending
	fewTokens   = 25
	manyTokens  = 100
)

func closedLoad(streams int) lab.Load {
	tokens := manyTokens
	if streams < 10 { // else the twenty requests at least would take half a minute
		tokens = fewTokens
	}
	return lab.Load{Concurrency: streams, Requests: max(20, 3*streams), Seed: 1, API: "completions",
		Dataset: lab.Dataset{Kind: "random", InputTokens: inputTokens, OutputTokens: tokens}}
}

func openLoad(rate int) lab.Load {
	return lab.Load{Rate: lab.Number(rate), Requests: openSeconds * rate, Seed: 1, API: "completions",
		Dataset: lab.Dataset{Kind: "random", InputTokens: inputTokens, OutputTokens: openTokens}}
}

// title names a load.
func title(l lab.Load) string {
	switch {
	case l.Open():
		return fmt.Sprintf("%g req/s", float64(l.Rate))
	case l.Concurrency == 1:
		return "1 stream"
	}
	return fmt.Sprintf("%d streams", l.Concurrency)
}

// expected is about how long a client needs for a load when it is not the limit.
func expected(l lab.Load) time.Duration {
	answer := firstToken + time.Duration(l.Dataset.OutputTokens-1)*tokenGap
	if l.Open() {
		return time.Duration(float64(l.Requests)/float64(l.Rate)*float64(time.Second)) + answer
	}
	return answer * time.Duration((l.Requests+l.Concurrency-1)/l.Concurrency)
}

// client is one that is measured.
type client struct {
	name string
	run  func(context.Context, setting) (report, error)
}

func (o Options) clients() []client {
	all := []client{{nameLab, o.runLab}, {namePlain, o.runPlain}}
	if o.VLLM != "" {
		all = append(all, client{nameVLLM, o.runVLLM})
	}
	return all
}

// Client runs every load with every client in turn, each against a truth server of its own, and sets what they report beside
// what the servers know. Host and version of the result are the caller's to fill in.
func Client(ctx context.Context, o Options) (lab.ClientAccuracy, error) {
	began := time.Now()
	places := choosePlaces()
	result := lab.ClientAccuracy{Places: places.note, Pinned: places.client >= 0, Repeat: o.Repeat}
	for _, c := range o.clients() {
		result.Clients = append(result.Clients, c.name)
	}
	var loads []lab.Load
	for _, n := range o.Streams {
		loads = append(loads, closedLoad(n))
	}
	for _, rate := range o.Rates {
		loads = append(loads, openLoad(rate))
	}
	all := make([]outcome, len(loads))
	step, steps := 0, o.Repeat*len(loads)*len(o.clients())
	for range o.Repeat {
		for i, l := range loads {
			for _, c := range o.clients() {
				step++
				o.Progress(fmt.Sprintf("%d/%d  %s with %s, %s at least", step, steps, title(l), c.name, expected(l).Round(100*time.Millisecond)))
				values, notes, err := o.one(ctx, l, c, places)
				if err != nil {
					return result, fmt.Errorf("measure %s with %s: %w", title(l), c.name, err)
				}
				all[i].add(c.name, values, notes)
			}
		}
	}
	for i, l := range loads {
		result.Loads = append(result.Loads, all[i].load(l, result.Clients))
	}
	result.Took = time.Since(began)
	return result, nil
}

// one measures one client once.
func (o Options) one(ctx context.Context, l lab.Load, c client, places places) (map[string]value, []string, error) {
	scratch, err := os.MkdirTemp("", "lab-selftest-")
	if err != nil {
		return nil, nil, fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	timing := Timing{First: firstToken, Gap: tokenGap, Input: l.Dataset.InputTokens}
	watch := watchOthers(places)
	server, err := startTruth(ctx, append([]string{o.Self}, o.Server...), places.server, timing)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.run(ctx, setting{url: server.url, load: l, scratch: filepath.Clean(scratch), core: places.client})
	others, known := watch.share(server.cmd.Process.Pid, r.cpu)
	truth, truthErr := server.end()
	if err != nil {
		return nil, nil, err
	}
	if truthErr != nil {
		return nil, nil, truthErr
	}
	values, notes := compare(r, truth, timing)
	if known {
		values["others"] = value{100 * others.value, others.n}
		if others.value > crowded {
			notes = append(notes, "other programs had a good part of the two cores: its figures are of a crowded machine")
		}
	}
	return values, notes, nil
}

// outcome is what every run of one load gave.
type outcome struct {
	values map[string]map[string][]value // by client, by figure
	notes  []string
}

func (o *outcome) add(client string, values map[string]value, notes []string) {
	if o.values == nil {
		o.values = map[string]map[string][]value{}
	}
	if o.values[client] == nil {
		o.values[client] = map[string][]value{}
	}
	for name, v := range values {
		if v.n > 0 {
			o.values[client][name] = append(o.values[client][name], v)
		}
	}
	for _, n := range notes {
		if note := client + ": " + n; !slices.Contains(o.notes, note) {
			o.notes = append(o.notes, note)
		}
	}
}

// load makes the rows of one load.
func (o *outcome) load(l lab.Load, clients []string) lab.AccuracyLoad {
	made := lab.AccuracyLoad{
		Title: title(l), Streams: l.Concurrency, Rate: float64(l.Rate), Requests: l.Requests, Tokens: l.Dataset.OutputTokens,
		First: firstToken, Gap: tokenGap, Notes: o.notes,
	}
	promised := promises(l)
	for _, f := range figures {
		row := lab.AccuracyRow{Figure: f.name, Title: f.title, Unit: f.unit}
		for _, c := range clients {
			if cell, ok := o.cell(c, f.name); ok {
				row.Cells = append(row.Cells, cell)
			}
		}
		judge(&row, promised)
		if tells(row, l) {
			made.Rows = append(made.Rows, row)
		}
	}
	return made
}

// tells says whether a row is of use: in a closed loop every request is sent when the one before it has ended, and that
// nothing was left out is as it should be.
func tells(row lab.AccuracyRow, l lab.Load) bool {
	switch row.Figure {
	case "lateness.p99", "written_lateness.p99":
		return l.Open() && (len(row.Cells) > 0 || row.Met != nil)
	case leftOut:
		return row.Met != nil && !*row.Met || slices.ContainsFunc(row.Cells, func(c lab.AccuracyCell) bool { return c.Value > 0 })
	}
	return len(row.Cells) > 0 || row.Met != nil
}

// cell is the median of a client's runs, but the most that was left out of one.
func (o *outcome) cell(client, figure string) (lab.AccuracyCell, bool) {
	runs := o.values[client][figure]
	if len(runs) == 0 {
		return lab.AccuracyCell{}, false
	}
	values := make([]float64, len(runs))
	for i, v := range runs {
		values[i] = v.value
	}
	slices.Sort(values)
	middle := len(values) / 2
	median := values[middle]
	switch {
	case figure == leftOut:
		median = values[len(values)-1]
	case len(values)%2 == 0:
		median = (values[middle-1] + median) / 2
	}
	return lab.AccuracyCell{Client: client, Value: rounded(median, 1e6), N: runs[0].n}, true
}

// promises are the limits of a load.
func promises(l lab.Load) []limit {
	always := []limit{{"start_up", ms(int64(startUpLimit))}, {leftOut, 0}}
	switch {
	case l.Open() && float64(l.Rate) <= fastestRate:
		return slices.Concat(openLimits, always)
	case l.Open():
		return always
	}
	return slices.Concat(limits[l.Concurrency], always)
}

// judge fills in the ratios of a row, and whether lab keeps its promise, which it does not where it has no value.
func judge(row *lab.AccuracyRow, promised []limit) {
	ours, ok := row.Cell(nameLab)
	for i := range row.Cells {
		if c := &row.Cells[i]; c.Client != nameLab && c.Value > 0 && ours.Value > 0 {
			ratio := rounded(ours.Value/c.Value, 1e4)
			c.Ratio = &ratio
		}
	}
	for _, p := range promised {
		if p.figure == row.Figure {
			target, met := p.value, ok && math.Abs(ours.Value) <= p.value
			row.Target, row.Met = &target, &met
		}
	}
}

// rounded cuts what no clock can tell: a value in milliseconds has nanoseconds.
func rounded(v, parts float64) float64 { return math.Round(v*parts) / parts }
