package box

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lab/gpu"
	"lab/internal/lab"
)

// State is how a check came out.
type State string

// The states of a check.
const (
	Good     State = "ok"
	Noted    State = "note"
	Doubt    State = "warning"
	Obstacle State = "obstacle" // a measurement cannot start
)

// The groups of checks, in their order.
const (
	onGPU    = "gpu"
	onServer = "server"
	onHost   = "host"
	onClient = "client" // what bounds the load that lab itself makes
	onClock  = "clock"
	onData   = "data"
)

// Check is one thing the doctor looked at. docs/doctor.md says of each why it matters.
type Check struct {
	Group   string `json:"group"`
	State   State  `json:"state"`
	Text    string `json:"text"`
	Fix     string `json:"fix,omitempty"`     // what to do about it, in words
	Command string `json:"command,omitempty"` // what to type
}

// Place is what the doctor is told about where it is.
type Place struct {
	Self     string // path of the lab binary
	Path     string // PATH
	CacheDir string // of help texts
	DataDir  string // of the store
	Root     string // the folder that /proc, /sys and /dev are in; empty: /
	Getenv   func(string) string
	Server   lab.Server // where to look for vllm; Model: look for this model too
}

// Doctor looks at the machine and says what a measurement would meet; its fingerprint is the one that runs are stored
// with. It changes nothing.
func Doctor(ctx context.Context, p Place) (lab.Host, []Check) {
	if p.Root == "" {
		p.Root = "/"
	}
	host, err := gpu.Host()
	var checks []Check
	if err != nil {
		checks = append(checks, Check{Group: onHost, State: Doubt, Text: err.Error()})
	}
	found, err := gpu.Probe(ctx, []string{p.Self}, lab.Telemetry{}, "")
	host.GPUs, host.Driver, host.CUDA = found.Devices, found.Driver, found.CUDA
	if err != nil {
		checks = append(checks, unanswered(err))
	} else {
		checks = append(checks, gpus(found, kernelDriver(p.Root), gpu.Identify)...)
	}
	checks = append(checks, vllm(ctx, p)...)
	checks = append(checks, port())
	checks = append(checks, model(p.Server.Model, p.Getenv)...)
	checks = append(checks, cpus(host, p.Root)...)
	checks = append(checks, busy(host, gpu.Load(p.Root))...)
	checks = append(checks, sharedMemory(filepath.Join(p.Root, "dev/shm"))...)
	checks = append(checks, openFiles(), backlog(p.Root), ports(p.Root))
	checks = append(checks, clocks(host, p.Root)...)
	checks = append(checks, disk(p.Root, p.DataDir)...)
	return host, slices.DeleteFunc(checks, func(c Check) bool { return c.Text == "" }) // nothing could be read, and nothing is said
}

// text is one file of the kernel's below root, trimmed; "" where it is not there.
func text(root, name string) string {
	content, _ := os.ReadFile(filepath.Join(root, name))
	return strings.TrimSpace(string(content))
}

// size writes an amount of memory for reading.
func size(n lab.Bytes) string {
	if n < 10<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}
