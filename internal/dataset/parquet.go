package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// parquetTable is a Parquet file. Only the columns that a layout may ask for are read.
type parquetTable struct {
	file   *os.File
	names  []string
	leaves map[int]string // columns to read, by index
	groups []parquet.RowGroup
	n      int
}

func openParquet(f *os.File) (t table, err error) {
	defer refuse(&err)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("is no whole Parquet file: %w", err)
	}
	p := &parquetTable{file: f, leaves: map[int]string{}, groups: file.RowGroups(), n: int(file.NumRows())}
	wanted := understood()
	for i, path := range file.Schema().Columns() {
		name := columnName(path)
		p.names = append(p.names, name)
		if slices.Contains(wanted, name) {
			p.leaves[i] = name
		}
	}
	return p, nil
}

// refuse makes an error of a panic: the library trusts lengths that a damaged file gets wrong.
func refuse(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("is a damaged Parquet file: %v", p)
	}
}

// columnName is COLUMN or COLUMN.FIELD: what Parquet puts between for lists is left out.
func columnName(path []string) string {
	last := path[len(path)-1]
	if len(path) == 1 || slices.Contains([]string{"list", "element", "item", "array", "array_element", "bag"}, last) {
		return path[0]
	}
	return path[0] + "." + last
}

func (p *parquetTable) columns() []string { return p.names }
func (p *parquetTable) rows() int         { return p.n }
func (p *parquetTable) close()            { p.file.Close() }

func (p *parquetTable) read(ctx context.Context, rows []int) (out []row, err error) {
	defer refuse(&err)
	out = make([]row, len(rows))
	for i := range out {
		out[i] = row{}
	}
	first, to := 0, out
	for _, g := range p.groups {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var mine []int
		for len(rows) > 0 && rows[0] < first+int(g.NumRows()) {
			mine, rows = append(mine, rows[0]-first), rows[1:]
		}
		first += int(g.NumRows())
		if len(mine) == 0 {
			continue
		}
		chunks := g.ColumnChunks()
		for i, name := range p.leaves {
			if err := readColumn(chunks[i], name, mine, to[:len(mine)]); err != nil {
				return nil, fmt.Errorf("read column %s: %w", name, err)
			}
		}
		to = to[len(mine):]
	}
	return out, nil
}

// readColumn goes through a column of a row group and keeps the values of some rows.
func readColumn(chunk parquet.ColumnChunk, name string, rows []int, to []row) error {
	pages := chunk.Pages()
	defer pages.Close()
	current := -1 // the row that was last begun; it may go on in the next page
	for len(rows) > 0 {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if last := current + int(page.NumRows()); last < rows[0] {
			current = last
			parquet.Release(page)
			continue
		}
		current, rows, to, err = readPage(page, name, current, rows, to)
		parquet.Release(page)
		if err != nil {
			return err
		}
	}
	return nil
}

func readPage(page parquet.Page, name string, current int, rows []int, to []row) (int, []int, []row, error) {
	values := page.Values()
	buffer := make([]parquet.Value, 256)
	for {
		n, err := values.ReadValues(buffer)
		for _, v := range buffer[:n] {
			if v.RepetitionLevel() == 0 {
				current++
			}
			for len(rows) > 0 && rows[0] < current {
				rows, to = rows[1:], to[1:]
			}
			if len(rows) == 0 {
				return current, nil, nil, nil
			}
			if rows[0] == current {
				to[0].add(name, text(v))
			}
		}
		if errors.Is(err, io.EOF) {
			return current, rows, to, nil
		}
		if err != nil {
			return current, rows, to, err
		}
	}
}

// text is a copy of a value, or nil where it is null or no text.
func text(v parquet.Value) *string {
	if v.Kind() != parquet.ByteArray {
		return nil
	}
	s := string(v.ByteArray())
	return &s
}
