// Package gpu reads hardware beside a run: GPUs (by NVML, from a recorded trace, or from the simulator), the host, the
// server's processes and the engine's own metrics. Sampling happens in a child process of lab, so that a driver that
// hangs or kills its caller costs samples and nothing else.
package gpu
