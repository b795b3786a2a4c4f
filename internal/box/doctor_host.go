package box

import (
	"fmt"
	"syscall"

	"lab/gpu"
	"lab/internal/lab"
)

// The limits beyond which the host is doubted.
const (
	fewCores      = 4    // the server's processes, lab's client and its sampler run side by side
	muchPressure  = 0.05 // of the time some process waited
	muchSteal     = 0.01
	muchSwap      = 64 << 20
	littleMemory  = 4 << 30
	littleShared  = 1 << 30 // vllm's workers pass tensors through it; containers have 64 MiB unless told otherwise
	cpuFolder     = "/sys/devices/system/cpu/"
	governorFiles = cpuFolder + "cpu*/cpufreq/scaling_governor"
)

// cpus says what bounds and moves the speed of the processors.
func cpus(h lab.Host, root string) []Check {
	about := fmt.Sprintf("%d cores", h.Cores)
	if h.ThreadsPerCore > 1 {
		about = fmt.Sprintf("%d hardware threads, %d to a core", h.Cores, h.ThreadsPerCore)
	}
	if h.NUMANodes > 1 {
		about += fmt.Sprintf(", %d NUMA nodes", h.NUMANodes)
	}
	for _, more := range []string{h.CPU, h.Virtual} {
		if more != "" {
			about += ", " + more
		}
	}
	cores := Check{Group: onHost, State: Good, Text: about}
	if h.Cores < fewCores {
		cores.State, cores.Text = Doubt, about+": server, client and sampler share them, and latencies may be theirs"
		cores.Fix = "measure on a machine with more cores; watch the client's figures of each run (lag.p99, client_cpu)"
	}
	checks := []Check{cores}
	if h.NUMANodes > 1 {
		checks = append(checks, Check{onHost, Noted, "memory of another NUMA node is slower: where server and client land changes from run to run unless they are bound",
			"bind them to the node of the GPU", "numactl --cpunodebind=0 --membind=0 lab run FILE"})
	}
	if h.CPUQuota > 0 {
		checks = append(checks, Check{onHost, Doubt, fmt.Sprintf("the control group may use %.3g of %d cores: when they are used up, everything in it stands still for the rest of 100 ms", h.CPUQuota, h.Cores),
			"start the container without a CPU limit", "docker update --cpus 0 CONTAINER"})
	}
	switch {
	case h.Governor == "performance":
		checks = append(checks, Check{Group: onHost, State: Good, Text: "CPU governor performance"})
	case h.Governor != "":
		checks = append(checks, Check{onHost, Doubt, fmt.Sprintf("CPU governor %s: cores slow down between requests, and the time to the first token can nearly double", h.Governor),
			"", "echo performance | sudo tee " + governorFiles})
	}
	if on, said := is(h.Turbo); said && on {
		off := "echo 0 | sudo tee " + cpuFolder + "cpufreq/boost"
		if text(root, cpuFolder+"intel_pstate/no_turbo") != "" {
			off = "echo 1 | sudo tee " + cpuFolder + "intel_pstate/no_turbo"
		}
		checks = append(checks, Check{onHost, Noted, "turbo is on: the clock of a core depends on what the others do", "for the steadiest figures, not the fastest, switch it off", off})
	}
	if h.HugePages == "always" {
		checks = append(checks, Check{onHost, Noted, "transparent huge pages are on for everything: the kernel may stop a process to put pages together", "",
			"echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"})
	}
	return checks
}

// busy says what else goes on and how much memory is left.
func busy(h lab.Host, b gpu.Busy) []Check {
	var checks []Check
	pressure := fmt.Sprintf("load %.1f on %d cores", b.Load1, h.Cores)
	if b.CPUPressure > 0 {
		pressure += fmt.Sprintf("; in %.0f %% of the last 10 s a process waited for a core", b.CPUPressure*100)
	}
	load := Check{Group: onHost, State: Good, Text: pressure}
	if b.Load1 > max(1, float64(h.Cores)/4) || b.CPUPressure > muchPressure {
		load.State, load.Fix, load.Command = Doubt, "other programs run: end them, or wait", "top -b -n 1 | head -20"
	}
	checks = append(checks, load)
	if b.IOPressure > muchPressure {
		checks = append(checks, Check{onHost, Doubt, fmt.Sprintf("in %.0f %% of the last 10 s a process waited for a disk", b.IOPressure*100), "find who writes, or wait", "sudo iotop -b -o -n 1"})
	}
	if b.Steal > muchSteal {
		checks = append(checks, Check{Group: onHost, State: Doubt, Text: fmt.Sprintf("the hypervisor has given %.1f %% of this guest's time to others since it was started", b.Steal*100),
			Fix: "measure on a machine of its own; runs sample the steal, so compare it between them"})
	}
	whole := h.Memory
	if h.MemoryLimit > 0 {
		whole = h.MemoryLimit
	}
	memory := Check{Group: onHost, State: Good, Text: fmt.Sprintf("%s of %s memory available", size(min(b.Available, whole)), size(whole))}
	if h.MemoryLimit > 0 {
		memory.Text += ", the limit of the control group"
	}
	if b.Available < littleMemory {
		memory.State, memory.Fix, memory.Command = Doubt, "vllm alone takes some 4 GiB: end what holds the memory", "ps aux --sort=-rss | head"
	}
	checks = append(checks, memory)
	if b.SwapUsed > muchSwap {
		checks = append(checks, Check{onHost, Doubt, fmt.Sprintf("%s are swapped out: a process that needs them waits for the disk", size(b.SwapUsed)), "", "sudo swapoff -a && sudo swapon -a"})
	}
	return checks
}

// sharedMemory is the room for what vllm's processes hand to each other.
func sharedMemory(dir string) []Check {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return nil
	}
	return []Check{sharedMemorySize(lab.Bytes(fs.Blocks)*lab.Bytes(fs.Bsize), lab.Bytes(fs.Bavail)*lab.Bytes(fs.Bsize))}
}

func sharedMemorySize(whole, free lab.Bytes) Check {
	c := Check{Group: onHost, State: Good, Text: fmt.Sprintf("shared memory of %s (/dev/shm), %s free", size(whole), size(free))}
	if whole < littleShared {
		c.State, c.Fix, c.Command = Doubt, "vllm's workers need more, above all with several GPUs; in a container: docker run --shm-size 8g", "sudo mount -o remount,size=8G /dev/shm"
	}
	return c
}
