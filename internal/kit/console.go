package kit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Console is the block that the kit prints. Scripts read its rows, so every blank counts.
func (r Report) Console() string {
	var c console
	b := r.Bench
	c.banner(" Serving Benchmark Result ", "=")
	c.count("Successful requests:", r.Completed)
	c.count("Failed requests:", r.Failed)
	if b.Concurrency > 0 {
		c.count("Maximum request concurrency:", b.Concurrency)
	}
	if b.paced() {
		c.value("Request rate configured (RPS):", b.Rate)
	}
	c.value("Benchmark duration (s):", r.Duration)
	c.count("Total input tokens:", r.InputTokens)
	c.count("Total generated tokens:", r.OutputTokens)
	c.value("Request throughput (req/s):", r.RequestThroughput)
	if len(b.Goodput) > 0 {
		c.value("Request goodput (req/s):", r.Goodput)
	}
	c.value("Output token throughput (tok/s):", r.OutputThroughput)
	c.value("Peak output token throughput (tok/s):", r.PeakOutput)
	c.value("Peak concurrent requests:", float64(r.PeakConcurrent))
	c.value("Total token throughput (tok/s):", r.TotalThroughput)
	for _, s := range r.Statistics {
		c.statistic(s, b.Percentiles)
	}
	if b.Spec != nil {
		c.speculation(*b.Spec)
	}
	c.banner("", "=")
	return c.String()
}

// console writes the rows of the block: a label in 40 columns, a value in at least 10.
type console struct{ strings.Builder }

// banner puts text in the middle of 50 columns; an odd column is on the right.
func (c *console) banner(text, mark string) {
	free := 50 - len(text)
	fmt.Fprintf(c, "%s%s%s\n", strings.Repeat(mark, free/2), text, strings.Repeat(mark, free-free/2))
}

func (c *console) row(label, value string) { fmt.Fprintf(c, "%-40s %-10s\n", label, value) }

func (c *console) count(label string, n int) { c.row(label, strconv.Itoa(n)) }

func (c *console) value(label string, v float64) {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		text = strings.TrimPrefix(strings.ToLower(text), "+") // inf, -inf, nan
	}
	c.row(label, text)
}

func (c *console) statistic(s Statistic, percentiles []float64) {
	for _, q := range quantities {
		if q.name != s.Metric {
			continue
		}
		c.banner(q.title, "-")
		c.value("Mean "+q.label+" (ms):", s.Mean)
		c.value("Median "+q.label+" (ms):", s.Median)
		for i, p := range percentiles {
			c.value("P"+percentWord(p)+" "+q.label+" (ms):", s.Percentiles[i])
		}
	}
}

func (c *console) speculation(s SpecDecode) {
	c.banner("Speculative Decoding", "-")
	c.value("Acceptance rate (%):", s.AcceptanceRate)
	c.value("Acceptance length:", s.AcceptanceLength)
	c.count("Drafts:", s.Drafts)
	c.count("Draft tokens:", s.DraftTokens)
	c.count("Accepted tokens:", s.AcceptedTokens)
	if len(s.PerPosition) == 0 {
		return
	}
	c.WriteString("Per-position acceptance (%):\n")
	for i, share := range s.PerPosition {
		c.value(fmt.Sprintf("  Position %d:", i), share*100)
	}
}

// percentWord is 99 for 99.0 and 99.9 for 99.9: part of the rows and of the keys.
func percentWord(p float64) string {
	return strings.TrimSuffix(pythonFloat(p), ".0")
}
