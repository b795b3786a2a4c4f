package gpu

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"lab/internal/lab"
)

// Host reads the fingerprint of this machine, without its GPUs.
func Host() (lab.Host, error) {
	info, err := host.Info()
	if err != nil {
		return lab.Host{}, fmt.Errorf("read host: %w", err)
	}
	memory, err := mem.VirtualMemory()
	if err != nil {
		return lab.Host{}, fmt.Errorf("read memory: %w", err)
	}
	h := lab.Host{
		Name: info.Hostname, OS: strings.TrimSpace(info.Platform + " " + info.PlatformVersion), Kernel: info.KernelVersion,
		Cores: runtime.NumCPU(), Memory: lab.Bytes(memory.Total),
	}
	if cpus, err := cpu.Info(); err == nil && len(cpus) > 0 {
		h.CPU = cpus[0].ModelName
	}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		h.BootID = strings.TrimSpace(string(id))
	}
	return h, nil
}

// DiskFree is the space that is left where a path is.
func DiskFree(path string) (uint64, error) {
	usage, err := disk.Usage(path)
	if err != nil {
		return 0, fmt.Errorf("read free space: %w", err)
	}
	return usage.Free, nil
}

// hostReader samples the machine; CPU shares are those since its last reading.
type hostReader struct{ last cpu.TimesStat }

func (h *hostReader) read(at func() time.Duration) lab.Sample {
	before := at()
	s := lab.Sample{Device: "host", Values: map[string]float64{}}
	if times, err := cpu.Times(false); err == nil && len(times) == 1 {
		now, last := times[0], h.last
		if whole := total(now) - total(last); whole > 0 && total(last) > 0 {
			idle := now.Idle + now.Iowait - last.Idle - last.Iowait
			s.Values[lab.HostCPU] = 100 * (whole - idle) / whole
			s.Values[lab.HostSteal] = 100 * (now.Steal - last.Steal) / whole
		}
		h.last = now
	}
	if m, err := mem.VirtualMemory(); err == nil {
		s.Values[lab.HostMemUsed] = float64(m.Used)
	}
	if l, err := load.Avg(); err == nil {
		s.Values[lab.HostLoad1] = l.Load1
	}
	after := at()
	s.At, s.Took = (before+after)/2, after-before
	return s
}

// total CPU time; guest time is in user time already.
func total(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}
