package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"lab/gpu"
	"lab/internal/lab"
	"lab/supervisor"
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

// Check is one thing the doctor looked at.
type Check struct {
	Group string `json:"group"` // "gpu", "server", "host", "data"
	State State  `json:"state"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do about it
}

// Place is what the doctor is told about where it is.
type Place struct {
	Self     string     // path of the lab binary
	Path     string     // PATH
	CacheDir string     // of help texts
	DataDir  string     // of the store
	Server   lab.Server // where to look for vllm
}

// Doctor looks at the machine and says what a measurement would meet. It changes nothing.
func Doctor(ctx context.Context, p Place) []Check {
	var checks []Check
	checks = append(checks, checkGPU(ctx, p)...)
	checks = append(checks, checkVLLM(ctx, p)...)
	checks = append(checks, checkPort())
	checks = append(checks, checkFiles())
	checks = append(checks, checkDisk(p.DataDir))
	return checks
}

func checkGPU(ctx context.Context, p Place) []Check {
	found, err := gpu.Probe(ctx, []string{p.Self}, lab.Telemetry{}, "")
	if err != nil {
		return []Check{{"gpu", Doubt, fmt.Sprintf("the GPU driver could not be asked: %v", err), "run nvidia-smi and mend the driver"}}
	}
	if len(found.Devices) == 0 {
		text := "no GPU"
		if found.Note != "" {
			text += ": " + found.Note
		}
		return []Check{{"gpu", Noted, text, ""}}
	}
	var checks []Check
	for _, d := range found.Devices {
		checks = append(checks, Check{"gpu", Good, fmt.Sprintf("%d: %s, %.0f GiB, %s, driver %s", d.Index, d.Name, d.Memory.GiB(), d.UUID, found.Driver), ""})
	}
	for _, process := range found.Processes {
		checks = append(checks, Check{"gpu", Doubt, fmt.Sprintf("process %d already uses a GPU (%s)", process.PID, lab.Bytes(process.Memory)),
			"stop it before measuring; a run beside it is marked"})
	}
	return checks
}

func checkVLLM(ctx context.Context, p Place) []Check {
	inst, err := supervisor.Find(ctx, p.Server, p.Self, p.Path)
	var missing *supervisor.NotFoundError
	switch {
	case errors.As(err, &missing):
		return []Check{{"server", Obstacle, missing.Error(), "install vllm, or say where it is: server.venv, server.executable or server.python"}}
	case err != nil:
		return []Check{{"server", Obstacle, err.Error(), ""}}
	}
	checks := []Check{{"server", Good, fmt.Sprintf("vllm %s at %s", inst.Version, inst.Path), ""}}
	if _, err := inst.Flags(ctx, p.CacheDir); err != nil {
		checks = append(checks, Check{"server", Obstacle, fmt.Sprintf("vllm does not answer its own --help: %v", err), "run `vllm serve --help` and mend the installation"})
	}
	return checks
}

func checkPort() Check {
	port, err := supervisor.FreePort()
	if err != nil {
		return Check{"server", Obstacle, fmt.Sprintf("no free port on 127.0.0.1: %v", err), "end what holds the ports"}
	}
	return Check{"server", Good, fmt.Sprintf("port %d is free, as are others", port), ""}
}

func checkFiles() Check {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return Check{"host", Doubt, fmt.Sprintf("the limit of open files could not be read: %v", err), ""}
	}
	// One stream is one open connection; Go raises the soft limit to the hard one on its own.
	if limit.Max < 4096 {
		return Check{"host", Doubt, fmt.Sprintf("at most %d open files, so at most about as many streams", limit.Max), "raise it: ulimit -Hn 65536"}
	}
	return Check{"host", Good, fmt.Sprintf("up to %d open files", limit.Max), ""}
}

// Free space below which recording is refused or doubted: a long run of 10 000 requests takes some 7 MB, its live file
// and a server's log several times that.
const (
	NeededSpace = 64 << 20
	enoughSpace = 2 << 30
)

func checkDisk(dir string) Check {
	free, err := gpu.DiskFree(existing(dir))
	switch {
	case err != nil:
		return Check{"data", Doubt, fmt.Sprintf("free space under %s could not be read: %v", dir, err), ""}
	case free < NeededSpace:
		return Check{"data", Obstacle, fmt.Sprintf("%s free under %s", size(free), dir), "make room (lab rm removes runs), or set LAB_DIR"}
	case free < enoughSpace:
		return Check{"data", Doubt, fmt.Sprintf("%s free under %s", size(free), dir), "make room (lab rm removes runs), or set LAB_DIR"}
	}
	return Check{"data", Good, fmt.Sprintf("records go to %s, %s free", dir, size(free)), ""}
}

// existing is the folder, or the nearest one above it that is there: the doctor makes none.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func size(n uint64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}
