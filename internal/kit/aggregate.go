package kit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Aggregate is the table that the kit makes of its results: a row for each, a column for each key. Keys stand in the
// order in which they first appear; mappings inside a result are spread, their keys joined by dots; lists have no single
// value and are left out. The zero value is an empty table.
type Aggregate struct {
	columns []string
	rows    []map[string]string
	lists   []string
}

// The last three columns come from the name of the file, as the kit's aggregation has them.
const (
	inputColumn  = "input_len"
	outputColumn = "output_len"
	fileColumn   = "filename"
)

// Add puts a result in as the next row. The lengths are tokens a request, 0 where they are not known.
func (a *Aggregate) Add(file string, document []byte, input, output int) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(plainNumbers(document), &fields); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	if _, ok := number(fields, "completed"); !ok {
		if form, ok := word(fields["schema"]); ok && strings.HasPrefix(form, "lab.") {
			return fmt.Errorf("it is a document of the form %q, which measures by other definitions: give the run itself with --runs", form)
		}
		return errors.New(`it is no result of vllm bench serve: the key "completed" is missing or no number`)
	}
	row := map[string]string{}
	decoder := json.NewDecoder(bytes.NewReader(plainNumbers(document)))
	decoder.UseNumber()
	if err := a.spread(row, "", decoder); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	row[fileColumn] = file
	if input > 0 && output > 0 {
		row[inputColumn], row[outputColumn] = strconv.Itoa(input), strconv.Itoa(output)
	}
	a.rows = append(a.rows, row)
	return nil
}

// spread reads one value: an object becomes cells, a list nothing.
func (a *Aggregate) spread(row map[string]string, key string, decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			if err := a.spread(row, join(key, name.(string)), decoder); err != nil { // JSON has no other keys
				return err
			}
		}
		_, err := decoder.Token()
		return err
	case json.Delim('['):
		if !slices.Contains(a.lists, key) {
			a.lists = append(a.lists, key)
		}
		return skip(decoder)
	}
	if !slices.Contains([]string{inputColumn, outputColumn, fileColumn}, key) && !slices.Contains(a.columns, key) {
		a.columns = append(a.columns, key)
	}
	row[key] = cell(token)
	return nil
}

// join is the column of a key inside a mapping. A vLLM of 2025 wrote one key with a colon too many.
func join(outer, key string) string {
	if outer != "" {
		return outer + "." + key
	}
	if key == "request_goodput:" {
		return "request_goodput"
	}
	return key
}

// skip passes over the rest of a list.
func skip(decoder *json.Decoder) error {
	for depth := 1; depth > 0; {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// cell writes a value as pandas does: floats as Python's repr, what is missing as nothing. Unlike there, whole numbers
// stay whole in a column where some are missing.
func cell(token json.Token) string {
	switch v := token.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
		f, _ := v.Float64() // out of range is infinite, as in Python
		if math.IsInf(f, 0) {
			return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'f', -1, 64)), "+")
		}
		return pythonFloat(f)
	}
	return ""
}

// Rows and Columns are the size of the table, without the header.
func (a *Aggregate) Rows() int { return len(a.rows) }

// Columns lists the columns in their order.
func (a *Aggregate) Columns() []string {
	return append(slices.Clone(a.columns), inputColumn, outputColumn, fileColumn)
}

// LeftOut lists the keys whose values are lists.
func (a *Aggregate) LeftOut() []string { return a.lists }

// Headers says in which language the columns are named.
type Headers string

// The headers. With both there are two header rows, English first.
const (
	EnglishHeader Headers = "en"
	ChineseHeader Headers = "zh"
	BothHeaders   Headers = "both"
)

// CSV writes the table. Excel takes a file for UTF-8 only where it begins with a byte order mark.
func (a *Aggregate) CSV(w io.Writer, headers Headers, excel bool) error {
	columns := a.Columns()
	var lines [][]string
	if headers != ChineseHeader {
		lines = append(lines, columns)
	}
	if headers != EnglishHeader {
		chinese := make([]string, len(columns))
		for i, column := range columns {
			chinese[i] = chineseName(column)
		}
		lines = append(lines, chinese)
	}
	for _, row := range a.rows {
		line := make([]string, len(columns))
		for i, column := range columns {
			line[i] = row[column]
		}
		lines = append(lines, line)
	}
	if excel {
		if _, err := io.WriteString(w, "\ufeff"); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	if err := csv.NewWriter(w).WriteAll(lines); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// LengthsIn finds the tokens in and out that the kit's sweep writes into a file name, such as
// bench_io256x128_mc4_np40.json; 0, 0 where there are none.
func LengthsIn(file string) (input, output int) {
	found := regexp.MustCompile(`io(\d+)x(\d+)`).FindStringSubmatch(filepath.Base(file))
	if found == nil {
		return 0, 0
	}
	input, errIn := strconv.Atoi(found[1])
	output, errOut := strconv.Atoi(found[2])
	if errors.Join(errIn, errOut) != nil { // more digits than any length has
		return 0, 0
	}
	return input, output
}
