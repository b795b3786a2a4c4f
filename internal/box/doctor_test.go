package box

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lab/gpu"
	"lab/internal/lab"
)

func yes() *bool { on := true; return &on }
func no() *bool  { return new(bool) }

// below writes files below a stand-in for the root folder.
func below(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// named stands in for asking the kernel who a process is.
func named(p gpu.GPUProcess) lab.GPUProcess {
	return lab.GPUProcess{PID: p.PID, Name: "python", User: "li", Memory: lab.Bytes(p.Memory)}
}

func aGPU(change func(*lab.Device)) gpu.Found {
	d := lab.Device{UUID: "GPU-a", Name: "NVIDIA H100", Memory: 80 << 30, PowerLimitW: 700, DefaultPowerLimitW: 700, Persistence: yes(), MaxSMClockMHz: 1980,
		AppSMClockMHz: 1410, ClocksLocked: true, MIG: no(), VGPU: no(), ECC: yes(), PCIeWidth: 16, MaxPCIeWidth: 16}
	change(&d)
	return gpu.Found{Devices: []lab.Device{d}, Driver: "580.95.05", CUDA: "13.0"}
}

func sound() lab.Host {
	return lab.Host{Name: "box", CPU: "A CPU", Cores: 64, Memory: 512 << 30, Governor: "performance", ThreadsPerCore: 2, NUMANodes: 1, HugePages: "madvise", ClockSource: "tsc"}
}

func machineWith(change func(*lab.Host)) lab.Host {
	h := sound()
	change(&h)
	return h
}

func TestASoundMachineIsCalledSound(t *testing.T) {
	const nm = time.Nanosecond
	root := below(t, map[string]string{"proc/sys/net/core/somaxconn": "4096", "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999"})
	all := gpus(aGPU(func(*lab.Device) {}), kernel{version: "580.95.05", cards: 1}, named)
	all = append(all, cpus(sound(), root)...)
	all = append(all, busy(sound(), gpu.Busy{Load1: 0.5, Available: 400 << 30})...)
	all = append(all, sharedMemorySize(64<<30, 64<<30), openFilesOf(1<<20), backlog(root), ports(root), clockSource("tsc", nil, 30*nm), wallClockKept(true), receiveStamps(48, 50), room("/data", 1<<40))
	for _, c := range all {
		if c.State != Good || c.Text == "" || c.Fix != "" || c.Command != "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestEachCauseHasItsFindingAndTheCommandThatMendsIt(t *testing.T) {
	one := func(c Check) []Check { return []Check{c} }
	root := below(t, map[string]string{
		"proc/sys/net/core/somaxconn": "128", "proc/sys/net/ipv4/ip_local_port_range": "60000 60999", cpuFolder + "intel_pstate/no_turbo": "0",
	})
	device := func(change func(*lab.Device)) []Check { return gpus(aGPU(change), kernel{}, named) }
	busyGPU := aGPU(func(*lab.Device) {})
	busyGPU.Processes = []gpu.GPUProcess{{PID: 4121, UUID: "GPU-a", Memory: 11 << 30}}
	halfGone := aGPU(func(*lab.Device) {})
	halfGone.Note = "gpu1 is not sampled: the GPU is lost"
	for _, c := range []struct {
		checks        []Check
		state         State
		text, command string
	}{
		{gpus(gpu.Found{}, kernel{}, named), Noted, "no GPU", ""},
		{gpus(gpu.Found{Note: "no library"}, kernel{cards: 2}, named), Doubt, "2 NVIDIA GPU(s) in the machine, but no driver: no library", ""},
		{gpus(gpu.Found{Note: "versions differ"}, kernel{version: "580.1", cards: 1}, named), Doubt, "is loaded (580.1), but its library does not answer: versions differ", reload},
		{gpus(aGPU(func(*lab.Device) {}), kernel{version: "570.1"}, named), Doubt, "library is of version 580.95.05, its kernel module of 570.1", reload},
		{gpus(busyGPU, kernel{}, named), Doubt, "pid 4121 python (user li, 11.0 GiB)", "kill 4121"},
		{gpus(halfGone, kernel{}, named), Noted, "gpu1 is not sampled: the GPU is lost", ""},
		{one(unanswered(errors.New("it hangs"))), Doubt, "could not be asked: it hangs", "nvidia-smi"},
		{device(func(d *lab.Device) { d.ClocksLocked = false }), Noted, "no clock lock", "sudo nvidia-smi -i 0 -lgc 1410"},
		{device(func(d *lab.Device) { d.ClocksLocked, d.AppSMClockMHz = false, 1980 }), Noted, "no clock lock", "sudo nvidia-smi -i 0 -lgc 1695"},
		{device(func(d *lab.Device) { d.PowerLimitW = 500 }), Doubt, "power limit 500 W is below the default of 700 W", "sudo nvidia-smi -i 0 -pl 700"},
		{device(func(d *lab.Device) { d.Persistence, d.Index = no(), 3 }), Doubt, "persistence mode is off", "sudo nvidia-smi -i 3 -pm 1"},
		{device(func(d *lab.Device) { d.MIG = yes() }), Doubt, "MIG is on", "sudo nvidia-smi -i 0 -mig 0"},
		{device(func(d *lab.Device) { d.VGPU = yes() }), Doubt, "virtual GPU", ""},
		{device(func(d *lab.Device) { d.ECC = no() }), Noted, "ECC is off", "sudo nvidia-smi -i 0 -e 1"},
		{device(func(d *lab.Device) { d.PCIeWidth = 8 }), Doubt, "PCIe link of 8 lanes, the GPU has 16", ""},
		{cpus(machineWith(func(h *lab.Host) { h.Cores = 2 }), root), Doubt, "share them", ""},
		{cpus(machineWith(func(h *lab.Host) { h.NUMANodes = 2 }), root), Noted, "another NUMA node", "numactl --cpunodebind=0 --membind=0 lab run FILE"},
		{cpus(machineWith(func(h *lab.Host) { h.CPUQuota = 2.5 }), root), Doubt, "may use 2.5 of 64 cores", "docker update --cpus 0 CONTAINER"},
		{cpus(machineWith(func(h *lab.Host) { h.Governor = "powersave" }), root), Doubt, "governor powersave", "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"},
		{cpus(machineWith(func(h *lab.Host) { h.Turbo = yes() }), root), Noted, "turbo is on", "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"},
		{cpus(machineWith(func(h *lab.Host) { h.Turbo = yes() }), t.TempDir()), Noted, "turbo is on", "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"},
		{cpus(machineWith(func(h *lab.Host) { h.HugePages = "always" }), root), Noted, "huge pages", "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"},
		{busy(sound(), gpu.Busy{Load1: 40, Available: 99 << 30}), Doubt, "load 40.0 on 64 cores", "top -b -n 1 | head -20"},
		{busy(sound(), gpu.Busy{CPUPressure: .2, Available: 99 << 30}), Doubt, "20 % of the last 10 s", "top -b -n 1 | head -20"},
		{busy(sound(), gpu.Busy{IOPressure: .2, Available: 99 << 30}), Doubt, "waited for a disk", "sudo iotop -b -o -n 1"},
		{busy(sound(), gpu.Busy{Steal: .03, Available: 99 << 30}), Doubt, "3.0 % of this guest's time", ""},
		{busy(sound(), gpu.Busy{Available: 1 << 30}), Doubt, "1024 MiB of 512 GiB memory available", "ps aux --sort=-rss | head"},
		{busy(machineWith(func(h *lab.Host) { h.MemoryLimit = 8 << 30 }), gpu.Busy{Available: 99 << 30}), Good, "of 8192 MiB memory available, the limit of the control group", ""},
		{busy(sound(), gpu.Busy{Available: 99 << 30, SwapUsed: 2 << 30}), Doubt, "2048 MiB are swapped out", "sudo swapoff -a && sudo swapon -a"},
		{one(sharedMemorySize(64<<20, 64<<20)), Doubt, "shared memory of 64 MiB", "sudo mount -o remount,size=8G /dev/shm"},
		{one(openFilesOf(1024)), Doubt, "at most 1024 open files", "ulimit -Hn 65536"},
		{one(backlog(root)), Doubt, "at most 128 connections", "sudo sysctl -w net.core.somaxconn=4096"},
		{one(ports(root)), Doubt, "only 1000 ports", `sudo sysctl -w net.ipv4.ip_local_port_range="10240 65535"`},
		{one(clockSource("hpet", []string{"tsc", "hpet"}, time.Microsecond)), Doubt, "clock hpet, a reading takes 1000 ns", "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"},
		{one(wallClockKept(false)), Noted, "nothing keeps the time of day right", "sudo timedatectl set-ntp true"},
		{one(receiveStamps(3, 50)), Doubt, "only 3 of 50 messages", ""},
		{one(room("/data", 1<<20)), Obstacle, "1 MiB free under /data", "lab rm RUN"},
		{one(room("/data", 1<<30)), Doubt, "1024 MiB free under /data", "lab rm RUN"},
		{one(kindOf(root, 0x01021994, 0)), Doubt, "memory (tmpfs)", ""},
		{one(kindOf(root, 0x6969, 0)), Doubt, "network", ""},
	} {
		found := 0
		for _, got := range c.checks {
			if strings.Contains(got.Text, c.text) {
				found++
				if got.State != c.state || got.Command != c.command {
					t.Errorf("%+v, want state %s and command %q", got, c.state, c.command)
				}
			} else if got.State == Doubt || got.State == Obstacle {
				t.Errorf("beside %q: %+v", c.text, got)
			}
		}
		if found != 1 {
			t.Errorf("%d findings with %q: %+v", found, c.text, c.checks)
		}
	}
}

func TestTheKernelsDriverIsFoundWithoutItsLibrary(t *testing.T) {
	root := below(t, map[string]string{
		"proc/driver/nvidia/version":              "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc 12",
		"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de", "sys/bus/pci/devices/0000:01:00.0/class": "0x030200",
		"sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de", "sys/bus/pci/devices/0000:01:00.1/class": "0x040300", // its sound device
		"sys/bus/pci/devices/0000:02:00.0/vendor": "0x8086", "sys/bus/pci/devices/0000:02:00.0/class": "0x030000",
	})
	if k := kernelDriver(root); k != (kernel{version: "535.129.03", cards: 1}) {
		t.Errorf("%+v", k)
	}
	open := below(t, map[string]string{"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder)"})
	if k := kernelDriver(open); k.version != "580.95.05" {
		t.Errorf("of the open module: %+v", k)
	}
	if k := kernelDriver(t.TempDir()); k != (kernel{}) {
		t.Errorf("of nothing: %+v", k)
	}
}

func TestTheDiskBelowARecordIsFoundByItsDevice(t *testing.T) {
	root := below(t, map[string]string{
		"sys/devices/nvme0n1/queue/rotational": "0", "sys/devices/nvme0n1/nvme0n1p2/start": "1",
		"sys/devices/sda/queue/rotational": "1", "sys/devices/sdb/queue/rotational": "0", "sys/dev/block/x": "",
	})
	for link, device := range map[string]string{"259:2": "nvme0n1/nvme0n1p2", "8:0": "sda", "8:16": "sdb"} {
		if err := os.Symlink("../../devices/"+device, filepath.Join(root, "sys/dev/block", link)); err != nil {
			t.Fatal(err)
		}
	}
	const ext4 = 0xef53
	for dev, want := range map[uint64]string{259<<8 | 2: "ok on an NVMe disk (nvme0n1)", 8 << 8: "note on a disk that says it spins (sda;", 8<<8 | 16: "ok on a solid-state disk (sdb)", 7: " "} {
		c := kindOf(root, ext4, dev)
		if got := fmt.Sprintf("%s %s", c.State, c.Text); !strings.HasPrefix(got, want) {
			t.Errorf("device %d: %q, want %q", dev, got, want)
		}
	}
}

func TestAModelIsLookedForWhereVLLMWould(t *testing.T) {
	root := below(t, map[string]string{
		"whole/config.json": "{}", "whole/model-00001-of-2.safetensors": "weights", "bare/config.json": "{}",
		"hub/models--org--cached/snapshots/1/config.json": "{}", "hub/models--org--cached/snapshots/1/model.safetensors": "weights",
	})
	online := func(name string) string { return map[string]string{"HF_HUB_CACHE": filepath.Join(root, "hub")}[name] }
	offline := func(name string) string { return map[string]string{"HF_HUB_OFFLINE": "1"}[name] }
	for _, c := range []struct {
		name    string
		getenv  func(string) string
		state   State
		command string
	}{
		{filepath.Join(root, "whole"), online, Good, ""},
		{filepath.Join(root, "bare"), online, Doubt, ""},
		{filepath.Join(root, "nosuch"), online, Obstacle, ""},
		{"org/cached", online, Good, ""},
		{"org/other", online, Doubt, "hf download org/other"},
		{"org/other", offline, Obstacle, "hf download org/other"},
	} {
		got := model(c.name, c.getenv)
		if len(got) != 1 || got[0].State != c.state || got[0].Command != c.command || !strings.Contains(got[0].Text, c.name) {
			t.Errorf("%s: %+v, want %s, %q", c.name, got, c.state, c.command)
		}
	}
	if got := model("", online); got != nil {
		t.Errorf("no model was named: %+v", got)
	}
}
