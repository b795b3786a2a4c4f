package lab

import "math"

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

	// In place of Rate: the share of what the servers can carry, measured before the first run (of an A/B the smaller of
	// both arms). It stays beside the rate that came of it.
	CapacityShare float64 `json:"capacity_share,omitempty"`

	RampUp *RampUp `json:"ramp_up,omitempty"` // in place of Rate: a rate that changes over the requests

	API            string         `json:"api"`                       // "completions" or "chat"
	Endpoint       string         `json:"endpoint,omitempty"`        // path of the request; empty: the usual one of API
	Temperature    *float64       `json:"temperature,omitempty"`     // nil: 0
	ServerSampling bool           `json:"server_sampling,omitempty"` // no temperature is sent: the server's own default holds
	Body           map[string]any `json:"body,omitempty"`            // further fields of the request body, sent as they are
	RequestTimeout Duration       `json:"request_timeout,omitempty"`
	OnDemand       bool           `json:"connect_on_demand,omitempty"` // connections are opened as requests need them, not beforehand
	KeepText       bool           `json:"keep_text,omitempty"`         // the records keep what was generated
	Dataset        Dataset        `json:"dataset"`
}

// RampUp is a rate of an open loop that goes from Start to End over the requests: for request i of n, with p = i/(n-1),
// linear Start+(End-Start)*p, exponential Start*(End/Start)^p, as `vllm bench serve` does.
type RampUp struct {
	Strategy string `json:"strategy"` // "linear" or "exponential"
	Start    int    `json:"start"`    // requests a second
	End      int    `json:"end"`
}

// At is the rate at request i of n.
func (r RampUp) At(i, n int) float64 {
	start, end := float64(r.Start), float64(r.End)
	part := float64(i) / float64(max(1, n-1))
	if r.Strategy == "exponential" {
		return start * math.Pow(end/start, part)
	}
	return start + (end-start)*part
}

// Open says whether arrivals follow a schedule of their own, whatever the server does.
func (l Load) Open() bool {
	return l.Rate > 0 || l.RampUp != nil || l.Timed() || l.CapacityShare > 0
}

// Unsettled says whether the rate is still to be found by measuring the capacity.
func (l Load) Unsettled() bool { return l.CapacityShare > 0 && l.Rate == 0 }

// Timed says whether the data set itself says when each request is sent.
func (l Load) Timed() bool { return l.Dataset.Trace != nil && !l.Dataset.Trace.Untimed }

// Dataset says where prompts come from. Which fields apply follows from Kind:
//
//	random             token ids of exact length (text of exact length for the chat endpoint)
//	prompts            a JSONL file, sent line by line as it is
//	custom             the same file by the rules of `vllm bench serve`: shuffled, chat template applied
//	sharegpt           the ShareGPT JSON file, filtered and sampled by vLLM's rules
//	prefix_repetition  Prefixes shared prefixes of PrefixTokens, each with suffixes of InputTokens
//	timed_trace        a JSONL trace (Mooncake form) replayed at its own times
//	random-mm          random text with images made on the fly; chat only
//	hf                 a local copy of a data set of the hub: a Parquet, JSON or JSONL file, or a folder of them
type Dataset struct {
	Kind string `json:"kind"`

	InputTokens      int      `json:"input_tokens,omitempty"`
	OutputTokens     int      `json:"output_tokens,omitempty"`      // of random kinds; of files where a line names none
	RangeRatio       float64  `json:"range_ratio,omitempty"`        // r in [0,1): lengths are uniform in [L(1-r), L(1+r)]
	OutputRangeRatio *float64 `json:"output_range_ratio,omitempty"` // nil: RangeRatio
	PrefixTokens     int      `json:"prefix_tokens,omitempty"`      // shared by all prompts, on top of InputTokens
	Prefixes         int      `json:"prefixes,omitempty"`           // how many different prefixes
	Vocab            int      `json:"vocab,omitempty"`              // token ids are below this; 0: read from the model's config.json

	File   string `json:"file,omitempty"`   // file, or folder for hf
	Name   string `json:"name,omitempty"`   // hf: which data set of the hub the local copy is, such as lmarena-ai/VisionArena-Chat
	Subset string `json:"subset,omitempty"` // hf
	Split  string `json:"split,omitempty"`  // hf

	FixedOutput    bool   `json:"fixed_output,omitempty"`     // sharegpt, custom: OutputTokens holds, whatever the file says
	NoShuffle      bool   `json:"no_shuffle,omitempty"`       // file order
	NoOversample   bool   `json:"no_oversample,omitempty"`    // a file shorter than the load is not repeated
	NoChatTemplate bool   `json:"no_chat_template,omitempty"` // custom: the prompt is sent as it stands
	Tokenizer      string `json:"tokenizer,omitempty"`        // folder or hub name; empty: the model's

	Images *Images `json:"images,omitempty"` // random-mm
	Trace  *Trace  `json:"trace,omitempty"`  // timed_trace
}

// Sampled says whether the prompts are taken from a file by vLLM's rules, so that the seed alone says which they are.
func (d Dataset) Sampled() bool {
	switch d.Kind {
	case "custom", "sharegpt", "timed_trace", "hf":
		return true
	}
	return false
}

// Images says how many images a random-mm request carries, and how large they are.
type Images struct {
	Items      int           `json:"items"`                 // base number for each request
	RangeRatio float64       `json:"range_ratio,omitempty"` // the number is uniform in [Items(1-r), Items(1+r)]
	Limit      int           `json:"limit,omitempty"`       // most images in a request; 0: no bound
	Buckets    []ImageBucket `json:"buckets"`
}

// ImageBucket is one size of image and how likely it is.
type ImageBucket struct {
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Share  float64 `json:"share"`
}

// Trace says how a timed trace is read.
type Trace struct {
	BlockTokens int     `json:"block_tokens"` // prompt tokens that one hash id stands for
	SecondsUnit float64 `json:"seconds_unit"` // seconds in one unit of the time stamps
	Timestamp   string  `json:"timestamp"`    // names of the fields
	InputLength string  `json:"input_length"`
	OutputLen   string  `json:"output_length"`
	HashIDs     string  `json:"hash_ids"`
	Untimed     bool    `json:"untimed,omitempty"` // the time stamps are left aside: the load's own rate holds
}

// Warmup is the Phase field of a record that belongs to no measured phase: canary and warm-up requests.
const Warmup = "warmup"
