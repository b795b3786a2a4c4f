package gpu

import (
	"slices"

	"github.com/shirou/gopsutil/v4/process"

	"lab/internal/lab"
)

// Attribute says whose the memory of each GPU is, from a probe before the server was started and one while it is up with
// this root process.
func Attribute(before, now Found, server int) []lab.GPUUse {
	t := newTree(server)
	return attribute(before, now, t.holds, Identify)
}

// Settled adds what a probe after the server's end has found.
func Settled(uses []lab.GPUUse, after Found) {
	for i := range uses {
		uses[i].Stopped = used(after, uses[i].UUID)
	}
}

// Identify names a process: 0 memory where the driver does not say, no name where nobody here has that number.
func Identify(p GPUProcess) lab.GPUProcess {
	known := lab.GPUProcess{PID: p.PID, Memory: lab.Bytes(p.Memory)}
	if it, err := process.NewProcess(int32(p.PID)); err == nil {
		known.Name, _ = it.Name()
		known.User, _ = it.Username()
	}
	return known
}

// attribute: holds says whether a process is the server's, and whether anybody here has that number at all.
func attribute(before, now Found, holds func(pid int) (ours, known bool), name func(GPUProcess) lab.GPUProcess) []lab.GPUUse {
	var uses []lab.GPUUse
	for _, d := range now.Devices {
		use := lab.GPUUse{UUID: d.UUID, Before: used(before, d.UUID), Loaded: used(now, d.UUID)}
		var sum uint64
		var ours, fresh []GPUProcess
		for _, p := range now.on(d.UUID) {
			isOurs, known := holds(p.PID)
			old := slices.ContainsFunc(before.on(d.UUID), func(b GPUProcess) bool { return b.PID == p.PID })
			switch {
			case isOurs:
				ours = append(ours, p)
				sum += p.Memory
			case known || old: // it was there before the server, or it is another program on this machine
				use.Foreign = append(use.Foreign, name(p))
			default: // inside a container the driver's numbers are the host's
				fresh = append(fresh, p)
			}
		}
		switch {
		case len(ours) > 0:
			use.Method, use.Server = lab.ByPID, held(sum)
		case len(fresh) == 1:
			use.Method, use.Server = lab.SoleNew, held(fresh[0].Memory)
		}
		if use.Server == nil && use.Before != nil && use.Loaded != nil { // also where the driver does not say how much a process holds
			more := max(*use.Loaded, *use.Before) - *use.Before
			use.Method, use.Server = lab.ByDelta, &more
		}
		uses = append(uses, use)
	}
	return uses
}

// on lists the processes on one GPU.
func (f Found) on(uuid string) []GPUProcess {
	return slices.DeleteFunc(slices.Clone(f.Processes), func(p GPUProcess) bool { return p.UUID != uuid })
}

// used is the memory in use on one GPU; nil where it was not read.
func used(f Found, uuid string) *lab.Bytes {
	v, ok := f.MemoryUsed[uuid]
	if !ok {
		return nil
	}
	b := lab.Bytes(v)
	return &b
}

// held is the memory that processes hold; nil where the driver does not say.
func held(v uint64) *lab.Bytes {
	if v == 0 {
		return nil
	}
	b := lab.Bytes(v)
	return &b
}
