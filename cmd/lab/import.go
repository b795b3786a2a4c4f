package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/store"
)

func newImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE|DIR...",
		Short: "Take results of vllm bench serve, or run documents, into the store",
		Long: `Take result files of vllm bench serve (of any age, also several results in one file) or run documents
of lab into the store, each result as a run, so that list, show, compare and export work on them. Of a
folder every *.json is taken. Such a run is marked as imported and no A/B judges it.

The numbers are the file's own, by the definitions of vllm bench serve. Where the file has the lists
of --save-detailed, the requests become records, and percentiles that the file lacks are computed.
The same content is taken once, whatever the file is called.

A file that cannot be read is named, the others go on, and the exit code is 3.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importAll(cmd, args) },
	}
}

func importAll(cmd *cobra.Command, args []string) error {
	var names []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return &fileError{fmt.Errorf("import: %w", err)}
		}
		if !info.IsDir() {
			names = append(names, arg)
			continue
		}
		inside, err := resultFiles(arg)
		if err != nil {
			return &fileError{fmt.Errorf("import: %w", err)}
		}
		if len(inside) == 0 {
			return &fileError{fmt.Errorf("import %s: no *.json is in it", arg)}
		}
		names = append(names, inside...)
	}
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	entries, err := db.List()
	if err != nil {
		return err
	}
	i := importing{cmd: cmd, db: db, known: map[string]string{}}
	for _, e := range entries {
		i.known[e.ID] = e.ID
		if e.Imported != "" && e.Outcome != lab.Interrupted { // an import that was killed is made again
			i.known[e.Imported] = e.ID
		}
	}
	broken := false
	for _, name := range names {
		if err := i.file(name); errors.As(err, new(*fileError)) {
			broken = true
			fmt.Fprintf(cmd.ErrOrStderr(), "lab: %v\n", err)
		} else if err != nil {
			return err
		}
	}
	if broken {
		return &toldError{exitConfig}
	}
	return nil
}

type importing struct {
	cmd   *cobra.Command
	db    *store.DB
	known map[string]string // id of a run, by the hash of its result and by itself
}

// file takes the results of one file. What is wrong with the file is a *fileError; anything else is the store's.
func (i *importing) file(name string) error {
	documents, err := kit.Documents(name)
	if err != nil {
		return &fileError{err}
	}
	info, err := os.Stat(name)
	if err != nil {
		return &fileError{fmt.Errorf("read result: %w", err)}
	}
	var faults error
	for n, document := range documents {
		label := numbered(name, n, len(documents))
		if id, again := i.known[kit.Hash(document)]; again {
			fmt.Fprintf(i.cmd.ErrOrStderr(), "%s: in the store already, as run %s\n", label, id)
			continue
		}
		s, records, err := kit.Import(name, document, info.ModTime())
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("read result %s: %w", label, err))
			continue
		}
		if err := i.keep(label, s, records, document); err != nil {
			return err
		}
	}
	if faults != nil {
		return &fileError{faults}
	}
	return nil
}

// keep stores one result as a run; a result of vllm bench serve is kept beside it as it stands.
func (i *importing) keep(label string, s lab.Sealed, records []lab.RequestRecord, document []byte) error {
	if s.Run.ID == "" {
		s.Run.ID, s.Run.Lab = lab.NewID(s.Run.Epoch.Wall), version()
	} else {
		document = nil // a run document says nothing that the run does not
	}
	if _, there := i.known[s.Run.ID]; there {
		fmt.Fprintf(i.cmd.ErrOrStderr(), "%s: run %s is in the store already\n", label, s.Run.ID)
		return nil
	}
	if err := i.db.Import(s, records, document); err != nil {
		return fmt.Errorf("import %s: %w", label, err)
	}
	i.known[s.Run.ID], i.known[s.Run.Imported.SHA256] = s.Run.ID, s.Run.ID
	fmt.Fprintf(i.cmd.OutOrStdout(), "%s  %s, of %s\n", s.Run.ID, label, report.Moment(s.Run.Epoch.Wall))
	return nil
}
