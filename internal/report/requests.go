package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"lab/internal/lab"
)

// requestLine is one request for other programs: moments in seconds since the run's epoch, absent where nothing was seen.
type requestLine struct {
	Run        string    `json:"run"`
	Phase      string    `json:"phase"`
	Seq        int       `json:"seq"`
	Prompt     string    `json:"prompt_hash,omitempty"` // hexadecimal: a reader of JSON may know numbers only up to 2^53
	Intended   float64   `json:"intended_s"`
	Sent       *float64  `json:"sent_s,omitempty"`
	Connected  *float64  `json:"connected_s,omitempty"`
	Written    *float64  `json:"written_s,omitempty"`
	FirstByte  *float64  `json:"first_byte_s,omitempty"`
	Done       *float64  `json:"done_s,omitempty"`
	TTFT       *float64  `json:"ttft_s,omitempty"`
	TPOT       *float64  `json:"tpot_s,omitempty"`
	E2EL       *float64  `json:"e2el_s,omitempty"`
	Lag        *float64  `json:"lag_s,omitempty"`
	WantInput  int       `json:"want_input_tokens,omitempty"`
	WantOutput int       `json:"want_output_tokens,omitempty"`
	Input      *int      `json:"input_tokens,omitempty"`
	Output     *int      `json:"output_tokens,omitempty"`
	Cached     *int      `json:"cached_tokens,omitempty"`
	Finish     string    `json:"finish,omitempty"`
	Status     int       `json:"http_status,omitempty"`
	OK         bool      `json:"ok"`
	Error      string    `json:"error,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Text       string    `json:"text,omitempty"`
	Answer     string    `json:"answer_hash,omitempty"` // of what was generated
	Chunks     []float64 `json:"chunk_at_s,omitempty"`
	Tokens     []int     `json:"chunk_tokens,omitempty"` // beside chunk_at_s; absent where the server does not say
	Empty      []float64 `json:"empty_at_s,omitempty"`   // events without output

	Kernel  *int     `json:"kernel_stamps,omitempty"`  // of the events: with the kernel's receive stamp,
	Reading *int     `json:"reading_stamps,omitempty"` // without one, by when the client read them,
	Shared  *int     `json:"shared_stamps,omitempty"`  // with the stamp of a later event in the same read
	LagMean *float64 `json:"read_lag_mean_s,omitempty"`
	LagMax  *float64 `json:"read_lag_max_s,omitempty"`
}

// Requests writes a line of JSON for each request of a run, in the order in which they ended.
func Requests(w io.Writer, run string, records []lab.RequestRecord) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range records {
		if err := e.Encode(lineOf(run, r)); err != nil {
			return fmt.Errorf("write requests: %w", err)
		}
	}
	return nil
}

func lineOf(run string, r lab.RequestRecord) requestLine {
	l := requestLine{
		Run: run, Phase: r.Phase, Seq: r.Seq, Intended: inSeconds(r.Intended),
		Sent: moment(r.Sent), Connected: moment(r.Connected), Written: moment(r.Written), FirstByte: moment(r.FirstByte), Done: moment(r.Done),
		TTFT: given(r.TTFT()), TPOT: given(r.TPOT()), E2EL: given(r.E2EL()), Lag: given(r.Lag()),
		WantInput: r.WantInput, WantOutput: r.WantOutput, Finish: r.Finish, Status: r.Status,
		OK: r.OK(), Error: r.Error, Detail: r.Detail, Text: r.Text,
	}
	if r.Prompt != 0 {
		l.Prompt = fmt.Sprintf("%016x", r.Prompt)
	}
	if r.Answer != 0 {
		l.Answer = fmt.Sprintf("%016x", r.Answer)
	}
	if u := r.Usage; u != nil {
		l.Input, l.Output, l.Cached = &u.Input, &u.Output, &u.Cached
	}
	if s := r.Stamps; s != nil {
		l.Kernel, l.Reading, l.Shared = &s.Kernel, &s.Reading, &s.Shared
		mean, ok := s.Lag.Mean()
		l.LagMean, l.LagMax = given(mean, ok), given(s.Lag.Max, ok)
	}
	said := false
	for _, c := range r.Chunks {
		l.Chunks, l.Tokens = append(l.Chunks, inSeconds(c.At)), append(l.Tokens, c.Tokens)
		said = said || c.Tokens > 0
	}
	if !said {
		l.Tokens = nil
	}
	for _, at := range r.Empty {
		l.Empty = append(l.Empty, inSeconds(at))
	}
	return l
}

// moment is nil for 0, which stands for absent in a record.
func moment(at time.Duration) *float64 { return given(at, at != 0) }

func given(d time.Duration, ok bool) *float64 {
	if !ok {
		return nil
	}
	v := inSeconds(d)
	return &v
}

// inSeconds is the number nearest to a moment: whole seconds and their fraction, added up, end in a row of nines at times.
func inSeconds(d time.Duration) float64 { return float64(d) / 1e9 }
