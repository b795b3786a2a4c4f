package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"lab/internal/lab"
)

// Tables are Parquet: delta encoding where values grow or are alike, and a compression over all, so any tool that reads
// Parquet reads them. Moments are nanoseconds since the run's epoch, those of chunks microseconds; 0 is absent. Free text that is no
// UTF-8 gets U+FFFD for what is not.

// requestRow is a request without its chunks.
type requestRow struct {
	Seq        int64        `parquet:"seq,delta"`
	Phase      string       `parquet:"phase,dict"`
	Prompt     uint64       `parquet:"prompt"`
	Intended   int64        `parquet:"intended_ns,delta"`
	Sent       int64        `parquet:"sent_ns,delta"`
	Connected  int64        `parquet:"connected_ns,delta"`
	Written    int64        `parquet:"written_ns,delta"`
	FirstByte  int64        `parquet:"first_byte_ns,delta"`
	Done       int64        `parquet:"done_ns,delta"`
	Chunks     int64        `parquet:"chunks,delta"`         // so many rows of the chunk table are this request's, in order
	FirstChunk int64        `parquet:"first_chunk_us,delta"` // absent without chunks
	WantInput  int64        `parquet:"want_input,delta"`
	WantOutput int64        `parquet:"want_output,delta"`
	HasUsage   bool         `parquet:"has_usage"`
	Input      int64        `parquet:"input_tokens,delta"`
	Output     int64        `parquet:"output_tokens,delta"`
	Cached     int64        `parquet:"cached_tokens,delta"`
	Finish     string       `parquet:"finish,dict"`
	Status     int64        `parquet:"status,delta"`
	Error      string       `parquet:"error,dict"`
	Detail     string       `parquet:"detail,dict"`
	Text       string       `parquet:"text"`   // what was generated, where the load kept it
	Answer     uint64       `parquet:"answer"` // hash of what was generated
	Stamps     stampColumns `parquet:"stamps"`
}

// chunkRow is one chunk, or with noOutput one event with choices that carried none. Gap is the time since the chunk before it in the same request, 0 for the first, whose moment
// stands in the request table: gaps are alike, so they pack well.
type chunkRow struct {
	Gap    int64 `parquet:"gap_us,delta"`
	Tokens int64 `parquet:"tokens,delta"`
}

// noOutput stands in a chunk's tokens where the event carried no output.
const noOutput = -1

// sampleRow is one value of one sample; a sample without values is one row without a metric.
type sampleRow struct {
	Sample int64   `parquet:"sample,delta"` // counts samples, from 0
	At     int64   `parquet:"at_ns,delta"`
	Took   int64   `parquet:"took_ns,delta"`
	Device string  `parquet:"device,dict"`
	Error  string  `parquet:"error,dict"`
	Metric string  `parquet:"metric,dict"`
	Value  float64 `parquet:"value"`
}

type eventRow struct {
	At     int64  `parquet:"at_ns,delta"`
	Kind   string `parquet:"kind,dict"`
	Detail string `parquet:"detail"`
}

type logRow struct {
	At     int64  `parquet:"at_ns,delta"`
	Stderr bool   `parquet:"stderr"`
	Text   string `parquet:"text"`
}

// encode makes the value of each table. It rests between its steps, of which each takes a fraction of a millisecond.
func encode(t lab.Tables, c compression) (batch, error) {
	requests, chunks := splitRequests(t.Requests, c.rest)
	b := batch{}
	err := errors.Join(
		encodeRows(b, "requests", requests, c),
		encodeRows(b, "chunks", chunks, c),
		encodeRows(b, "samples", spreadSamples(t.Samples), c),
		encodeRows(b, "events", convert(t.Events, func(e lab.Event) eventRow {
			return eventRow{At: int64(e.At), Kind: string(e.Kind), Detail: valid(e.Detail)}
		}), c),
		encodeRows(b, "log", convert(t.Log, func(l lab.LogLine) logRow {
			return logRow{At: int64(l.At), Stderr: l.Stderr, Text: valid(l.Text)}
		}), c),
	)
	return b, err
}

// pageSize keeps a page within one block of zstd: for a longer one the encoder holds a history of 16 MiB, which at the end of a
// small load is the most that lab needs at all.
const pageSize = 96 << 10

// pageFor makes room for a column of so many numbers and no more: the encoder takes the memory of a whole page for each of
// some thirty columns, also for a table of ten rows.
func pageFor(rows int) int {
	const least, wide = 8 << 10, 9 // a number has 8 bytes, and a page is not filled to the brim
	return min(max(least, rows*wide), pageSize)
}

