package compare

import (
	"math"
	"slices"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// History is a figure of one configuration over time.
type History struct {
	Phase  string  `json:"phase"`
	Metric string  `json:"metric"`
	Unit   string  `json:"unit"`
	Higher bool    `json:"higher_is_better"`
	Points []Point `json:"points"`
	Groups []Group `json:"groups"` // of points that were measured together, in order of time
	Drifts []Drift `json:"drifts"` // what of the machine and of vllm changed on the way
}

// HistoryOf is the history of what decides by an experiment, over runs like it in order of time.
func HistoryOf(e lab.Experiment, runs []lab.Sealed) History {
	var h History
	h.Phase, h.Metric = deciding(e)
	m, _ := metric.Find(h.Metric)
	h.Unit, h.Higher = m.Unit, m.Sense == metric.Higher
	for _, r := range runs {
		if f, ok := r.Summary.Figure(h.Phase, h.Metric); ok {
			kind, of := measuredAs(r.Run)
			h.Points = append(h.Points, Point{Run: r.Run.ID, At: r.Run.Epoch.Wall, Host: r.Run.Host.Name, Server: r.Run.Server.Version, Kind: kind, Of: of, Value: f.Value})
		}
	}
	h.Points = changes(h.Points)
	one := slices.Clone(runs)
	for i := range one {
		one[i].Run.Arm = "" // all are of one configuration, whatever they were called in an A/B
	}
	h.Groups, h.Drifts = groups(h.Points), Drifts(one)
	return h
}

// measuredAs says what a run was a part of, and its ID: of itself where it was made alone.
func measuredAs(r lab.Run) (kind, id string) {
	switch {
	case r.Baseline != nil:
		return "capture", r.Baseline.ID
	case r.Plan != nil && r.Plan.Baseline != "":
		return "check", r.Plan.ID
	case r.Plan != nil:
		return "A/B", r.Plan.ID
	case r.Sweep != nil:
		return "sweep", r.Sweep.ID
	}
	return "run", r.ID
}

// Group is the points of a history that were measured together: the runs of a capture, or those of this configuration in
// a check or an A/B.
type Group struct {
	Kind string    `json:"kind"` // "capture", "check", "A/B", "sweep", "run"
	ID   string    `json:"id"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	N    int       `json:"n"`
	Mean float64   `json:"mean"`          // geometric
	Low  *float64  `json:"low,omitempty"` // 95 % interval of the mean; nil below two runs
	High *float64  `json:"high,omitempty"`
}

func groups(points []Point) []Group {
	var all []Group
	values := map[string][]float64{}
	for _, p := range points {
		i := slices.IndexFunc(all, func(g Group) bool { return g.ID == p.Of })
		if i < 0 {
			i, all = len(all), append(all, Group{Kind: p.Kind, ID: p.Of, From: p.At})
		}
		all[i].To = p.At
		values[p.Of] = append(values[p.Of], p.Value)
	}
	for i := range all {
		g, v := &all[i], values[all[i].ID]
		g.N = len(v)
		if slices.Min(v) <= 0 {
			g.Mean = average(v)
			continue
		}
		l := logs(v)
		g.Mean = math.Exp(average(l))
		if g.N > 1 {
			half := quantile(0.975, float64(g.N-1)) * math.Sqrt(variance(l)/float64(g.N))
			g.Low, g.High = finite(g.Mean*math.Exp(-half)), finite(g.Mean*math.Exp(half))
		}
	}
	return all
}

// Point is a run in a history.
type Point struct {
	Run    string    `json:"run"`
	At     time.Time `json:"at"`
	Host   string    `json:"host"`
	Server string    `json:"server_version"`
	Kind   string    `json:"kind"` // what it was made for, and that one's ID; as of a Group
	Of     string    `json:"of"`
	Value  float64   `json:"value"`
	Change float64   `json:"change,omitempty"` // relative to the runs before it, where a lasting change begins here; else 0
}

// Limits of a change point: that the means on both sides differ by chance has at most this probability, and they differ
// by at least so much (the rules of Hunter, docs/statistics.md).
const (
	changeLevel    = 0.001
	smallestChange = 0.05
	fewestEachSide = 3
)

// changes finds the lasting changes in the figures of one configuration over time, in order.
func changes(points []Point) []Point {
	out := append([]Point(nil), points...)
	logs := make([]float64, len(points))
	for i, p := range points {
		if p.Value <= 0 {
			return out
		}
		logs[i] = math.Log(p.Value)
	}
	split(out, logs)
	return out
}

// split marks the place where both sides differ most, if they do, and looks further on either side.
func split(points []Point, logs []float64) {
	best, at, change := changeLevel, -1, 0.0
	for i := fewestEachSide; i+fewestEachSide <= len(logs); i++ {
		f, ok := welchT(logs[:i], logs[i:])
		// Every place is looked at, so each counts for only a part of the level.
		if ok && math.Abs(math.Expm1(f.delta)) >= smallestChange && f.p()*float64(len(logs)) < best {
			best, at, change = f.p()*float64(len(logs)), i, math.Expm1(f.delta)
		}
	}
	if at < 0 {
		return
	}
	points[at].Change = change
	split(points[:at], logs[:at])
	split(points[at:], logs[at:])
}
