package store

import (
	"bytes"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

// exported reads a table back the way a stranger does: by the names in the file, without our structs.
func exported(t *testing.T, content []byte) []map[string]any {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := file.Lookup("lab.run"); id == "" {
		t.Error("the file does not name its run")
	}
	if epoch, _ := file.Lookup("lab.epoch"); epoch != "2026-11-23T14:05:12.5Z" {
		t.Errorf("epoch %q", epoch)
	}
	r := parquet.NewGenericReader[map[string]any](file, file.Schema())
	defer r.Close()
	rows := make([]map[string]any, file.NumRows())
	for i := range rows {
		rows[i] = map[string]any{}
	}
	if n, err := r.Read(rows); n < len(rows) {
		t.Fatalf("%d of %d rows: %v", n, len(rows), err)
	}
	return rows
}

func TestAnExportedTableStandsOnItsOwn(t *testing.T) {
	run := lab.Run{ID: "20261123-140512-k3f9", Epoch: lab.Epoch{Wall: time.Date(2026, 11, 23, 14, 5, 12, 5e8, time.UTC)}}
	stamps := &lab.Stamps{Kernel: 2, Reading: 1}
	stamps.Lag.Add(10)
	stamps.Lag.Add(20)
	files, err := Parquet(run, lab.Tables{
		Requests: []lab.RequestRecord{
			{Seq: 1, Phase: "load", Prompt: 7, Answer: 9, Intended: 1e9, Sent: 1e9 + 5, Done: 3e9, Status: 200, Finish: "length", WantOutput: 2,
				Usage: &lab.Usage{Input: 8, Output: 2}, Empty: []time.Duration{2e9}, Chunks: []lab.Chunk{{At: 2e9, Tokens: 1}, {At: 25e8}}, Stamps: stamps},
			{Seq: 0, Phase: "load", Intended: 1e9, Error: lab.ErrConnect, Detail: "refused"},
		},
		Samples: []lab.Sample{{At: 5, Took: 1, Device: "gpu0", Values: map[string]float64{lab.GPUPower: 0}}, {At: 6, Took: 1, Device: "host", Error: "gone"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const id = "20261123-140512-k3f9"
	diff(t, []map[string]any{
		{"run": id, "phase": "load", "seq": int64(1), "prompt_hash": int64(7), "intended_ns": int64(1e9), "sent_ns": int64(1e9 + 5), "connected_ns": nil,
			"written_ns": nil, "first_byte_ns": nil, "done_ns": int64(3e9), "chunks": int64(2), "want_input_tokens": nil, "want_output_tokens": int64(2),
			"input_tokens": int64(8), "output_tokens": int64(2), "cached_tokens": int64(0), "finish": "length", "http_status": int64(200),
			"error": nil, "detail": nil, "text": nil, "answer_hash": int64(9),
			"kernel_stamps": int64(2), "reading_stamps": int64(1), "shared_stamps": int64(0), "read_lag_mean_ns": int64(15), "read_lag_max_ns": int64(20)},
		{"run": id, "phase": "load", "seq": int64(0), "prompt_hash": int64(0), "intended_ns": int64(1e9), "sent_ns": nil, "connected_ns": nil,
			"written_ns": nil, "first_byte_ns": nil, "done_ns": nil, "chunks": int64(0), "want_input_tokens": nil, "want_output_tokens": nil,
			"input_tokens": nil, "output_tokens": nil, "cached_tokens": nil, "finish": nil, "http_status": nil,
			"error": "connect", "detail": "refused", "text": nil, "answer_hash": nil,
			"kernel_stamps": nil, "reading_stamps": nil, "shared_stamps": nil, "read_lag_mean_ns": nil, "read_lag_max_ns": nil},
	}, exported(t, files["requests.parquet"]))
	diff(t, []map[string]any{
		{"run": id, "phase": "load", "seq": int64(1), "at_us": int64(2e6), "has_output": false, "tokens": nil},
		{"run": id, "phase": "load", "seq": int64(1), "at_us": int64(2e6), "has_output": true, "tokens": int64(1)},
		{"run": id, "phase": "load", "seq": int64(1), "at_us": int64(25e5), "has_output": true, "tokens": nil},
	}, exported(t, files["chunks.parquet"]))
	diff(t, []map[string]any{
		{"run": id, "sample": int64(0), "at_ns": int64(5), "took_ns": int64(1), "device": "gpu0", "error": nil, "metric": "power_w", "value": 0.0},
		{"run": id, "sample": int64(1), "at_ns": int64(6), "took_ns": int64(1), "device": "host", "error": "gone", "metric": nil, "value": nil},
	}, exported(t, files["samples.parquet"]))
	if rows := exported(t, files["events.parquet"]); len(rows) != 0 {
		t.Errorf("events: %v", rows)
	}
}
