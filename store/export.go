package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

// The exported tables are for other tools, so they lean on nothing that is written elsewhere: every row names its run,
// every chunk its request, what is absent is null, and units stand in the names. Moments count from the run's epoch,
// which is in the file's own metadata. Optional columns are pointers: of plain values the library makes null only some.

type exportedRequest struct {
	Run        string  `parquet:"run,dict"`
	Phase      string  `parquet:"phase,dict"`
	Seq        int64   `parquet:"seq,delta"`
	Prompt     uint64  `parquet:"prompt_hash"`
	Intended   int64   `parquet:"intended_ns,delta"`
	Sent       *int64  `parquet:"sent_ns,optional"`
	Connected  *int64  `parquet:"connected_ns,optional"`
	Written    *int64  `parquet:"written_ns,optional"`
	FirstByte  *int64  `parquet:"first_byte_ns,optional"`
	Done       *int64  `parquet:"done_ns,optional"`
	Chunks     int64   `parquet:"chunks,delta"`
	WantInput  *int64  `parquet:"want_input_tokens,optional"`
	WantOutput *int64  `parquet:"want_output_tokens,optional"`
	Input      *int64  `parquet:"input_tokens,optional"` // the server's own counts
	Output     *int64  `parquet:"output_tokens,optional"`
	Cached     *int64  `parquet:"cached_tokens,optional"`
	Finish     *string `parquet:"finish,optional,dict"`
	Status     *int64  `parquet:"http_status,optional"`
	Error      *string `parquet:"error,optional,dict"`
	Detail     *string `parquet:"detail,optional,dict"`
	Text       *string `parquet:"text,optional"`
	Answer     *uint64 `parquet:"answer_hash,optional"`    // of what was generated
	Kernel     *int64  `parquet:"kernel_stamps,optional"`  // of the events: with the kernel's receive stamp,
	Reading    *int64  `parquet:"reading_stamps,optional"` // without one, by when the client read them,
	Shared     *int64  `parquet:"shared_stamps,optional"`  // with the stamp of a later event in the same read
	LagMean    *int64  `parquet:"read_lag_mean_ns,optional"`
	LagMax     *int64  `parquet:"read_lag_max_ns,optional"`
}

type exportedChunk struct {
	Run    string `parquet:"run,dict"`
	Phase  string `parquet:"phase,dict"`
	Seq    int64  `parquet:"seq,delta"`
	At     int64  `parquet:"at_us,delta"`
	Output bool   `parquet:"has_output"`      // false: an event without any, such as the one that opens a chat message
	Tokens *int64 `parquet:"tokens,optional"` // null where the server does not say
}

type exportedSample struct {
	Run    string   `parquet:"run,dict"`
	Sample int64    `parquet:"sample,delta"` // counts samples, from 0
	At     int64    `parquet:"at_ns,delta"`
	Took   int64    `parquet:"took_ns,delta"`
	Device string   `parquet:"device,dict"`
	Error  *string  `parquet:"error,optional,dict"`
	Metric *string  `parquet:"metric,optional,dict"` // its unit is the end of its name
	Value  *float64 `parquet:"value,optional"`
}

type exportedEvent struct {
	Run    string  `parquet:"run,dict"`
	At     int64   `parquet:"at_ns,delta"`
	Kind   string  `parquet:"kind,dict"`
	Detail *string `parquet:"detail,optional"`
}

// Parquet gives the records of a run as Parquet files by name: requests, chunks, samples and events. A table without
// rows is a file without rows.
func Parquet(run lab.Run, t lab.Tables) (map[string][]byte, error) {
	var requests []exportedRequest
	var chunks []exportedChunk
	for _, r := range t.Requests {
		requests = append(requests, exportRequest(run.ID, r))
		for _, c := range frames(r) {
			chunks = append(chunks, exportedChunk{Run: run.ID, Phase: r.Phase, Seq: int64(r.Seq), At: c.At.Microseconds(),
				Output: c.Tokens != noOutput, Tokens: number(max(c.Tokens, 0))})
		}
	}
	samples := convert(spreadSamples(t.Samples), func(s sampleRow) exportedSample {
		row := exportedSample{Run: run.ID, Sample: s.Sample, At: s.At, Took: s.Took, Device: s.Device, Error: text(s.Error), Metric: text(s.Metric)}
		if s.Metric != "" {
			row.Value = &s.Value
		}
		return row
	})
	events := convert(t.Events, func(e lab.Event) exportedEvent {
		return exportedEvent{Run: run.ID, At: int64(e.At), Kind: string(e.Kind), Detail: text(e.Detail)}
	})
	files := map[string][]byte{}
	return files, errors.Join(
		exportRows(files, "requests", run, requests),
		exportRows(files, "chunks", run, chunks),
		exportRows(files, "samples", run, samples),
		exportRows(files, "events", run, events),
	)
}

func exportRequest(id string, r lab.RequestRecord) exportedRequest {
	row := exportedRequest{
		Run: id, Phase: r.Phase, Seq: int64(r.Seq), Prompt: r.Prompt, Intended: int64(r.Intended),
		Sent: number(r.Sent), Connected: number(r.Connected), Written: number(r.Written), FirstByte: number(r.FirstByte), Done: number(r.Done),
		Chunks: int64(len(r.Chunks)), WantInput: number(r.WantInput), WantOutput: number(r.WantOutput),
		Finish: text(r.Finish), Status: number(r.Status), Error: text(r.Error), Detail: text(r.Detail), Text: text(r.Text),
	}
	if r.Answer != 0 {
		row.Answer = &r.Answer
	}
	if u := r.Usage; u != nil {
		input, output, cached := int64(u.Input), int64(u.Output), int64(u.Cached)
		row.Input, row.Output, row.Cached = &input, &output, &cached
	}
	if s := r.Stamps; s != nil {
		kernel, reading, shared := int64(s.Kernel), int64(s.Reading), int64(s.Shared)
		row.Kernel, row.Reading, row.Shared = &kernel, &reading, &shared
		if mean, ok := s.Lag.Mean(); ok {
			average, longest := int64(mean), int64(s.Lag.Max)
			row.LagMean, row.LagMax = &average, &longest
		}
	}
	return row
}

// number is nil for 0, which stands for absent in a record.
func number[N int | time.Duration](v N) *int64 {
	if v == 0 {
		return nil
	}
	n := int64(v)
	return &n
}

// text is nil for an empty text.
func text(s string) *string {
	if s == "" {
		return nil
	}
	s = valid(s)
	return &s
}

func exportRows[T any](files map[string][]byte, table string, run lab.Run, rows []T) error {
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, parquet.Compression(&parquet.Zstd),
		parquet.KeyValueMetadata("lab.run", run.ID),
		parquet.KeyValueMetadata("lab.epoch", run.Epoch.Wall.UTC().Format(time.RFC3339Nano)),
		parquet.KeyValueMetadata("lab.experiment", valid(run.Experiment.Name)))
	if _, err := w.Write(rows); err != nil {
		return fmt.Errorf("export %s: %w", table, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("export %s: %w", table, err)
	}
	files[table+".parquet"] = buf.Bytes()
	return nil
}
