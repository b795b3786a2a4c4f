package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

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

// decode reads the tables, those that are large beside each other.
func (b batch) decode() (lab.Tables, error) {
	var t lab.Tables
	var requests []requestRow
	var chunks []chunkRow
	var failed [3]error
	var all sync.WaitGroup
	for i, read := range []func() error{
		func() (err error) { requests, err = decodeRows[requestRow](b, "requests"); return err },
		func() (err error) { chunks, err = b.decodeChunks(); return err },
		func() error { return b.decodeRest(&t) },
	} {
		all.Go(func() { failed[i] = undamaged(read) })
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return lab.Tables{}, err
		}
	}
	var err error
	if t.Requests, err = joinRequests(requests, chunks); err != nil {
		return lab.Tables{}, err
	}
	return t, nil
}

// undamaged turns a panic of the Parquet reader, which trusts what it reads, into an error.
func undamaged(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode tables: %w: %v", errDamaged, p)
		}
	}()
	return read()
}

// decodeRest reads what is not of requests.
func (b batch) decodeRest(t *lab.Tables) error {
	samples, err := decodeRows[sampleRow](b, "samples")
	if err != nil {
		return err
	}
	events, err := decodeRows[eventRow](b, "events")
	if err != nil {
		return err
	}
	lines, err := decodeRows[logRow](b, "log")
	if err != nil {
		return err
	}
	t.Samples = gatherSamples(samples)
	t.Events = convert(events, func(e eventRow) lab.Event {
		return lab.Event{At: time.Duration(e.At), Kind: lab.EventKind(e.Kind), Detail: e.Detail}
	})
	t.Log = convert(lines, func(l logRow) lab.LogLine {
		return lab.LogLine{At: time.Duration(l.At), Stderr: l.Stderr, Text: l.Text}
	})
	return nil
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

// decodeRows reads in steps, so that a damaged count of rows does not ask for more memory than there are rows.
func decodeRows[T any](b batch, table string) ([]T, error) {
	value, ok := b[table]
	if !ok {
		return nil, nil
	}
	file, err := parquet.OpenFile(bytes.NewReader(value), int64(len(value)))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", table, errDamaged, err)
	}
	r := parquet.NewGenericReader[T](file)
	defer r.Close() // it reads from memory
	var rows []T
	for left := file.NumRows(); ; {
		rows = slices.Grow(rows, int(min(max(left, 1), max(128<<10, int64(len(rows))))))
		n, err := r.Read(rows[len(rows):cap(rows)])
		rows, left = rows[:len(rows)+n], left-int64(n)
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode %s: %w: %w", table, errDamaged, err)
		}
		if n == 0 {
			return nil, fmt.Errorf("decode %s: %w: rows are missing", table, errDamaged)
		}
	}
}

// decodeChunks reads the longest table by its columns: to have its rows put together takes several times as long.
func (b batch) decodeChunks() ([]chunkRow, error) {
	value, ok := b["chunks"]
	if !ok {
		return nil, nil
	}
	file, err := parquet.OpenFile(bytes.NewReader(value), int64(len(value)))
	if err != nil {
		return nil, fmt.Errorf("decode chunks: %w: %w", errDamaged, err)
	}
	gaps, err := column(file, "gap_us")
	if err != nil {
		return nil, err
	}
	tokens, err := column(file, "tokens")
	if err != nil {
		return nil, err
	}
	if len(gaps) != len(tokens) {
		return nil, fmt.Errorf("decode chunks: %w: %d gaps, %d counts of tokens", errDamaged, len(gaps), len(tokens))
	}
	rows := make([]chunkRow, len(gaps))
	for i := range rows {
		rows[i] = chunkRow{gaps[i], tokens[i]}
	}
	return rows, nil
}

// column reads one of whole numbers.
func column(file *parquet.File, name string) ([]int64, error) {
	leaf, ok := file.Schema().Lookup(name)
	if !ok {
		return nil, fmt.Errorf("decode column %s: %w: it is not there", name, errDamaged)
	}
	var all []int64
	for _, group := range file.RowGroups() {
		pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
		defer pages.Close() // it reads from memory
		for {
			page, err := pages.ReadPage()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("decode column %s: %w: %w", name, errDamaged, err)
			}
			values := page.Data()
			all = append(all, values.Int64()...)
			parquet.Release(page)
		}
	}
	return all, nil
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

func joinRequests(rows []requestRow, chunks []chunkRow) ([]lab.RequestRecord, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	records := make([]lab.RequestRecord, 0, len(rows))
	arrived, usages := make([]lab.Chunk, 0, len(chunks)), make([]lab.Usage, len(rows)) // of all requests, in one piece each
	for i, row := range rows {
		r := lab.RequestRecord{
			Seq: int(row.Seq), Phase: row.Phase, Prompt: row.Prompt,
			Intended: time.Duration(row.Intended), Sent: time.Duration(row.Sent), Connected: time.Duration(row.Connected),
			Written: time.Duration(row.Written), FirstByte: time.Duration(row.FirstByte), Done: time.Duration(row.Done),
			WantInput: int(row.WantInput), WantOutput: int(row.WantOutput),
			Finish: row.Finish, Status: int(row.Status), Error: row.Error, Detail: row.Detail, Text: row.Text, Answer: row.Answer,
		}
		if row.HasUsage {
			usages[i] = lab.Usage{Input: int(row.Input), Output: int(row.Output), Cached: int(row.Cached)}
			r.Usage = &usages[i]
		}
		var err error
		if r.Stamps, err = row.Stamps.join(); err != nil {
			return nil, err
		}
		if row.Chunks < 0 || int64(len(chunks)) < row.Chunks {
			return nil, fmt.Errorf("decode chunks: %w: request %d says %d, %d are left", errDamaged, row.Seq, row.Chunks, len(chunks))
		}
		at, from := row.FirstChunk, len(arrived)
		for _, c := range chunks[:row.Chunks] {
			at += c.Gap
			when := time.Duration(at) * time.Microsecond
			if c.Tokens == noOutput {
				r.Empty = append(r.Empty, when)
			} else {
				arrived = append(arrived, lab.Chunk{At: when, Tokens: int(c.Tokens)})
			}
		}
		if len(arrived) > from {
			r.Chunks = arrived[from:len(arrived):len(arrived)]
		}
		chunks = chunks[row.Chunks:]
		records = append(records, r)
	}
	return records, nil
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

func gatherSamples(rows []sampleRow) []lab.Sample {
	var samples []lab.Sample
	for i, row := range rows {
		if i == 0 || row.Sample != rows[i-1].Sample {
			samples = append(samples, lab.Sample{At: time.Duration(row.At), Took: time.Duration(row.Took), Device: row.Device, Error: row.Error})
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
