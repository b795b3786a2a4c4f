package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"lab/internal/runner"
	"lab/internal/web"
)

// uiAddress is where `lab ui` listens unless it is told otherwise.
const uiAddress = "127.0.0.1:7411"

func newUI() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the store as pages in the browser, live while something is measured",
		Long: `Serve the records as pages: all runs with a filter, single runs, comparisons, A/Bs, sweeps, baselines,
profiles, and what is measured right now. The pages only show; nothing can be started or changed there.

The address goes to stdout; Ctrl-C ends it. It listens on this machine only. With --listen 0.0.0.0:7411
(or another address) others can reach it, and then a browser must bring the token in the printed address;
the connection is not encrypted, so a tunnel is better: ssh -L 7411:127.0.0.1:7411 BOX`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return ui(cmd, listen) },
	}
	cmd.Flags().StringVar(&listen, "listen", uiAddress, "`ADDRESS:PORT` to serve on; port 0 takes a free one")
	return cmd
}

func ui(cmd *cobra.Command, listen string) error {
	host, err := checkListen(listen)
	if err != nil {
		return &usageError{fmt.Errorf("lab ui: --listen %s: %w", listen, err)}
	}
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	o := web.Options{DB: db, Version: version(), Sampler: []string{self}}
	if !host.loopback {
		o.Token = web.NewToken()
	}
	site, err := web.New(o)
	if err != nil {
		return err
	}
	defer site.Stop()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return &runner.ObstacleError{Err: fmt.Errorf("serve the pages: %w%s", err, listenAdvice(err))}
	}
	yield()
	fmt.Fprintln(cmd.OutOrStdout(), host.url(l.Addr(), o.Token))
	fmt.Fprintf(cmd.ErrOrStderr(), "lab: shows %s; Ctrl-C ends it\n", db.Dir())
	return serveUntil(cmd.Context(), l, site.Handler())
}

// listenHost is the host part of an address to listen on.
type listenHost struct {
	name     string
	loopback bool // only this machine reaches it
}

// checkListen refuses what cannot be listened on with a better word than the system has.
func checkListen(address string) (listenHost, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return listenHost{}, errors.New("write an address and a port, such as 127.0.0.1:7411, or 0.0.0.0:7411 for all machines")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return listenHost{}, fmt.Errorf("%q is no port: 1 to 65535, or 0 for a free one", port)
	}
	ip := net.ParseIP(name)
	if name != "" && name != "localhost" && ip == nil {
		if found, err := net.LookupHost(name); err != nil || len(found) == 0 {
			return listenHost{}, fmt.Errorf("%q is no address of this machine", name)
		}
	}
	return listenHost{name, name == "localhost" || ip != nil && ip.IsLoopback()}, nil
}

// url is the address for a browser. Where lab listens on all addresses it is that of the machine's name.
func (h listenHost) url(at net.Addr, token string) string {
	_, port, _ := net.SplitHostPort(at.String())
	name := h.name
	if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
		if own, err := os.Hostname(); err == nil {
			name = own
		} else {
			name = "127.0.0.1"
		}
	}
	url := "http://" + net.JoinHostPort(name, port) + "/"
	if token != "" {
		url += "?token=" + token
	}
	return url
}

func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; perhaps another lab ui runs: open its page, or name another port, such as --listen 127.0.0.1:0 for a free one"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 are the system's: name a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this machine does not have that address"
	}
	return ""
}

// yield lets everything else on this machine go first: what is measured must not feel who looks on. The niceness is a
// thread's, so all that there are get it; later ones inherit it.
func yield() {
	const behind = 10
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // it is a courtesy
	}
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, behind)
		}
	}
}
