package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lab/internal/box"
	"lab/internal/lab"
)

type doctorOptions struct {
	server lab.Server
	json   bool
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what a measurement on this machine would meet",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctor(cmd, o) },
	}
	cmd.Flags().StringVar(&o.server.Venv, "venv", "", "look for vllm in this virtual environment")
	cmd.Flags().StringVar(&o.server.Executable, "executable", "", "look for vllm at this path")
	cmd.Flags().StringVar(&o.server.Python, "python", "", "look for vllm with this interpreter")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as one JSON document")
	addRecord(cmd)
	return cmd
}

func doctor(cmd *cobra.Command, o doctorOptions) error {
	dir, err := dataDir(cmd)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	checks := box.Doctor(cmd.Context(), box.Place{Self: self, Path: os.Getenv("PATH"), CacheDir: cache, DataDir: dir, Server: o.server})
	if err := printChecks(cmd, checks, o.json); err != nil {
		return err
	}
	for _, c := range checks {
		if c.State == box.Obstacle {
			return &toldError{exitPreflight}
		}
	}
	return nil
}

func printChecks(cmd *cobra.Command, checks []box.Check, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Schema string      `json:"schema"`
			Lab    string      `json:"lab_version"`
			Checks []box.Check `json:"checks"`
		}{"lab.doctor/v1", version(), checks})
	}
	marks := map[box.State]string{box.Good: "ok", box.Noted: "note", box.Doubt: "WARNING", box.Obstacle: "OBSTACLE"}
	for _, c := range checks {
		if _, err := fmt.Fprintf(out, "%-7s %-9s %s\n", c.Group, marks[c.State], c.Text); err != nil {
			return err
		}
		if c.Fix != "" {
			fmt.Fprintf(out, "%-7s %-9s -> %s\n", "", "", c.Fix)
		}
	}
	return nil
}
