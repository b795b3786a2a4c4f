package gpu

import (
	"fmt"

	"lab/internal/lab"
)

// board is one GPU as a driver presents it: what can be asked of it, answered with the driver's own codes. A driver's
// library answers, or a trace; all judgement of the answers is in reader.
type board interface {
	identity() lab.Device // the index is the caller's
	ask(question) (float64, code)
	fields([]field) code // answers in place: each field has its own code
	utilization() (gpu, memory float64, c code)
	// drain gives what the driver kept of a utilisation since a stamp of its own, oldest first.
	drain(q question, since uint64) ([]stamped, code)
	memory() (memory, code)
	processes() ([]GPUProcess, code)
	// gpmSample marks a moment; gpmMetrics are means between the last two moments, in the order of gpmNames.
	gpmSample() code
	gpmMetrics() ([]field, code)
}

// question is one that is answered with one number.
type question int

// The questions.
const (
	askSMClock question = iota
	askMemClock
	askMaxSMClock
	askTemperature
	askReasons
	askPowerLimit // mW, enforced
	askPState
	askEnergy // mJ
	askCorrected
	askUncorrected
	askMIG     // 1: the GPU is split
	askVirtual // 1: it is a virtual GPU
	askGPM     // 1: it has GPM
	askUtilization
	askMemUtilization
)

// field is one value that a driver gives by number, with its answer.
type field struct {
	id    int
	scope int // 0: the GPU, 1: the whole module
	value float64
	code  code
}

// stamped is a value that the driver kept, with the driver's own time in microseconds.
type stamped struct {
	at    uint64
	value float64
}

// memory of a GPU in bytes; total 0: it is shared with the host.
type memory struct{ total, used, reserved float64 }

// The fields by their number in nvml.h.
const (
	fieldThrottlePower     = 74
	fieldMemTemp           = 82
	fieldEnergy            = 83
	fieldPowerAverage      = 185
	fieldPower             = 186
	fieldPCIeTx            = 197
	fieldPCIeRx            = 198
	fieldThrottleThermal   = 269
	fieldThrottleHWThermal = 270
	fieldThrottleBrake     = 271
)

// fieldValue says what a field is called in a sample, and what its unit must be multiplied by.
type fieldValue struct {
	id     int
	name   string
	factor float64
}

// fastFields are asked for at every reading of the fast group; seldomFields at every fourth.
var (
	fastFields   = []fieldValue{{fieldPower, lab.GPUPower, 1e-3}, {fieldEnergy, lab.GPUEnergy, 1e-3}}
	seldomFields = []fieldValue{
		{fieldPowerAverage, lab.GPUPowerAverage, 1e-3}, {fieldThrottlePower, lab.GPUThrottlePower, 1e-9},
		{fieldThrottleThermal, lab.GPUThrottleThermal, 1e-9}, {fieldThrottleHWThermal, lab.GPUThrottleHWThermal, 1e-9},
		{fieldThrottleBrake, lab.GPUThrottleBrake, 1e-9}, {fieldPCIeTx, lab.GPUPCIeTx, 1}, {fieldPCIeRx, lab.GPUPCIeRx, 1},
		{fieldMemTemp, lab.GPUMemTemp, 1},
	}
)

// gpmNames are the metrics of GPM that are read, by their number in nvml.h.
var gpmNames = []struct {
	id   int
	name string
}{{2, lab.GPUSMUtil}, {3, lab.GPUSMOccupancy}, {5, lab.GPUTensorUtil}, {10, lab.GPUDRAMUtil}}

// code is a driver's answer, as nvml.h numbers them.
type code int

// The codes that are told apart.
const (
	success          code = 0
	notSupported     code = 3
	noPermission     code = 4
	notFound         code = 6
	timedOut         code = 10
	functionNotFound code = 13
	gpuIsLost        code = 15
	resetRequired    code = 16
	versionMismatch  code = 18
	unknownError     code = 999
)

// String is what a person reads; not the library's own text, which it may change or take back.
func (c code) String() string {
	texts := map[code]string{
		1: "the driver is not initialised", notSupported: "not supported", noPermission: "no permission", notFound: "not found",
		9: "the driver is not loaded", timedOut: "timed out", functionNotFound: "this driver lacks the function",
		gpuIsLost: "the GPU is lost", resetRequired: "the GPU needs a reset", 17: "refused by the operating system",
		versionMismatch: "library and kernel module are of different versions", unknownError: "the driver gives no reason",
	}
	if text, ok := texts[c]; ok {
		return fmt.Sprintf("%s (NVML code %d)", text, int(c))
	}
	return fmt.Sprintf("NVML code %d", int(c))
}

// absent says that a GPU does not have what was asked for, which is no failure.
func (c code) absent() bool { return c == notSupported || c == functionNotFound }
