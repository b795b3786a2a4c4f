package store

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

// The tables of a sealed run are parquet: delta encoding where values grow or repeat, zstd over all. Any tool that reads
// parquet can read them. Moments are nanoseconds since the run's epoch, those of chunks microseconds; 0 is absent.

// requestRow is a request without its chunks.
type requestRow struct {
	Seq        int64  `parquet:"seq,delta"`
	Phase      string `parquet:"phase,dict"`
	Prompt     uint64 `parquet:"prompt"`
	Intended   int64  `parquet:"intended_ns,delta"`
	Sent       int64  `parquet:"sent_ns,delta"`
	Connected  int64  `parquet:"connected_ns,delta"`
	Written    int64  `parquet:"written_ns,delta"`
	FirstByte  int64  `parquet:"first_byte_ns,delta"`
	Done       int64  `parquet:"done_ns,delta"`
	Chunks     int64  `parquet:"chunks,delta"` // so many rows of the chunk table are this request's, in order
	WantInput  int64  `parquet:"want_input,delta"`
	WantOutput int64  `parquet:"want_output,delta"`
	HasUsage   bool   `parquet:"has_usage"`
	Input      int64  `parquet:"input_tokens,delta"`
	Output     int64  `parquet:"output_tokens,delta"`
	Cached     int64  `parquet:"cached_tokens,delta"`
	Finish     string `parquet:"finish,dict"`
	Status     int64  `parquet:"status,delta"`
	Error      string `parquet:"error,dict"`
	Detail     string `parquet:"detail,dict"`
}

// chunkRow is one chunk: the time since the chunk before it in the same request, for the first since the epoch. Gaps
// are alike, so their differences are small and pack well.
type chunkRow struct {
	Gap    int64 `parquet:"gap_us,delta"`
	Tokens int64 `parquet:"tokens,delta"`
}

// sampleRow is one value of one sample; a sample without values is one row without a metric.
type sampleRow struct {
	Sample int64   `parquet:"sample,delta"`
	At     int64   `parquet:"at_ns,delta"`
	Took   int64   `parquet:"took_ns,delta"`
	Device string  `parquet:"device,dict"`
	Error  string  `parquet:"error,dict"`
	Metric string  `parquet:"metric,dict"`
	Value  float64 `parquet:"value"`
}

func encodeTables(t lab.Tables) (map[string][]byte, error) {
	requests, chunks := splitRequests(t.Requests)
	values := map[string][]byte{}
	var err error
	if values["requests"], err = encodeRows(requests); err != nil {
		return nil, fmt.Errorf("encode requests: %w", err)
	}
	if values["chunks"], err = encodeRows(chunks); err != nil {
		return nil, fmt.Errorf("encode chunks: %w", err)
	}
	if values["samples"], err = encodeRows(spreadSamples(t.Samples)); err != nil {
		return nil, fmt.Errorf("encode samples: %w", err)
	}
	if values["events"], err = pack(t.Events); err != nil {
		return nil, fmt.Errorf("encode events: %w", err)
	}
	if values["log"], err = pack(t.Log); err != nil {
		return nil, fmt.Errorf("encode log: %w", err)
	}
	return values, nil
}

func decodeTables(value func([]byte) []byte) (lab.Tables, error) {
	var t lab.Tables
	requests, err := decodeRows[requestRow](value([]byte("requests")))
	if err != nil {
		return t, fmt.Errorf("decode requests: %w", err)
	}
	chunks, err := decodeRows[chunkRow](value([]byte("chunks")))
	if err != nil {
		return t, fmt.Errorf("decode chunks: %w", err)
	}
	if t.Requests, err = joinRequests(requests, chunks); err != nil {
		return t, err
	}
	samples, err := decodeRows[sampleRow](value([]byte("samples")))
	if err != nil {
		return t, fmt.Errorf("decode samples: %w", err)
	}
	t.Samples = gatherSamples(samples)
	if err := unpack(value([]byte("events")), &t.Events); err != nil {
		return t, fmt.Errorf("decode events: %w", err)
	}
	if err := unpack(value([]byte("log")), &t.Log); err != nil {
		return t, fmt.Errorf("decode log: %w", err)
	}
	return t, nil
}

