package profiling

import (
	"slices"
	"time"
)

// Summary says where the time of a profiled window went. What the trace does not tell is absent: a nil pointer, an empty list.
type Summary struct {
	File      string `json:"file"`
	FileBytes int64  `json:"file_bytes"`
	JSONBytes int64  `json:"json_bytes"` // unpacked
	Complete  bool   `json:"complete"`
	Damage    string `json:"damage,omitempty"` // why it is not complete

	Events    int64   `json:"events"`
	Unread    int64   `json:"entries_unread,omitempty"` // in the list of events, but no events
	Resyncs   int64   `json:"resyncs,omitempty"`        // stretches of damage that reading passed over
	BadTimes  int64   `json:"events_without_time,omitempty"`
	Unordered int64   `json:"events_out_of_order,omitempty"` // on the CPU; where there are any, self times are absent
	Counts    []Count `json:"events_by_category"`            // most first

	Source     Source         `json:"source"`
	Window     *Window        `json:"window,omitempty"`
	Overhead   *time.Duration `json:"profiler_overhead_ns,omitempty"` // as the profiler itself recorded it
	Steps      *Steps         `json:"steps,omitempty"`
	GPUs       []GPU          `json:"gpus,omitempty"`
	Graphs     *Graphs        `json:"graphs,omitempty"`
	Basis      Basis          `json:"category_basis,omitempty"`
	Categories []Category     `json:"categories,omitempty"` // largest first
	Kernels    []Kernel       `json:"kernels,omitempty"`    // kernels, copies and fills of the GPU; largest first, at most 50
	Others     *Rest          `json:"other_kernels,omitempty"`
	Calls      []Call         `json:"calls,omitempty"`      // of the GPU's runtime and driver; largest first, at most 20
	Operators  []Operator     `json:"operators,omitempty"`  // largest first, at most 50
	Functions  []Operator     `json:"functions,omitempty"`  // of Python, where the trace has stacks; at most 50
	Unnamed    *time.Duration `json:"unnamed_ns,omitempty"` // CPU time inside steps and other spans, but in no operator or function

	detail *detail // what Diff needs
}

// Count is how many events of a category there are.
type Count struct {
	Category string `json:"category"` // "none": the event names none
	N        int64  `json:"n"`
}

// Source is what a trace says of where it comes from.
type Source struct {
	VLLM      string   `json:"vllm_version,omitempty"`
	Host      string   `json:"host,omitempty"`
	Devices   []string `json:"devices,omitempty"` // GPUs of the machine; those that worked are in gpus
	Rank      *int64   `json:"rank,omitempty"`
	WorldSize *int64   `json:"world_size,omitempty"`
	Stacks    bool     `json:"with_stack"` // taking them makes the program slower
	Shapes    bool     `json:"record_shapes"`
	BaseTime  *int64   `json:"base_time_ns,omitempty"` // wall clock to which the trace's times count, ns since 1970
	Log       []string `json:"profiler_log,omitempty"` // warnings and errors, at most 10
}

// Window is the profiled stretch, on the clock of the trace.
type Window struct {
	Start time.Duration `json:"start_ns"`
	Took  time.Duration `json:"duration_ns"`
}

// Spread is what n values were like. Percentiles are interpolated between ranks.
type Spread struct {
	N    int           `json:"n"`
	Mean time.Duration `json:"mean_ns"`
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
}

// Steps are the engine's steps as the program marked them.
type Steps struct {
	Marker   string   `json:"marker"`                      // form of the names
	Kinds    []Step   `json:"kinds"`                       // those that occur
	Coverage *float64 `json:"gpu_busy_in_steps,omitempty"` // share of the GPU's busy time that was launched by steps
}

// Step is one kind of step. A step reaches from its marker to the next, so sampling, which follows the marker's span, is in it.
type Step struct {
	Kind    StepKind `json:"kind"`
	N       int      `json:"n"`
	Load    *Load    `json:"load,omitempty"`
	CPU     *Spread  `json:"cpu,omitempty"`      // the marked span: execute_model on the CPU
	Period  *Spread  `json:"period,omitempty"`   // from a step's start to the next one's; the last step has none
	GPU     *Spread  `json:"gpu_busy,omitempty"` // of what the step launched, overlaps counted once
	HostGap *Spread  `json:"host_gap,omitempty"` // the GPU idle before work of the step that was launched too late
	Work    *float64 `json:"gpu_activities_per_step,omitempty"`
}

// Load is what all steps of a kind computed together.
type Load struct {
	PrefillRequests int64 `json:"prefill_requests"`
	PrefillTokens   int64 `json:"prefill_tokens"`
	DecodeRequests  int64 `json:"decode_requests"`
	DecodeTokens    int64 `json:"decode_tokens"`
}

