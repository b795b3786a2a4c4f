package gpu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"lab/internal/lab"
)

// GPUProcess is a process that uses a GPU.
type GPUProcess struct {
	PID    int    `json:"pid"`
	UUID   string `json:"uuid"`
	Memory uint64 `json:"memory"` // bytes; 0: the driver does not say

	owner string // whose it is, where a trace says so
}

// Found is what a probe says of the GPUs.
type Found struct {
	Devices    []lab.Device      `json:"devices,omitempty"`
	Driver     string            `json:"driver,omitempty"`
	CUDA       string            `json:"cuda,omitempty"`        // the newest the driver serves, such as "12.8"
	NVMLPath   string            `json:"nvml_path,omitempty"`   // the driver library that was loaded
	Note       string            `json:"note,omitempty"`        // why there is none, or what of those asked for is not there
	MemoryUsed map[string]uint64 `json:"memory_used,omitempty"` // bytes by UUID
	Processes  []GPUProcess      `json:"processes,omitempty"`

	Temperature map[string]float64 `json:"temperature,omitempty"` // degrees Celsius by UUID
}

// probeLimit is how long a driver may take to say which GPUs there are.
const probeLimit = 20 * time.Second

var errNoAnswer = fmt.Errorf("the driver has not answered for %s", probeLimit)

// Probe asks for the GPUs in a child process, because a broken driver can end the process that asks. No GPU is no
// error: Found.Note then says why.
func Probe(ctx context.Context, self []string, t lab.Telemetry, simURL string) (Found, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, errNoAnswer)
	defer cancel()
	argv := slices.Concat(self, []string{"sampler", "--probe"})
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	cfg, err := json.Marshal(Config{Telemetry: t, SimURL: simURL, NVMLLib: os.Getenv("LAB_NVML_LIB")})
	if err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w", err)
	}
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(cfg), &out, &errOut
	ended := make(chan error, 1)
	go func() { ended <- cmd.Run() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(silence): // held by the driver: not even the kill ends it, and nobody waits for it
			return Found{}, fmt.Errorf("probe GPUs: %w: the probe hangs in the driver and cannot be killed", context.Cause(ctx))
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w", cause)
	}
	if err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w: %s", err, bytes.TrimSpace(errOut.Bytes()))
	}
	var found Found
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w", err)
	}
	return found, nil
}

// ServeProbe is the life of a probe process: Config in, Found out. A driver that hangs is left behind, so that the
// process ends also when lab has gone.
func ServeProbe(in io.Reader, out io.Writer) error {
	var cfg Config
	if err := json.NewDecoder(in).Decode(&cfg); err != nil {
		return fmt.Errorf("read probe config: %w", err)
	}
	answer := make(chan Found, 1)
	go func() { answer <- probe(cfg) }()
	select {
	case found := <-answer:
		return json.NewEncoder(out).Encode(found)
	case <-time.After(probeLimit):
		return fmt.Errorf("probe GPUs: %w", errNoAnswer)
	}
}

func probe(cfg Config) Found {
	var found Found
	source, err := cfg.open()
	if err != nil {
		found.Note = err.Error()
		return found
	}
	defer source.Close()
	if found.Devices, err = source.Devices(); err != nil {
		found.Note = err.Error()
		return found
	}
	if n, ok := source.(interface{ describe(*Found) }); ok {
		n.describe(&found)
	}
	found.MemoryUsed, found.Temperature = map[string]uint64{}, map[string]float64{}
	for _, s := range source.Read(Mid, func() time.Duration { return 0 }).Samples {
		for _, d := range found.Devices {
			if s.Device != deviceName(d.Index) {
				continue
			}
			if used, ok := s.Values[lab.GPUMemUsed]; ok {
				found.MemoryUsed[d.UUID] = uint64(used)
			}
			if degrees, ok := s.Values[lab.GPUTemp]; ok {
				found.Temperature[d.UUID] = degrees
			}
		}
	}
	return found
}