// chunkSize is what the encoder takes at a time for the finished pages of each column.
const chunkSize = 16 << 10

// stepRows is how many rows are taken between two rests: some 50 µs.
const stepRows = 256

func encodeRows[T any](b batch, table string, rows []T, c compression) error {
	if len(rows) == 0 {
		return nil
	}
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, parquet.Compression(c),
		parquet.PageBufferSize(pageFor(len(rows))), parquet.ColumnPageBuffers(parquet.NewChunkBufferPool(chunkSize)))
	for step := range slices.Chunk(rows, stepRows) {
		if _, err := w.Write(step); err != nil {
			return fmt.Errorf("encode %s: %w", table, err)
		}
		c.rest()
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("encode %s: %w", table, err)
	}
	b[table] = buf.Bytes()
	return nil
}

// compression is a codec that rests before each page: a writer that is closed compresses all its columns in one go.
type compression struct {
	compress.Codec
	rest func()
}

// quick is for a second's records beside a load. Sealing packs them anew.
func quick(rest func()) compression { return compression{&parquet.Snappy, rest} }

// dense is for what stays.
func dense() compression { return compression{&parquet.Zstd, restless} }

func (c compression) Encode(dst, src []byte) ([]byte, error) {
	c.rest()
	return c.Codec.Encode(dst, src)
}

func convert[A, B any](from []A, f func(A) B) []B {
	if len(from) == 0 {
		return nil
	}
	to := make([]B, len(from))
	for i, a := range from {
		to[i] = f(a)
	}
	return to
}

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// join puts the records of b behind those of a.
func join(a, b lab.Tables) lab.Tables {
	return lab.Tables{
		Requests: append(a.Requests, b.Requests...), Samples: append(a.Samples, b.Samples...),
		Events: append(a.Events, b.Events...), Log: append(a.Log, b.Log...),
	}
}

func splitRequests(records []lab.RequestRecord, rest func()) ([]requestRow, []chunkRow) {
	total := 0
	for _, r := range records {
		total += len(r.Chunks)
	}
	rows, chunks := make([]requestRow, 0, len(records)), make([]chunkRow, 0, total)
	for i, r := range records {
		if i%stepRows == stepRows-1 {
			rest()
		}
		row := requestRow{
			Seq: int64(r.Seq), Phase: r.Phase, Prompt: r.Prompt,
			Intended: int64(r.Intended), Sent: int64(r.Sent), Connected: int64(r.Connected), Written: int64(r.Written),
			FirstByte: int64(r.FirstByte), Done: int64(r.Done), Chunks: int64(len(r.Chunks) + len(r.Empty)),
			WantInput: int64(r.WantInput), WantOutput: int64(r.WantOutput),
			Finish: r.Finish, Status: int64(r.Status), Error: r.Error, Detail: valid(r.Detail), Text: valid(r.Text), Answer: r.Answer,
			Stamps: splitStamps(r.Stamps),
		}
		if r.Usage != nil {
			row.HasUsage = true
			row.Input, row.Output, row.Cached = int64(r.Usage.Input), int64(r.Usage.Output), int64(r.Usage.Cached)
		}
		before := int64(0)
		for i, c := range frames(r) {
			at := c.At.Microseconds()
			if i == 0 {
				row.FirstChunk, before = at, at
			}
			chunks = append(chunks, chunkRow{Gap: at - before, Tokens: int64(c.Tokens)})
			before = at
		}
		rows = append(rows, row)
	}
	return rows, chunks
}

// frames are the chunks of a request with its events without output among them, in order of time.
func frames(r lab.RequestRecord) []lab.Chunk {
	if len(r.Empty) == 0 {
		return r.Chunks
	}
	all := make([]lab.Chunk, 0, len(r.Chunks)+len(r.Empty))
	for _, at := range r.Empty {
		all = append(all, lab.Chunk{At: at, Tokens: noOutput})
	}
	all = append(all, r.Chunks...)
	slices.SortStableFunc(all, func(a, b lab.Chunk) int { return cmp.Compare(a.At, b.At) })
	return all
}

func spreadSamples(samples []lab.Sample) []sampleRow {
	var rows []sampleRow
	for i, s := range samples {
		row := sampleRow{Sample: int64(i), At: int64(s.At), Took: int64(s.Took), Device: s.Device, Error: valid(s.Error)}
		if len(s.Values) == 0 {
			rows = append(rows, row)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.Values)) {
			row.Metric, row.Value = name, s.Values[name]
			rows = append(rows, row)
		}
	}
	return rows
}
