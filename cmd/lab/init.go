package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"lab/internal/runner"
	"lab/matrices"
)

type initOptions struct {
	model  string
	schema bool
}

func newInit() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented experiment file to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "lab.yaml"
			if len(args) == 1 {
				name = args[0]
			}
			return initFile(cmd, name, o)
		},
	}
	cmd.Flags().StringVar(&o.model, "model", "", "the model to serve")
	cmd.Flags().BoolVar(&o.schema, "schema", false, "print the JSON Schema of experiment files, which editors use")
	return cmd
}

func initFile(cmd *cobra.Command, name string, o initOptions) error {
	if o.schema {
		_, err := cmd.OutOrStdout().Write(append(matrices.Schema(), '\n'))
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &runner.ObstacleError{Err: fmt.Errorf("%s is there already: name another file", name)}
	}
	if err != nil {
		return fmt.Errorf("write experiment: %w", err)
	}
	defer f.Close()
	if _, err := f.Write(matrices.Scaffold(o.model)); err != nil {
		return fmt.Errorf("write experiment: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s; next: lab run %s\n", name, name)
	return f.Close()
}
