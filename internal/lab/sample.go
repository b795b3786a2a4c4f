package lab

import "time"

// Sample is one reading of one thing: a GPU, the host, a process of the server, the engine's /metrics.
// A value that could not be read is not in Values: missing is absent, never 0.
type Sample struct {
	At     time.Duration      `json:"at"`              // middle of the reading, since Epoch
	Took   time.Duration      `json:"took"`            // how long the reading itself took
	Device string             `json:"device"`          // "gpu0", "host", "server" (sum over its process tree), "server.api", "server.engine", "server.workers" (parts of it), "engine", "sampler", "client", "clock"
	Error  string             `json:"error,omitempty"` // the reading failed as a whole
	Values map[string]float64 `json:"values,omitempty"`
}

// Names of sampled values: unit last. GPU values come per device.
const (
	GPUUtil      = "util_percent"     // share of the last sample period with a kernel running
	GPUMemUtil   = "mem_util_percent" // share of it with device memory being read or written
	GPUMemUsed   = "mem_used_bytes"
	GPUPower     = "power_w"  // instant, not the 1 s average
	GPUEnergy    = "energy_j" // counter
	GPUSMClock   = "sm_clock_mhz"
	GPUMemClock  = "mem_clock_mhz"
	GPUTemp      = "temp_c"
	GPUThrottle  = "throttle_bits"     // NVML's clocks-event-reasons mask
	GPUProcesses = "processes"         // compute processes on the device
	GPUForeign   = "foreign_processes" // of these, not the server's

	GPUPowerAverage = "power_avg_w"   // the driver's own mean over about 1 s
	GPUPowerLimit   = "power_limit_w" // enforced
	GPUMemReserved  = "mem_reserved_bytes"
	GPUMaxSMClock   = "sm_clock_max_mhz"
	GPUPState       = "pstate"
	GPUMemTemp      = "mem_temp_c"

	// Counters: how long the clocks were held down for a reason since the driver was loaded.
	GPUThrottlePower     = "throttle_power_cap_s"
	GPUThrottleThermal   = "throttle_thermal_s" // by software
	GPUThrottleHWThermal = "throttle_hw_thermal_s"
	GPUThrottleBrake     = "throttle_power_brake_s"

	GPUPCIeTx         = "pcie_tx_bytes" // counters
	GPUPCIeRx         = "pcie_rx_bytes"
	GPUECCCorrected   = "ecc_corrected"
	GPUECCUncorrected = "ecc_uncorrected"

	// Of GPM (Hopper and later): means between two readings of it.
	GPUSMUtil      = "sm_util_percent"
	GPUSMOccupancy = "sm_occupancy_percent"
	GPUTensorUtil  = "tensor_util_percent"
	GPUDRAMUtil    = "dram_util_percent"

	// How often the driver renews a value, as measured at the start.
	GPUPowerPeriod  = "power_period_s"
	GPUEnergyPeriod = "energy_period_s"
	GPUUtilPeriod   = "util_period_s"

	HostCPU     = "cpu_percent" // of all cores
	HostSteal   = "steal_percent"
	HostMemUsed = "mem_used_bytes"
	HostLoad1   = "load1"

	// Counters: how long some task waited for the resource (pressure stall information).
	HostCPUPressure    = "pressure_cpu_s"
	HostMemoryPressure = "pressure_memory_s"
	HostIOPressure     = "pressure_io_s"

	HostSwapUsed  = "swap_used_bytes"
	HostDiskRead  = "disk_read_bytes" // counters over all disks
	HostDiskWrite = "disk_write_bytes"
	HostDiskBusy  = "disk_busy_s" // counter of the busiest disk

	ProcCPU   = "cpu_s" // counter over the server's process tree
	ProcRSS   = "rss_bytes"
	ProcCount = "processes"

	EngineRunning   = "running_requests"
	EngineWaiting   = "waiting_requests"
	EngineKVUsage   = "kv_usage_share"      // 0..1
	EnginePreempt   = "preemptions"         // counter
	EngineHits      = "prefix_hit_tokens"   // counter
	EngineQueries   = "prefix_query_tokens" // counter
	EnginePrompt    = "prompt_tokens"       // counter
	EngineGenerated = "generation_tokens"   // counter
	EngineSteps     = "steps"               // counter
	EngineStarted   = "process_start_s"     // when the server's process started, seconds since 1970

	// Sums and counts of the engine's histograms over finished requests, counters.
	EngineQueueTime    = "queue_s"
	EngineQueueCount   = "queue_requests"
	EnginePrefillTime  = "prefill_s"
	EnginePrefillCount = "prefill_requests"
	EngineDecodeTime   = "decode_s"
	EngineDecodeCount  = "decode_requests"

	// Of speculative decoding; counters, absent where the engine does none.
	EngineDrafts      = "spec_drafts"
	EngineDraftTokens = "spec_draft_tokens"
	EngineAccepted    = "spec_accepted_tokens"
	EngineAcceptedAt  = "spec_accepted_tokens_at_" // and the position in the draft, from 0

	SamplerCPU  = "cpu_s"   // counter: CPU the sampler itself used
	SamplerSkip = "skipped" // counter: deadlines missed
	SamplerLate = "late_s"  // worst lateness of any reading since the last sample

	SamplerErrors  = "errors_"       // counter, and NVML's code: calls of the driver that failed with it
	SamplerDropped = "dropped"       // counter: values that cannot be, such as 0 W
	SamplerPeriod  = "fast_period_s" // how often power and energy are read now

	// Of each group of GPU readings ("fast", "util", "mid", "gpm", "slow"), over the run so far: the group and "_" come
	// before the name.
	SamplerLateP50 = "late_p50_s" // how late a reading began
	SamplerLateP99 = "late_p99_s"
	SamplerCallP50 = "call_p50_s" // how long it took
	SamplerCallP99 = "call_p99_s"
	SamplerReads   = "reads" // counter
	SamplerGaps    = "gaps"  // counter: more than three periods between two readings

	ClientCPU    = "cpu_s"      // counter: CPU of the process that drives the load
	ClientGC     = "gc_pause_s" // counter: stop-the-world pauses of its garbage collector
	ClientLate   = "late_max_s" // worst wake-up lateness of a timer in it since the last sample
	ClientFlight = "in_flight"  // requests

	ClientCores     = "cores"            // that it may use at once
	ClientRunWait   = "run_wait_s"       // counter: its threads could run and had no core
	ClientGCCPU     = "gc_cpu_s"         // counter: CPU of its garbage collector
	ClientRSS       = "rss_bytes"        // memory in use
	ClientUnread    = "unread_bytes"     // in the kernel, not yet read by it; over all connections
	ClientUnreadMax = "unread_max_bytes" // of one connection

	// Of the client since its last sample; those of the Go runtime are upper bounds of its classes.
	ClientGCMax   = "gc_pause_max_s"   // longest pause of its garbage collector
	ClientWait99  = "sched_wait_p99_s" // how long a goroutine that could run waited for a processor
	ClientWaitMax = "sched_wait_max_s"
	ClientLag     = "read_lag_max_s" // longest way of an event from the kernel's stamp to its reading
	ClientSteps   = "clock_steps"    // counter over the phase: somebody set the wall clock

	ClockWall = "wall_s" // anchor: wall clock at At, seconds since 1970; of "clock" by the sampler, of "client" by the one that converts stamps
)

