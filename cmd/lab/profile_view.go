package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/runner"
	"lab/profiling"
)

func newProfileView() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "view ID|FILE [OTHER]",
		Short: "Show a profile, or what changed between two, as a flame graph in the browser",
		Long: `Serve pprof's pages of a trace on this machine: the flame graph first, then tables and callers. With a
second trace they show what OTHER takes more (red) or less (green) than the first would have, had it run as
many steps of each kind. The menu "Sample" chooses between GPU and CPU time.

The URL goes to stdout; Ctrl-C ends it. No browser is opened. The page "Graph" needs graphviz.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return viewProfile(cmd, args, port) },
	}
	cmd.Flags().IntVar(&port, "port", 0, "`PORT` to serve on (default a free one)")
	return cmd
}

func viewProfile(cmd *cobra.Command, refs []string, port int) error {
	if port < 0 || port > 65535 {
		return &usageError{fmt.Errorf("lab profile view: --port %d is out of range: 1 to 65535, or 0 for a free one", port)}
	}
	var all []*profiling.Stacks
	for _, ref := range refs {
		s, err := readStacks(cmd, "profile view", ref)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	shown, base := all[len(all)-1], (*profiling.Stacks)(nil)
	if len(all) == 2 {
		base = all[0]
	}
	pages, err := profiling.View(shown, base)
	if err != nil {
		return &fileError{fmt.Errorf("profile view: %w", err)}
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return &runner.ObstacleError{Err: fmt.Errorf("serve profile: %w; name another --port, or none for a free one", err)}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", l.Addr())
	return serveUntil(cmd.Context(), l, profiling.OnLoopback(pages))
}

// serveUntil serves until the context ends, and returns when nothing of it runs any more.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve pages: %w", err)
	case <-ctx.Done():
	}
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve pages: %w", err)
	}
	return interrupted(ctx, ctx.Err())
}
