package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lab/internal/kit"
)

// Aggregate is the table of results that the kit keeps as aggregate_results.csv: one row a run of the client.
type Aggregate struct {
	columns []string
	rows    []aggregateRow
	without int // rows left out: no number in any of the metrics
	failed  int // rows left out: no request completed
}

type aggregateRow map[string]string

// aggregateMetrics are the columns of which a row must have one to say anything.
var aggregateMetrics = []string{"output_throughput", "total_token_throughput", "request_throughput", "mean_ttft_ms", "mean_tpot_ms",
	"mean_itl_ms", "mean_e2el_ms"}

// ReadAggregate reads such a table: columns by their English or Chinese names in any order, with or without a byte order
// mark and a second header row.
func ReadAggregate(r io.Reader, name string) (*Aggregate, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("read %s: it is not UTF-8 text; save it again as \"CSV UTF-8\"", name)
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	records, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("read %s: it is empty; `lab aggregate` writes one from result files", name)
	}
	a := &Aggregate{}
	for _, column := range records[0] {
		a.columns = append(a.columns, kit.EnglishName(strings.TrimSpace(column)))
	}
	if !slices.ContainsFunc(aggregateMetrics, a.has) {
		return nil, fmt.Errorf("read %s: its first row names none of the columns %s; is it a table of `lab aggregate`?", name, strings.Join(aggregateMetrics, ", "))
	}
	a.add(records[1:])
	if len(a.rows) == 0 {
		return nil, fmt.Errorf("read %s: no usable row: each needs a number in one of %s, and a completed request", name, strings.Join(aggregateMetrics, ", "))
	}
	return a, nil
}

func (a *Aggregate) has(column string) bool { return slices.Contains(a.columns, column) }

func (a *Aggregate) add(records [][]string) {
	for i, record := range records {
		row := aggregateRow{}
		for k, column := range a.columns {
			if k < len(record) {
				row[column] = strings.TrimSpace(record[k])
			}
		}
		completed, known := row.number("completed")
		switch {
		case !slices.ContainsFunc(aggregateMetrics, func(m string) bool { _, ok := row.number(m); return ok }):
			if i > 0 { // the first may be the header in a second language
				a.without++
			}
		case known && completed == 0: // its latencies are zero, not measured
			a.failed++
		default:
			row.name()
			a.rows = append(a.rows, row)
		}
	}
	for column, pattern := range map[string]*regexp.Regexp{"input_len": ioName, "output_len": ioName, "max_concurrency": loadName} {
		if !a.has(column) && slices.ContainsFunc(a.rows, func(r aggregateRow) bool { return pattern.MatchString(r["filename"]) }) {
			a.columns = append(a.columns, column)
		}
	}
	slices.Sort(a.columns)
}

var (
	ioName   = regexp.MustCompile(`io(\d+)x(\d+)`)
	loadName = regexp.MustCompile(`mc(\d+)`)
)

// name fills in what the kit's file names say and the row does not.
func (r aggregateRow) name() {
	fill := func(column, value string) {
		if _, known := r.number(column); !known {
			r[column] = value
		}
	}
	if m := ioName.FindStringSubmatch(r["filename"]); m != nil {
		fill("input_len", m[1])
		fill("output_len", m[2])
	}
	if m := loadName.FindStringSubmatch(r["filename"]); m != nil {
		fill("max_concurrency", m[1])
	}
}

// number reads a column; what is no number, or none that anybody measured (nan, inf, 1e99), is absent.
func (r aggregateRow) number(column string) (float64, bool) {
	v, err := strconv.ParseFloat(r[column], 64)
	return v, err == nil && math.Abs(v) < 1e15
}

// when is the date of the client, which names no time zone, as seconds.
func (r aggregateRow) when() (float64, bool) {
	for _, form := range []string{"20060102-150405", "20060102_150405", time.DateTime, time.RFC3339} {
		if t, err := time.Parse(form, r["date"]); err == nil {
			return float64(t.Unix()), true
		}
	}
	return 0, false
}