// Event is something that happened once.
type Event struct {
	At     time.Duration `json:"at"`
	Kind   EventKind     `json:"kind"`
	Detail string        `json:"detail,omitempty"`
}

// EventKind is one of a closed list.
type EventKind string

// The kinds of events.
const (
	ServerStart EventKind = "server.start"
	ServerReady EventKind = "server.ready"
	ServerExit  EventKind = "server.exit"
	ServerStop  EventKind = "server.stop"
	ServerHang  EventKind = "server.hang"
	LoadStart   EventKind = "load.start"
	LoadEnd     EventKind = "load.end"
	SamplerLost EventKind = "sampler.lost"
	SamplerNote EventKind = "sampler.note" // nothing is lost: what the hardware does not give, or what the sampler changed
	GPULost     EventKind = "gpu.lost"     // detail: device and why
	GPUBack     EventKind = "gpu.back"
	GPUXid      EventKind = "gpu.xid" // detail: device and number
	UserStop    EventKind = "user.stop"
)

// NoGPU begins the detail of a SamplerNote that says why no GPU is sampled.
const NoGPU = "no GPU is sampled"

// LogLine is one line that the server wrote.
type LogLine struct {
	At     time.Duration `json:"at"`
	Stderr bool          `json:"stderr,omitempty"`
	Text   string        `json:"text"`
}
