package kit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// VLLM is the program that made a result of the kit.
const VLLM = "vllm bench serve"

// Hash identifies a result by its content, whatever file it stands in.
func Hash(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// Occasion identifies what a result measured by its moment, its duration and its counts: a result file of a run and the
// same run out of the store may differ in their other keys. Empty where the result does not say them.
func Occasion(document []byte) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(plainNumbers(document), &fields); err != nil {
		return ""
	}
	date, dated := word(fields["date"])
	duration, timed := number(fields, "duration")
	if !dated || !timed {
		return ""
	}
	return fmt.Sprint(date, " ", duration, " ", count(fields, "completed"), " ", count(fields, "total_output_tokens"))
}

// Import turns a result into a run, as far as the file says what was asked, and into records where it holds the lists of
// --save-detailed. The figures are the kit's own, by its definitions: Summary.Definitions stays 0. Where the file does not
// say when it was made, written stands in. The run of a run document keeps its id; any other has none yet.
func Import(file string, document []byte, written time.Time) (lab.Sealed, []lab.RequestRecord, error) {
	plain := plainNumbers(document)
	result, err := parse(plain)
	if err != nil {
		return lab.Sealed{}, nil, err
	}
	if result.Source == "lab" {
		s, err := importRun(file, plain, Hash(document))
		return s, nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(plain, &fields); err != nil {
		return lab.Sealed{}, nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	lists, detailed := listsIn(fields)
	seconds, timed := number(fields, "duration")
	if !timed || !(seconds >= 0 && seconds < 1e9) {
		detailed, seconds = false, 0
	}
	if detailed {
		fill := Measure(Bench{Metrics: []string{"ttft", "tpot", "itl", "e2el"}, Percentiles: []float64{50, 90, 95, 99}}, lists, seconds)
		if fields, err = withMissing(fields, fill.JSON()); err != nil {
			return lab.Sealed{}, nil, err
		}
		result = vllmResult(fields)
	}
	s := lab.Sealed{Summary: result.Summary, Run: lab.Run{
		Experiment: asked(file, fields), Outcome: lab.Complete, Ended: time.Duration(seconds * 1e9),
		Imported: &lab.Import{File: file, By: VLLM, SHA256: Hash(document)},
	}}
	s.Run.Key = s.Run.Experiment.Key()
	end := result.When // the kit writes the end of the load
	if end.IsZero() {
		end = written
	}
	s.Run.Epoch.Wall = end.Add(-s.Run.Ended).UTC().Round(0)
	var records []lab.RequestRecord
	if detailed {
		records, s.Run.Epoch.Monotonic = lists.records(result.Summary.Phases[0].Open)
	}
	tally := &s.Summary.Phases[0]
	tally.Start, tally.End = firstMoment, firstMoment+s.Run.Ended
	tally.Errors = errorClasses(records)
	s.Run.Findings = importFindings(s.Run, *tally)
	return s, records, nil
}

// importRun takes a run document of another lab. The A/B it was part of stayed where its other runs are.
func importRun(file string, plain []byte, hash string) (lab.Sealed, error) {
	var s lab.Sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return s, fmt.Errorf("decode run document: %w", err)
	}
	if s.Run.Outcome == lab.Live || s.Run.Outcome == "" {
		return s, errors.New("it is the document of a run that had not ended: export it again")
	}
	if s.Run.Imported == nil {
		s.Run.Imported = &lab.Import{By: "lab"}
	}
	s.Run.Imported.File, s.Run.Imported.SHA256 = file, hash
	s.Run.Plan, s.Run.Arm, s.Run.Block, s.Run.Slot = nil, "", 0, 0
	earlier := func(f lab.Finding) bool { return f.Code == importNote(*s.Run.Imported).Code }
	s.Run.Findings = append(slices.DeleteFunc(s.Run.Findings, earlier), importNote(*s.Run.Imported))
	return s, nil
}

// withMissing adds the keys that the file lacks, such as percentiles that nobody asked for: computed from its lists, by
// the formulas of the rest.
func withMissing(fields map[string]json.RawMessage, computed []byte) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(plainNumbers(computed), &all); err != nil {
		return nil, fmt.Errorf("complete result: %w", err)
	}
	for key, value := range all {
		if !strings.HasSuffix(key, "_ms") {
			delete(all, key)
			continue
		}
		all[key] = value
	}
	for key, value := range fields {
		all[key] = value
	}
	return all, nil
}

// asked is the experiment as far as a result says; of the data set it says nothing but, at times, the lengths in the name
// of the file.
func asked(file string, fields map[string]json.RawMessage) lab.Experiment {
	load := lab.Load{API: "completions", Requests: count(fields, "num_prompts"), Concurrency: count(fields, "max_concurrency")}
	if backend, _ := word(fields["backend"]); strings.Contains(backend, "chat") {
		load.API = "chat"
	}
	load.Dataset.InputTokens, load.Dataset.OutputTokens = LengthsIn(file)
	strategy, ramps := word(fields["ramp_up_strategy"])
	switch rate, paced := number(fields, "request_rate"); {
	case ramps:
		load.RampUp = &lab.RampUp{Strategy: strategy, Start: count(fields, "ramp_up_start_rps"), End: count(fields, "ramp_up_end_rps")}
	case paced && rate > 0:
		load.Rate = lab.Number(rate)
		if b, ok := number(fields, "burstiness"); ok && b > 0 {
			load.Burstiness = lab.Number(b)
		} else if string(fields["burstiness"]) == infinite {
			load.Burstiness = lab.Number(math.Inf(1))
		}
	case load.Concurrency == 0: // with a bound, all at once is a closed loop
		load.Rate = lab.Number(math.Inf(1))
	}
	e := lab.Experiment{Phases: []lab.Phase{{Name: phase, Judged: true, Load: load}}, Telemetry: lab.Telemetry{Off: true}}
	e.Name = strings.TrimSuffix(filepath.Base(file), ".json")
	if label, ok := word(fields["label"]); ok && label != "" {
		e.Name = label
	}
	e.Server.Model, _ = word(fields["model_id"])
	return e
}

// importFindings stand beside the numbers of an imported run.
func importFindings(run lab.Run, t lab.Tally) []lab.Finding {
	all := []lab.Finding{importNote(*run.Imported)}
	switch bad := t.Offered - t.OK; {
	case t.OK == 0:
		all = append(all, lab.Finding{Code: "no-success", Level: lab.Invalid, Detail: fmt.Sprintf("none of %d requests succeeded", t.Offered)})
	case bad > 0:
		all = append(all, lab.Finding{Code: "errors", Level: lab.Warning, Detail: fmt.Sprintf("%d of %d requests failed", bad, t.Offered)})
	}
	return all
}

func importNote(i lab.Import) lab.Finding {
	return lab.Finding{Code: "imported", Level: lab.Note,
		Detail: fmt.Sprintf("read from %s, measured by %s: no A/B judges it", i.File, i.By)}
}
