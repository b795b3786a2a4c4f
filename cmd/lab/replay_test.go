package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"lab/internal/lab"
)

// replay STATUSES shows each status of a JSON file, the view's own, until the file `next` is there; then it ends the view.
// So the tests of terminals see a frame that does not depend on how long anything takes.
func replay() {
	if err := replayFile(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func replayFile(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var statuses []lab.Status
	if err := json.Unmarshal(text, &statuses); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	cmd := newRoot()
	cmd.SetErr(os.Stderr)
	cmd.SetContext(context.Background())
	view, err := uiFlag("auto").view(cmd)
	if err != nil {
		return err
	}
	defer view.Close()
	for _, s := range statuses {
		for ; os.Remove("next") != nil; time.Sleep(50 * time.Millisecond) {
			view.Show(s) // anew and anew: its clock stands still
		}
	}
	return nil
}
