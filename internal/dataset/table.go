package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// row is one row of a data set: the first values of each column that a layout may ask for; nil is null.
type row map[string][]*string

// kept is how many values of a column a row keeps: prompt and answer.
const kept = 2

func (r row) add(column string, value *string) {
	if len(r[column]) < kept {
		r[column] = append(r[column], value)
	}
}

func (r row) first(column string) (string, bool) { return r.value(column, 0) }

func (r row) value(column string, i int) (string, bool) {
	if values := r[column]; i < len(values) && values[i] != nil {
		return *values[i], true
	}
	return "", false
}

// table is one file of rows.
type table interface {
	columns() []string
	rows() int
	read(ctx context.Context, rows []int) ([]row, error) // rows ascending
	close()
}

// tables are the files of a data set, one behind the other.
type tables []table

func openTables(names []string) (tables, error) {
	var all tables
	for _, name := range names {
		t, err := openTable(name)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("read data set: %s: %w", name, err)
		}
		all = append(all, t)
	}
	if all.rows() == 0 {
		all.close()
		return nil, fmt.Errorf("read data set: %s: has no rows", names[0])
	}
	return all, nil
}

func openTable(name string) (table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	start := make([]byte, 4)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		f.Close()
		return nil, err
	}
	var t table
	if string(start[:n]) == "PAR1" {
		t, err = openParquet(f)
	} else {
		t, err = openJSON(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t tables) close() {
	for _, one := range t {
		one.close()
	}
}

func (t tables) rows() int {
	n := 0
	for _, one := range t {
		n += one.rows()
	}
	return n
}

// columns are those of the first file: all files of a data set have the same.
func (t tables) columns() []string { return t[0].columns() }

// read gives rows in the order asked for.
func (t tables) read(ctx context.Context, rows []int) ([]row, error) {
	places := make([]int, len(rows)) // of the rows, ascending
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(rows[a], rows[b]) })
	out := make([]row, len(rows))
	first := 0
	for _, one := range t {
		var mine, to []int
		for len(places) > 0 && rows[places[0]] < first+one.rows() {
			mine, to = append(mine, rows[places[0]]-first), append(to, places[0])
			places = places[1:]
		}
		first += one.rows()
		if len(mine) == 0 {
			continue
		}
		got, err := one.read(ctx, mine)
		if err != nil {
			return nil, err
		}
		for i, r := range got {
			out[to[i]] = r
		}
	}
	return out, nil
}

// jsonTable is a JSON list of objects, or JSONL.
type jsonTable struct {
	file  *os.File
	spans []span
	names []string
}

func openJSON(f *os.File) (table, error) {
	t := &jsonTable{file: f}
	list, err := beginsList(f)
	if err != nil {
		return nil, err
	}
	scan := scanLines
	if list {
		scan = scanList
	}
	if t.spans, err = scan(io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return nil, err
	}
	if len(t.spans) == 0 {
		return t, nil
	}
	r, err := t.row(t.spans[0])
	if err != nil {
		return nil, err
	}
	for name := range r {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)
	return t, nil
}

// beginsList says whether the first byte that is no space opens a list.
func beginsList(f *os.File) (bool, error) {
	start := make([]byte, 4096)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	return bytes.HasPrefix(bytes.TrimSpace(start[:n]), []byte{'['}), nil
}

// scanLines finds the lines of a JSONL file that are not empty.
func scanLines(r io.Reader) ([]span, error) {
	var spans []span
	var at, start int64
	blank := true
	end := func(to int64) {
		if !blank {
			spans = append(spans, span{offset: start, size: int(to - start)})
		}
		start, blank = to+1, true
	}
	buffer := make([]byte, 1<<20)
	for {
		n, err := r.Read(buffer)
		for part := buffer[:n]; len(part) > 0; {
			newline := bytes.IndexByte(part, '\n')
			piece := part
			if newline >= 0 {
				piece = part[:newline]
			}
			blank = blank && len(bytes.Trim(piece, " \t\r")) == 0
			at += int64(len(piece))
			part = part[len(piece):]
			if newline >= 0 {
				end(at)
				at++
				part = part[1:]
			}
		}
		if err == io.EOF {
			end(at)
			return spans, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (t *jsonTable) columns() []string { return t.names }
func (t *jsonTable) rows() int         { return len(t.spans) }
func (t *jsonTable) close()            { t.file.Close() }

func (t *jsonTable) read(ctx context.Context, rows []int) ([]row, error) {
	out := make([]row, len(rows))
	for i, k := range rows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var err error
		if out[i], err = t.row(t.spans[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *jsonTable) row(s span) (row, error) {
	text := make([]byte, s.size)
	if _, err := t.file.ReadAt(text, s.offset); err != nil {
		return nil, fmt.Errorf("read the row at byte %d: %w", s.offset, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("the row at byte %d is not a JSON object: %w", s.offset, plainly(err))
	}
	r := row{}
	for column, value := range fields {
		flatten(r, column, column, value)
	}
	return r, nil
}

// flatten adds the values of a column: of lists all in order, of objects by the name of the field.
func flatten(r row, column, name string, value any) {
	switch value := value.(type) {
	case string:
		r.add(name, &value)
	case []any:
		for _, v := range value {
			flatten(r, column, name, v)
		}
	case map[string]any:
		for field, v := range value {
			flatten(r, column, column+"."+field, v)
		}
	default:
		r.add(name, nil)
	}
}