// GPU is what one device did between the start of its first activity and the end of its last. Busy and idle add up to it,
// and the gaps to idle.
type GPU struct {
	Device      int64         `json:"device"`
	Name        string        `json:"name,omitempty"`
	Activities  int64         `json:"activities"`
	Span        time.Duration `json:"span_ns"`
	Busy        time.Duration `json:"busy_ns"` // overlaps counted once, in each of these
	Idle        time.Duration `json:"idle_ns"`
	Compute     time.Duration `json:"compute_ns"`
	Comm        time.Duration `json:"communication_ns"`
	ExposedComm time.Duration `json:"exposed_communication_ns"` // while nothing else ran
	Copies      time.Duration `json:"copies_ns"`
	Gaps        []Gap         `json:"gaps"` // by cause, those that occur
	Sizes       []Size        `json:"gap_sizes"`
	LaunchBound *float64      `json:"launch_bound_share,omitempty"` // share of the span in which a step was under way and the GPU idle because of causes host and sync; without steps, all of their gaps
	Unlinked    int64         `json:"activities_without_launch,omitempty"`
}

// Cause is why a GPU was idle before an activity.
type Cause string

const (
	HostCause    Cause = "host"    // it was launched only after the GPU had run dry
	SyncCause    Cause = "sync"    // so too, while the CPU waited for the GPU or had just copied from it
	DeviceCause  Cause = "device"  // it was launched in time: launch latency, a dependency, another queue
	GraphCause   Cause = "graph"   // between two parts of one CUDA graph
	UnknownCause Cause = "unknown" // the trace has no launch of it
)

var causes = []Cause{HostCause, SyncCause, DeviceCause, GraphCause, UnknownCause}

// Gap sums up the gaps of one cause.
type Gap struct {
	Cause   Cause          `json:"cause"`
	N       int64          `json:"n"`
	Idle    time.Duration  `json:"idle_ns"`
	Longest time.Duration  `json:"longest_ns"`
	Between *time.Duration `json:"between_steps_ns,omitempty"` // of Idle, what lies between the work of two steps
}

// Size sums up the gaps up to a length that a shorter class does not hold.
type Size struct {
	UpTo *time.Duration `json:"up_to_ns,omitempty"` // absent: no bound
	N    int64          `json:"n"`
	Idle time.Duration  `json:"idle_ns"`
}

// Graphs are replays of CUDA graphs. What runs in a replay has no operator and no layer in the trace, so none is given.
type Graphs struct {
	Replays    int64         `json:"replays"`
	Activities int64         `json:"activities"`
	Took       time.Duration `json:"gpu_time_ns"`
	Share      float64       `json:"gpu_time_share"`
	Median     int64         `json:"activities_per_replay_p50"`
	Largest    int64         `json:"activities_per_replay_max"`
}

// Basis is what the categories sort.
type Basis string

const (
	GPUTime  Basis = "gpu_time"      // durations of GPU activities, overlaps counted each time
	SelfTime Basis = "cpu_self_time" // durations of operators without those of the operators inside
)

// Category is a group of kernels, or of operators where no GPU worked.
type Category struct {
	Name    string                     `json:"name"`
	N       int64                      `json:"n"`
	Took    time.Duration              `json:"time_ns"`
	Share   float64                    `json:"share"`
	PerStep map[StepKind]time.Duration `json:"per_step_ns,omitempty"` // mean over all steps of the kind
}

// Kernel is one kind of GPU activity.
type Kernel struct {
	Name     string                     `json:"name"`
	Category string                     `json:"category"`
	N        int64                      `json:"n"`
	Took     time.Duration              `json:"time_ns"`
	Mean     time.Duration              `json:"mean_ns"`
	Longest  time.Duration              `json:"longest_ns"`
	Share    float64                    `json:"share"` // of the time of all activities
	Graphed  int64                      `json:"in_graphs,omitempty"`
	PerStep  map[StepKind]time.Duration `json:"per_step_ns,omitempty"`
}

// Rest is what a shortened list leaves out.
type Rest struct {
	Names int           `json:"names"`
	N     int64         `json:"n"`
	Took  time.Duration `json:"time_ns"`
}

// Call is one function of the GPU's runtime or driver, as the CPU called it.
type Call struct {
	Name string        `json:"name"`
	N    int64         `json:"n"`
	Took time.Duration `json:"time_ns"`
	Mean time.Duration `json:"mean_ns"`
}

// Operator is one operator of the framework, or one Python function.
type Operator struct {
	Name     string                     `json:"name"`
	Category string                     `json:"category,omitempty"`
	N        int64                      `json:"n"`
	Took     time.Duration              `json:"time_ns"`           // with what it called
	Self     *time.Duration             `json:"self_ns,omitempty"` // without
	Share    *float64                   `json:"share,omitempty"`   // of all self time
	PerStep  map[StepKind]time.Duration `json:"self_per_step_ns,omitempty"`
}

// spread describes values, which it sorts.
func spread(values []int64) *Spread {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	mean, whole := 0.0, 0.0
	for _, v := range values {
		whole += float64(v)
	}
	mean = whole / float64(len(values))
	return &Spread{len(values), time.Duration(mean + 0.5), percentile(values, 50), percentile(values, 90)}
}

// percentile interpolates between the two ranks beside it. values are sorted.
func percentile(values []int64, percent int) time.Duration {
	at := (len(values) - 1) * percent
	low, part := at/100, int64(at%100)
	v := values[low]
	if part > 0 {
		v += (values[low+1] - v) * part / 100
	}
	return time.Duration(v)
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
