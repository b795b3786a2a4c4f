package lab

import "time"

// ClientAccuracy is how far the figures of lab's load client, and of others, are from a server that knows its own timing.
type ClientAccuracy struct {
	Host    Host           `json:"host"`
	Lab     string         `json:"lab_version"`
	Places  string         `json:"places"`  // which core each side had
	Pinned  bool           `json:"pinned"`  // each side had a core of its own
	Repeat  int            `json:"repeat"`  // runs of each client; every value is their median
	Clients []string       `json:"clients"` // lab first
	Took    time.Duration  `json:"took"`
	Loads   []AccuracyLoad `json:"loads"`
}

// AccuracyLoad is what came out under one load.
type AccuracyLoad struct {
	Title    string        `json:"title"`
	Streams  int           `json:"streams,omitempty"` // of a closed loop
	Rate     float64       `json:"rate,omitempty"`    // of an open one, requests a second
	Requests int           `json:"requests"`
	Tokens   int           `json:"tokens"` // of each answer
	First    time.Duration `json:"first"`  // the server's time to the first token
	Gap      time.Duration `json:"gap"`    // and between tokens
	Rows     []AccuracyRow `json:"rows"`
	Notes    []string      `json:"notes,omitempty"`
}

// AccuracyRow is one figure of every client. A client that cannot give it has no cell.
type AccuracyRow struct {
	Figure string         `json:"figure"`
	Title  string         `json:"title"`
	Unit   string         `json:"unit"`
	Target *float64       `json:"target,omitempty"` // lab's, at most; the sign of an error does not count
	Met    *bool          `json:"met,omitempty"`    // absent where there is no target
	Cells  []AccuracyCell `json:"cells"`
}

// AccuracyCell is the value of one client.
type AccuracyCell struct {
	Client string   `json:"client"`
	Value  float64  `json:"value"`
	N      int      `json:"n"`               // what went into it in one run
	Ratio  *float64 `json:"ratio,omitempty"` // lab's value to this one; absent for lab, and where one of them is not above zero
}

// Cell finds the value of a client.
func (r AccuracyRow) Cell(client string) (AccuracyCell, bool) {
	for _, c := range r.Cells {
		if c.Client == client {
			return c, true
		}
	}
	return AccuracyCell{}, false
}
