package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/runner"
	"lab/matrices"
	"lab/supervisor"
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve FILE|MODEL [vllm flags]",
		Short: "Run one vLLM server in the foreground, as an experiment would",
		Long: `Run one vLLM server in the foreground: checked, watched and stopped as in an experiment.
FILE is an experiment (its load is not used). Further flags are vllm's own. lab's own are
--venv DIR, --executable FILE and --python FILE, which say where vllm is, and --dir DIR.

The server's log goes to stderr; when it is ready, its URL goes to stdout. Ctrl-C stops it.`,
		DisableFlagParsing: true, // the flags are vllm's
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			ask, err := parseServe(args)
			if err != nil {
				return err
			}
			return serve(cmd, ask)
		},
	}
}

// serveAsk is what the command line of `lab serve` asks for.
type serveAsk struct {
	server lab.Server
	served string // name that clients use; default the model's
	port   int    // 0: a free one
	dir    string
	file   *matrices.File
	flags  bool // some of the server's flags come from the command line
}

func parseServe(args []string) (serveAsk, error) {
	var ask serveAsk
	for len(args) > 0 && (args[0] == "--dir" || strings.HasPrefix(args[0], "--dir=")) { // a flag of lab before the command
		name, values, left, err := nextFlag(args[:min(2, len(args))])
		if err == nil {
			err = ask.set(name, values)
		}
		if err != nil {
			return ask, err
		}
		args = append(left, args[min(2, len(args)):]...)
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ask, &usageError{fmt.Errorf("lab serve: the first argument must be a file or a model")}
	}
	if strings.HasSuffix(args[0], ".yaml") || strings.HasSuffix(args[0], ".yml") {
		file, err := matrices.Load(args[0])
		if err != nil {
			return ask, err
		}
		ask.file, ask.server = file, file.Experiment.Server
	} else {
		ask.server.Model = args[0]
	}
	if ask.server.Args == nil {
		ask.server.Args = map[string]any{}
	}
	for rest := args[1:]; len(rest) > 0; {
		name, values, left, err := nextFlag(rest)
		if err != nil {
			return ask, err
		}
		if err := ask.set(name, values); err != nil {
			return ask, err
		}
		rest = left
	}
	return ask, nil
}

// nextFlag takes one flag and its values from the front of a command line.
func nextFlag(args []string) (name string, values, rest []string, err error) {
	name, long := strings.CutPrefix(args[0], "--")
	if !long {
		return "", nil, nil, &usageError{fmt.Errorf("lab serve: unexpected argument %q", args[0])}
	}
	if name, value, joined := strings.Cut(name, "="); joined {
		return name, []string{value}, args[1:], nil
	}
	rest = args[1:]
	for len(rest) > 0 && !isFlag(rest[0]) {
		values, rest = append(values, rest[0]), rest[1:]
	}
	return name, values, rest, nil
}

// isFlag tells -tp and --dtype from values such as -1.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9')
}

func (ask *serveAsk) set(name string, values []string) error {
	name = strings.ReplaceAll(name, "_", "-")
	single := func() (string, error) {
		if len(values) != 1 {
			return "", &usageError{fmt.Errorf("lab serve: --%s takes one value", name)}
		}
		return values[0], nil
	}
	var err error
	switch name {
	case "venv":
		ask.server.Venv, err = single()
	case "executable":
		ask.server.Executable, err = single()
	case "python":
		ask.server.Python, err = single()
	case "dir":
		ask.dir, err = single()
	case "served-model-name":
		ask.served, err = single()
	case "host":
		return &usageError{errors.New("lab serve: --host is not taken: it serves on 127.0.0.1")}
	case "port":
		var text string
		if text, err = single(); err == nil {
			if ask.port, err = strconv.Atoi(text); err != nil || ask.port < 1 || ask.port > 65535 {
				err = &usageError{fmt.Errorf("lab serve: --port %s is not a port", text)}
			}
		}
	default:
		if why, taken := lab.OwnFlags[name]; taken {
			return &usageError{fmt.Errorf("lab serve: --%s %s", name, why)}
		}
		ask.flags = true
		switch len(values) {
		case 0:
			ask.server.Args[name] = true
		case 1:
			ask.server.Args[name] = values[0]
		default:
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = v
			}
			ask.server.Args[name] = list
		}
	}
	return err
}

