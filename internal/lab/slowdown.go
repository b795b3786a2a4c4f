package lab

// Codes of what may be found of the hardware, by a run's own check and by the join of hardware and latency alike.
const (
	FoundPowerCap  = "power-capped"
	FoundThermal   = "thermal-slowdown"
	FoundBrake     = "power-brake"
	FoundXid       = "gpu-xid"
	FoundGPULost   = "gpu-lost"
	FoundForeign   = "foreign-process"
	FoundUnsampled = "sampler-lost"
)

// NVML's bits of why clocks are held down at a moment.
const (
	BitPowerCap = 0x04
	BitSlowdown = 0x08 // by hardware, for heat or the brake; older drivers do not say which
	BitsThermal = 0x20 | 0x40
	BitBrake    = 0x80
)

// Slowdown is a reason for held clocks that a reader can act on: the counters that add up its time, and (Held) the bits
// of a moment.
type Slowdown struct {
	Code     string
	Counters []string
}

// Slowdowns are all of them. A table.
func Slowdowns() []Slowdown {
	return []Slowdown{
		{FoundPowerCap, []string{GPUThrottlePower}},
		{FoundThermal, []string{GPUThrottleThermal, GPUThrottleHWThermal}},
		{FoundBrake, []string{GPUThrottleBrake}},
	}
}

// Held says whether the bits of a moment tell of this reason. A slowdown that says no more is taken for the brake's.
func (s Slowdown) Held(bits int) bool {
	switch s.Code {
	case FoundPowerCap:
		return bits&BitPowerCap != 0
	case FoundThermal:
		return bits&BitsThermal != 0
	}
	return bits&BitBrake != 0 || bits&BitSlowdown != 0 && bits&BitsThermal == 0
}
