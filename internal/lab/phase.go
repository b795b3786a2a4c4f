package lab

// Phase is one stretch of load. A run has one or more, in order; every request record names its phase.
type Phase struct {
	Name   string `json:"name"`
	Judged bool   `json:"judged"` // its figures enter the verdict
	Load   Load   `json:"load"`
}

// Load says what is sent and when. All of it is fixed before the run: an open loop fixes times and prompts, a closed
// loop fixes order and prompts.
//
// Rate > 0 (Rate may be +Inf: all at once) makes an open loop; Concurrency > 0 alone makes a closed loop; both
// together make an open loop with at most Concurrency requests in flight (a request that must wait is late, and is
// measured from its intended moment). At least one of Requests and Duration is set; whichever is reached first ends it.
type Load struct {
	Rate        Number   `json:"rate,omitempty"`        // requests a second
	Concurrency int      `json:"concurrency,omitempty"` // requests in flight
	Requests    int      `json:"requests,omitempty"`
	Duration    Duration `json:"duration,omitempty"`
	Burstiness  Number   `json:"burstiness,omitempty"` // shape of the gamma distribution of gaps: 1 Poisson (default), +Inf constant gaps
	Seed        uint64   `json:"seed"`
	Warmup      int      `json:"warmup"` // requests before the phase, of the same kind but with other prompts, not measured

	API            string         `json:"api"`                   // "completions" or "chat"
	Temperature    *float64       `json:"temperature,omitempty"` // nil: 0
	Body           map[string]any `json:"body,omitempty"`        // further fields of the request body, sent as they are
	RequestTimeout Duration       `json:"request_timeout,omitempty"`
	Dataset        Dataset        `json:"dataset"`
}

// Open says whether arrivals follow a schedule of their own, whatever the server does.
func (l Load) Open() bool { return l.Rate > 0 }

// Dataset says where prompts come from.
type Dataset struct {
	Kind string `json:"kind"` // "random" (token ids of exact length) or "prompts" (a JSONL file)

	// Kind "random".
	InputTokens  int     `json:"input_tokens,omitempty"`
	OutputTokens int     `json:"output_tokens,omitempty"` // also for "prompts" where a line names none
	RangeRatio   float64 `json:"range_ratio,omitempty"`   // r in [0,1): lengths are uniform in [L(1-r), L(1+r)]
	PrefixTokens int     `json:"prefix_tokens,omitempty"` // shared by all prompts, on top of InputTokens
	Vocab        int     `json:"vocab,omitempty"`         // token ids are below this; 0: read from the model's config.json

	// Kind "prompts".
	File string `json:"file,omitempty"`
}

// Warmup is the Phase field of a record that belongs to no measured phase: canary and warm-up requests.
const Warmup = "warmup"
