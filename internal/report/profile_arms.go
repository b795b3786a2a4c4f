package report

import (
	"fmt"
	"io"

	"lab/internal/lab"
	"lab/profiling"
)

// ArmProfiles are the profiled runs of the arms of an A/B, and what differs between them. They are evidence, and no part of the verdict.
type ArmProfiles struct {
	A, B   *lab.Run              // nil: the arm was not profiled
	Diff   *profiling.Difference // nil: not both captures are whole, or they were not read
	Unread lab.Bytes             // of both captures, where they are whole and were left unread so that nothing beside suffers
}

// profilesDocument is what a document says of them.
type profilesDocument struct {
	A      *armProfile           `json:"a,omitempty"`
	B      *armProfile           `json:"b,omitempty"`
	Diff   *profiling.Difference `json:"diff,omitempty"`
	Unread int64                 `json:"traces_not_read_bytes,omitempty"`
}

type armProfile struct {
	Run     string       `json:"run"`
	Outcome lab.Outcome  `json:"outcome"`
	Profile *lab.Profile `json:"profile"`
}

func (a *ArmProfiles) document() *profilesDocument {
	if a == nil {
		return nil
	}
	of := func(r *lab.Run) *armProfile {
		if r == nil {
			return nil
		}
		return &armProfile{r.ID, r.Outcome, r.Profile}
	}
	return &profilesDocument{of(a.A), of(a.B), a.Diff, int64(a.Unread)}
}

// Profiles prints the profiled runs of the arms below a verdict.
func Profiles(w io.Writer, a *ArmProfiles, o Options) error {
	if a == nil {
		return nil
	}
	for _, arm := range []struct {
		name string
		run  *lab.Run
	}{{"A", a.A}, {"B", a.B}} {
		if arm.run == nil {
			continue
		}
		fmt.Fprintf(w, "\nprofiled run of arm %s, not part of the verdict\n", arm.name)
		if err := Capture(w, *arm.run, o); err != nil {
			return err
		}
	}
	if a.Diff == nil {
		return nil
	}
	fmt.Fprintln(w, "\nevidence: the two profiled runs, step by step")
	return ProfileDiff(w, *a.Diff, o)
}
