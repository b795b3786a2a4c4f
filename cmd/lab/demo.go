package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lab/matrices"
)

func newDemo() *cobra.Command {
	o := abOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "An A/B of two simulated servers: no GPU, no Python, under a minute",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return profiled(cmd, o.pprof, func() error { return demo(cmd, o) })
		},
	}
	o.ask.Plan = "quick"
	o.measureOptions.addFlags(cmd)
	return cmd
}

// demo runs the shipped pair of experiments exactly as `lab ab` runs any other.
func demo(cmd *cobra.Command, o abOptions) error {
	dir, err := os.MkdirTemp("", "lab-demo-")
	if err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	defer os.RemoveAll(dir)
	var names []string
	for _, name := range []string{"demo-a.yaml", "demo-b.yaml"} {
		text, err := matrices.Shipped(name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write demo: %w", err)
		}
		names = append(names, path)
	}
	return ab(cmd, names[0], names[1], o)
}
