package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"lab/internal/box"
	"lab/internal/lab"
	"lab/internal/report"
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
		Long: `doctor looks at the GPUs, at vllm, and at what of the host, its limits, clocks and disk changes figures, and
says what to type where something should be changed. It changes nothing itself. docs/doctor.md says of each
finding why it matters. It exits with code 4 where a measurement cannot start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return doctor(cmd, o) },
	}
	cmd.Flags().StringVar(&o.server.Venv, "venv", "", "look for vllm in this virtual environment")
	cmd.Flags().StringVar(&o.server.Executable, "executable", "", "look for vllm at this path")
	cmd.Flags().StringVar(&o.server.Python, "python", "", "look for vllm with this interpreter")
	cmd.Flags().StringVar(&o.server.Model, "model", "", "look for this model too: a folder, or a name in the Hugging Face cache")
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
	host, checks := box.Doctor(cmd.Context(), box.Place{
		Self: self, Path: os.Getenv("PATH"), CacheDir: cache, DataDir: dir, Getenv: os.Getenv, Server: o.server,
	})
	if err := interrupted(cmd.Context(), nil); err != nil {
		return err
	}
	if o.json {
		err = report.DoctorJSON(cmd.OutOrStdout(), version(), host, checks)
	} else {
		err = report.Doctor(cmd.OutOrStdout(), checks, look(cmd))
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(checks, func(c box.Check) bool { return c.State == box.Obstacle }) {
		return &toldError{exitPreflight}
	}
	return nil
}
