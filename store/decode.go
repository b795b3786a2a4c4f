package store

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

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