func encodeRows[T any](rows []T) ([]byte, error) {
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, parquet.Compression(&parquet.Zstd))
	if _, err := w.Write(rows); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func decodeRows[T any](data []byte) ([]T, error) {
	return parquet.Read[T](bytes.NewReader(data), int64(len(data)))
}

func splitRequests(records []lab.RequestRecord) ([]requestRow, []chunkRow) {
	rows := make([]requestRow, 0, len(records))
	var chunks []chunkRow
	for _, r := range records {
		row := requestRow{
			Seq: int64(r.Seq), Phase: r.Phase, Prompt: r.Prompt,
			Intended: int64(r.Intended), Sent: int64(r.Sent), Connected: int64(r.Connected), Written: int64(r.Written),
			FirstByte: int64(r.FirstByte), Done: int64(r.Done), Chunks: int64(len(r.Chunks)),
			WantInput: int64(r.WantInput), WantOutput: int64(r.WantOutput),
			Finish: r.Finish, Status: int64(r.Status), Error: r.Error, Detail: r.Detail,
		}
		if r.Usage != nil {
			row.HasUsage = true
			row.Input, row.Output, row.Cached = int64(r.Usage.Input), int64(r.Usage.Output), int64(r.Usage.Cached)
		}
		rows = append(rows, row)
		before := int64(0)
		for _, c := range r.Chunks {
			at := c.At.Microseconds()
			chunks = append(chunks, chunkRow{Gap: at - before, Tokens: int64(c.Tokens)})
			before = at
		}
	}
	return rows, chunks
}

func joinRequests(rows []requestRow, chunks []chunkRow) ([]lab.RequestRecord, error) {
	records := make([]lab.RequestRecord, 0, len(rows))
	for _, row := range rows {
		r := lab.RequestRecord{
			Seq: int(row.Seq), Phase: row.Phase, Prompt: row.Prompt,
			Intended: time.Duration(row.Intended), Sent: time.Duration(row.Sent), Connected: time.Duration(row.Connected),
			Written: time.Duration(row.Written), FirstByte: time.Duration(row.FirstByte), Done: time.Duration(row.Done),
			WantInput: int(row.WantInput), WantOutput: int(row.WantOutput),
			Finish: row.Finish, Status: int(row.Status), Error: row.Error, Detail: row.Detail,
		}
		if row.HasUsage {
			r.Usage = &lab.Usage{Input: int(row.Input), Output: int(row.Output), Cached: int(row.Cached)}
		}
		if int64(len(chunks)) < row.Chunks {
			return nil, fmt.Errorf("decode chunks: request %d says %d, %d are left", row.Seq, row.Chunks, len(chunks))
		}
		at := int64(0)
		for _, c := range chunks[:row.Chunks] {
			at += c.Gap
			r.Chunks = append(r.Chunks, lab.Chunk{At: time.Duration(at) * time.Microsecond, Tokens: int(c.Tokens)})
		}
		chunks = chunks[row.Chunks:]
		records = append(records, r)
	}
	return records, nil
}

func spreadSamples(samples []lab.Sample) []sampleRow {
	var rows []sampleRow
	for i, s := range samples {
		row := sampleRow{Sample: int64(i), At: int64(s.At), Took: int64(s.Took), Device: s.Device, Error: s.Error}
		if len(s.Values) == 0 {
			rows = append(rows, row)
			continue
		}
		names := make([]string, 0, len(s.Values))
		for name := range s.Values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			row.Metric, row.Value = name, s.Values[name]
			rows = append(rows, row)
		}
	}
	return rows
}

func gatherSamples(rows []sampleRow) []lab.Sample {
	var samples []lab.Sample
	last := int64(-1)
	for _, row := range rows {
		if row.Sample != last {
			samples = append(samples, lab.Sample{At: time.Duration(row.At), Took: time.Duration(row.Took), Device: row.Device, Error: row.Error})
			last = row.Sample
		}
		if row.Metric != "" {
			s := &samples[len(samples)-1]
			if s.Values == nil {
				s.Values = map[string]float64{}
			}
			s.Values[row.Metric] = row.Value
		}
	}
	return samples
}