func serve(cmd *cobra.Command, ask serveAsk) error {
	launch, o, err := prepareServe(cmd, ask)
	if err != nil {
		return err
	}
	defer os.RemoveAll(o.Dir)
	server, err := supervisor.Start(launch, o)
	if err != nil {
		return err
	}
	_, err = server.WaitReady(cmd.Context())
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), server.URL())
		select {
		case <-cmd.Context().Done():
		case <-server.Down():
			err = &supervisor.DeathError{Failure: *server.Failure()}
		}
	}
	server.Stop(context.WithoutCancel(cmd.Context())) // in order, also after a Ctrl-C
	return interrupted(cmd.Context(), err)
}

func prepareServe(cmd *cobra.Command, ask serveAsk) (supervisor.Launch, supervisor.Options, error) {
	var none supervisor.Launch
	var o supervisor.Options
	if ask.server.BaseURL != "" {
		return none, o, &usageError{errors.New("lab serve: the file names base_url, a server that already runs")}
	}
	if ask.dir != "" {
		if err := cmd.Flags().Set("dir", ask.dir); err != nil {
			return none, o, err
		}
	}
	dir, err := dataDir(cmd)
	if err != nil {
		return none, o, err
	}
	cache, err := cacheDir()
	if err != nil {
		return none, o, err
	}
	launch, err := launchOf(cmd, ask, cache)
	var faults lab.Faults
	if errors.As(err, &faults) && ask.file != nil && !ask.flags {
		return none, o, ask.file.Locate(faults)
	}
	if err != nil {
		return none, o, err
	}
	scratch, err := os.MkdirTemp("", "lab-")
	if err != nil {
		return none, o, fmt.Errorf("make scratch folder: %w", err)
	}
	epoch := lab.NewEpoch()
	errOut := cmd.ErrOrStderr()
	return launch, supervisor.Options{
		Dir: scratch, StateDir: stateDir(dir), RunID: "serve-" + lab.NewID(time.Now()), Clock: epoch.Clock(),
		Log:          func(l lab.LogLine) { fmt.Fprintln(errOut, l.Text) },
		Event:        func(lab.EventKind, string) {},
		StartTimeout: time.Duration(ask.server.StartTimeout), StopTimeout: time.Duration(ask.server.StopTimeout),
	}, nil
}

// negate turns --no-x into x: false where x has that twin.
func negate(args map[string]any, flags supervisor.Flags) {
	for name := range args {
		positive, negated := strings.CutPrefix(name, "no-")
		if f, known := flags.Get(positive); negated && known && f.Twin {
			delete(args, name)
			args[positive] = false
		}
	}
}

// launchOf finds vllm and a port and builds the command line.
func launchOf(cmd *cobra.Command, ask serveAsk, cache string) (supervisor.Launch, error) {
	var none supervisor.Launch
	self, err := os.Executable()
	if err != nil {
		return none, fmt.Errorf("find own binary: %w", err)
	}
	install, err := supervisor.Find(cmd.Context(), ask.server, self, os.Getenv("PATH"))
	if err != nil {
		return none, err
	}
	flags, err := install.Flags(cmd.Context(), cache)
	if err != nil {
		return none, &runner.ObstacleError{Err: fmt.Errorf("ask %s for its flags: %w", install.Path, err)}
	}
	negate(ask.server.Args, flags)
	port := ask.port
	if port == 0 {
		if port, err = supervisor.FreePort(); err != nil {
			return none, err
		}
	} else if err := supervisor.PortFree(port); err != nil {
		return none, &runner.ObstacleError{Err: err}
	}
	served := ask.served
	if served == "" {
		served = ask.server.Model
	}
	launch, err := supervisor.Prepare(ask.server, install, flags, served, port)
	if name := ask.server.APIKeyEnv; err == nil && name != "" {
		launch.APIKey = os.Getenv(name)
	}
	return launch, err
}
