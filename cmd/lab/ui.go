package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/live"
)

// uiFlag is how a command that measures shows how it goes.
type uiFlag string

const uiHelp = "how to show how it goes: auto (live on a terminal, else plain), live, plain lines, or none"

func (u *uiFlag) addFlag(cmd *cobra.Command) {
	*u = "auto"
	cmd.Flags().Var(u, "ui", uiHelp)
}

func (u *uiFlag) String() string { return string(*u) }

// Type names the words in help texts.
func (u *uiFlag) Type() string { return "WORD" }

// Set takes one of the words.
func (u *uiFlag) Set(word string) error {
	if !slices.Contains([]string{"auto", "live", "plain", "none"}, word) {
		return fmt.Errorf("%q is none of auto, live, plain and none", word)
	}
	*u = uiFlag(word)
	return nil
}

// view makes the view that a command shows its progress with, on stderr: stdout has the result only. It learns when the user
// wants the command to end; whoever makes one closes it.
func (u uiFlag) view(cmd *cobra.Command) (*live.View, error) {
	width := columns(cmd.ErrOrStderr())
	can := width > 0 && os.Getenv("TERM") != "dumb"
	o := live.Options{Color: can && os.Getenv("NO_COLOR") == "", Env: terminalEnv(os.Environ())}
	switch {
	case u == "none":
		o.Mode = live.None
	case u == "live" && !can:
		return nil, &usageError{fmt.Errorf("%s: --ui live redraws in place, and stderr is no terminal that can: use --ui plain", cmd.CommandPath())}
	case u == "live", u == "auto" && can && inForeground(cmd.ErrOrStderr()):
		o.Mode = live.Live
	}
	v := live.New(cmd.ErrOrStderr(), o)
	context.AfterFunc(cmd.Context(), v.Stopping)
	return v, nil
}

// terminalEnv is the environment as the terminal library reads it: it takes NO_COLOR for a boolean, and by its own rule any
// value that is not empty means no colour.
func terminalEnv(env []string) []string {
	env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, "NO_COLOR=") })
	if os.Getenv("NO_COLOR") != "" {
		env = append(env, "NO_COLOR=1")
	}
	return env
}
