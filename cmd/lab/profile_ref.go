package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/store"
)

// traceOf finds the traces that a reference means: a file by its path, or a profiled run by its id, a unique beginning of it,
// @last or @last~N. A run has one trace a worker.
func traceOf(cmd *cobra.Command, ref string) ([]string, error) {
	if _, err := os.Stat(ref); err == nil {
		return []string{ref}, nil
	}
	db, err := openStore(cmd)
	if err != nil {
		return nil, err
	}
	id, err := db.Resolve(ref)
	var unknown *store.RefError
	if errors.As(err, &unknown) && len(unknown.Candidates) == 0 {
		return nil, &fileError{fmt.Errorf("read trace %s: no such file, and no run of that name in the store", ref)}
	}
	if err != nil {
		return nil, err
	}
	return tracesOfRun(db, id)
}

// tracesOfRun are the files of a profiled run.
func tracesOfRun(db *store.DB, id string) ([]string, error) {
	sealed, err := db.Sealed(id)
	if err != nil {
		return nil, err
	}
	profile := sealed.Run.Profile
	if profile == nil {
		return nil, &fileError{fmt.Errorf("run %s was not profiled: `lab profile FILE` makes a run that is", id)}
	}
	if profile.Mechanism == lab.ProfileByServer {
		return nil, &fileError{fmt.Errorf("run %s was made on a server that lab did not start, which has its traces: name the file", id)}
	}
	var paths []string
	for _, f := range profile.Traces() {
		paths = append(paths, filepath.Join(db.RunDir(id), f.Path))
	}
	if len(paths) == 0 {
		return nil, &fileError{fmt.Errorf("run %s has no trace: %s", id, profile.Lost)}
	}
	return paths, nil
}
