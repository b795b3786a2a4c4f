package gpu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"lab/internal/lab"
)

// Host reads the fingerprint of this machine, without its GPUs.
func Host() (lab.Host, error) { return hostBelow("/") }

// hostBelow reads it from the /proc and /sys below a folder.
func hostBelow(folder string) (lab.Host, error) {
	ctx := below(folder)
	name, err := os.Hostname()
	if err != nil {
		return lab.Host{}, fmt.Errorf("read name of host: %w", err)
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return lab.Host{}, fmt.Errorf("read memory: %w", err)
	}
	tree := sysfs(folder)
	h := lab.Host{Name: name, OS: tree.system(), Cores: runtime.NumCPU(), Memory: lab.Bytes(memory.Total)}
	h.Kernel, _ = host.KernelVersion()
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		h.CPU = cpus[0].ModelName
	}
	if system, role, err := host.VirtualizationWithContext(ctx); err == nil && role == "guest" {
		h.Virtual = system
	}
	tree.describe(&h)
	h.CPUQuota, h.MemoryLimit = tree.limits()
	if h.MemoryLimit >= h.Memory { // of the root group of version 1: as much as there can be
		h.MemoryLimit = 0
	}
	return h, nil
}

// below tells gopsutil where /proc and /sys are.
func below(folder string) context.Context {
	return context.WithValue(context.Background(), common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: filepath.Join(folder, "proc"), common.HostSysEnvKey: filepath.Join(folder, "sys"), common.HostEtcEnvKey: filepath.Join(folder, "etc"),
	})
}

// DiskFree is the space that is left where a path is.
func DiskFree(path string) (uint64, error) {
	usage, err := disk.Usage(path)
	if err != nil {
		return 0, fmt.Errorf("read free space: %w", err)
	}
	return usage.Free, nil
}

// Busy is how loaded the machine is at a moment.
type Busy struct {
	Load1       float64 // processes that want to run, mean over a minute
	Available   lab.Bytes
	SwapUsed    lab.Bytes
	CPUPressure float64 // share of the last 10 s in which some process waited for a processor; 0 where the kernel does not say
	IOPressure  float64
	Steal       float64 // share of this guest's time that the hypervisor gave to others since the start
}

// Load reads how loaded the machine is from the /proc below a folder.
func Load(folder string) Busy {
	ctx := below(folder)
	var b Busy
	if times, err := cpu.TimesWithContext(ctx, false); err == nil && len(times) == 1 && total(times[0]) > 0 {
		b.Steal = times[0].Steal / total(times[0])
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		b.Load1 = l.Load1
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		b.Available, b.SwapUsed = lab.Bytes(m.Available), lab.Bytes(m.SwapTotal-m.SwapFree)
	}
	for resource, share := range map[string]*float64{"cpu": &b.CPUPressure, "io": &b.IOPressure} {
		if p, ok := sysfs(folder).pressure(resource); ok {
			*share = p.share
		}
	}
	return b
}

// hostReader samples the machine; CPU shares are those since its last reading.
type hostReader struct {
	folder string
	disks  []string // that are hardware: partitions and what is stacked on a disk would count its traffic twice
	last   cpu.TimesStat
}

func newHostReader(folder string) *hostReader {
	h := &hostReader{folder: folder}
	devices, _ := filepath.Glob(filepath.Join(folder, "sys/block/*/device"))
	for _, d := range devices {
		h.disks = append(h.disks, filepath.Base(filepath.Dir(d)))
	}
	return h
}

func (h *hostReader) read(at func() time.Duration) lab.Sample {
	before := at()
	ctx := below(h.folder)
	s := lab.Sample{Device: "host", Values: map[string]float64{}}
	if times, err := cpu.TimesWithContext(ctx, false); err == nil && len(times) == 1 {
		now, last := times[0], h.last
		if whole := total(now) - total(last); whole > 0 && total(last) > 0 {
			idle := now.Idle + now.Iowait - last.Idle - last.Iowait
			s.Values[lab.HostCPU] = 100 * (whole - idle) / whole
			s.Values[lab.HostSteal] = 100 * (now.Steal - last.Steal) / whole
		}
		h.last = now
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		s.Values[lab.HostMemUsed] = float64(m.Used)
		if m.SwapTotal > 0 {
			s.Values[lab.HostSwapUsed] = float64(m.SwapTotal - m.SwapFree)
		}
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		s.Values[lab.HostLoad1] = l.Load1
	}
	for resource, name := range map[string]string{"cpu": lab.HostCPUPressure, "memory": lab.HostMemoryPressure, "io": lab.HostIOPressure} {
		if p, ok := sysfs(h.folder).pressure(resource); ok {
			s.Values[name] = p.waited.Seconds()
		}
	}
	h.traffic(ctx, s.Values)
	after := at()
	s.At, s.Took = (before+after)/2, after-before
	return s
}

// traffic reads the counters of the disks.
func (h *hostReader) traffic(ctx context.Context, values map[string]float64) {
	if len(h.disks) == 0 {
		return // no names would mean all of them
	}
	counters, err := disk.IOCountersWithContext(ctx, h.disks...)
	if err != nil || len(counters) == 0 {
		return
	}
	for _, c := range counters {
		values[lab.HostDiskRead] += float64(c.ReadBytes)
		values[lab.HostDiskWrite] += float64(c.WriteBytes)
		values[lab.HostDiskBusy] = max(values[lab.HostDiskBusy], float64(c.IoTime)/1e3)
	}
}

// total CPU time; guest time is in user time already.
func total(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

// pressure is what the kernel says of how long some task waited for a resource.
type pressure struct {
	share  float64       // of the last 10 s
	waited time.Duration // since the machine was started
}

// pressure reads one file of /proc/pressure; gopsutil does not.
func (s sysfs) pressure(resource string) (pressure, bool) {
	text, err := os.ReadFile(filepath.Join(string(s), "proc/pressure", resource))
	if err != nil {
		return pressure{}, false
	}
	return parsePressure(string(text))
}

// parsePressure takes the line of "some": avg10 in per cent and total in microseconds.
func parsePressure(text string) (p pressure, ok bool) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "some" {
			continue
		}
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "avg10":
				if v, err := strconv.ParseFloat(value, 64); err == nil && v >= 0 && v <= 100 {
					p.share = v / 100
				}
			case "total":
				v, err := strconv.ParseInt(value, 10, 64)
				if ok = err == nil && v >= 0 && v < 1<<53; ok {
					p.waited = time.Duration(v) * time.Microsecond
				}
			}
		}
	}
	return p, ok
}
