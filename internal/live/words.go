package live

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lab/internal/lab"
)

// about is a duration to two digits, as one says it.
func about(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", max(1, d.Round(time.Second).Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// millis is a latency in milliseconds to three digits or more.
func millis(d time.Duration) string {
	switch ms := d.Seconds() * 1e3; {
	case ms < 9.995:
		return fmt.Sprintf("%.2f", ms)
	case ms < 99.95:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

// rate is a number a second to three digits or more.
func rate(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// point says at which load something is measured, in a few words.
func point(l lab.Load) string {
	bound := ""
	if l.Concurrency > 0 {
		bound = fmt.Sprintf(", at most %d in flight", l.Concurrency)
	}
	switch {
	case !l.Open() && l.Concurrency == 0:
		return ""
	case !l.Open():
		return fmt.Sprintf("closed loop, %d in flight", l.Concurrency)
	case l.Timed():
		return "at the trace's times" + bound
	case l.RampUp != nil:
		return fmt.Sprintf("%d to %d req/s%s", l.RampUp.Start, l.RampUp.End, bound)
	case math.IsInf(float64(l.Rate), 1):
		return "all at once" + bound
	}
	return fmt.Sprintf("open loop, %s req/s%s", l.Rate, bound)
}

// whole is how long the stage will take: by its own words, or as fast as its requests have ended up to now.
func whole(s lab.Status) time.Duration {
	done := s.OK + s.Errors
	if s.Phase == "" || s.Want == 0 || done == 0 || s.Load.Open() && s.Stage == "load" {
		return s.Whole
	}
	guess := time.Duration(float64(s.Since) * float64(s.Want) / float64(done))
	if s.Whole > 0 {
		guess = min(guess, s.Whole)
	}
	return guess
}

// stageName is what goes on: a phase of load has a name of its own.
func stageName(s lab.Status) string {
	if s.Phase != "" && s.Stage == "load" {
		return s.Phase
	}
	return s.Stage
}

// Text is a status as one line.
func Text(s lab.Status) string {
	step := strings.Replace(s.Step+timeLeft(s), " · ", ", ", 1)
	stage := stageName(s) + " " + lab.Stopwatch(s.Since)
	if s.Whole > 0 {
		stage += " of " + lab.Stopwatch(s.Whole)
	}
	parts := []string{step, s.Title, stage, s.Doing}
	if s.Phase != "" {
		parts = append(parts, requests(s)...)
	}
	return fields(parts...)
}

func requests(s lab.Status) []string {
	done := s.OK + s.Errors
	parts := []string{fmt.Sprintf("%d requests", done)}
	if s.Want > 0 {
		parts[0] = fmt.Sprintf("%d of %d requests", done, s.Want)
	}
	if s.Errors > 0 {
		parts = append(parts, errorCount(s.Errors))
	}
	if s.Requests.Phase > 0 {
		parts = append(parts, fmt.Sprintf("%s req/s", rate(s.Requests.Phase)))
	}
	if s.Output.Phase > 0 {
		parts = append(parts, fmt.Sprintf("%s tok/s", rate(s.Output.Phase)))
	}
	parts = append(parts, fmt.Sprintf("%d in flight", s.InFlight))
	for _, l := range s.Latencies {
		if l.Phase.N > 0 {
			parts = append(parts, fmt.Sprintf("%s p50 %s p99 %s ms", l.Name, millis(l.Phase.P50), millis(l.Phase.P99)))
		}
	}
	for _, g := range s.GPUs {
		if watts, ok := g.Values[lab.GPUPower]; ok {
			parts = append(parts, fmt.Sprintf("%s %.0f W", g.Device, watts))
		}
	}
	return parts
}

func errorCount(n int) string {
	if n == 1 {
		return "1 error"
	}
	return fmt.Sprintf("%d errors", n)
}

// alertLine is an alert as one line.
func alertLine(a lab.Alert) string {
	text := string(a.Level) + ": " + a.Text
	if a.Fix != "" {
		text += ". What helps: " + a.Fix
	}
	return text
}
