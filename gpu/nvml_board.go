//go:build linux && cgo

package gpu

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// nvmlBoard asks the driver's library about one GPU.
type nvmlBoard struct {
	lib    *library
	handle nvml.Device
	index  int
	gpm    [2]nvml.GpmSample // the older and the newer
}

// notAvailable is NVML_VALUE_NOT_AVAILABLE of nvml.h.
const notAvailable = math.MaxUint64

func (b *nvmlBoard) identity() lab.Device {
	var d lab.Device
	if b.lib.can("nvmlDeviceGetName") {
		name, _ := b.handle.GetName()
		d.Name = strings.Clone(name)
	}
	if b.lib.can("nvmlDeviceGetUUID") {
		uuid, _ := b.handle.GetUUID()
		d.UUID = strings.Clone(uuid)
	}
	if m, c := b.memory(); c == success {
		d.Memory = lab.Bytes(m.total)
	}
	if milliwatts, c := b.ask(askPowerLimit); c == success {
		d.PowerLimitW = milliwatts / 1e3
	}
	facts(&d, b.handle, b.lib.can)
	return d
}

// number gates one call, and makes its answer plain.
func number[T ~int | ~int32 | ~uint32 | ~uint64](b *nvmlBoard, symbol string, call func() (T, nvml.Return)) (float64, code) {
	if !b.lib.can(symbol) {
		return 0, functionNotFound
	}
	v, c := call()
	return float64(v), code(c)
}

func (b *nvmlBoard) ask(q question) (float64, code) {
	h := b.handle
	clock := func(kind nvml.ClockType) func() (uint32, nvml.Return) {
		return func() (uint32, nvml.Return) { return h.GetClockInfo(kind) }
	}
	errors := func(kind nvml.MemoryErrorType) func() (uint64, nvml.Return) {
		return func() (uint64, nvml.Return) { return h.GetTotalEccErrors(kind, nvml.VOLATILE_ECC) }
	}
	switch q {
	case askSMClock:
		return number(b, "nvmlDeviceGetClockInfo", clock(nvml.CLOCK_SM))
	case askMemClock:
		return number(b, "nvmlDeviceGetClockInfo", clock(nvml.CLOCK_MEM))
	case askMaxSMClock:
		return number(b, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return h.GetMaxClockInfo(nvml.CLOCK_SM) })
	case askTemperature:
		return b.temperature()
	case askReasons:
		if b.lib.can("nvmlDeviceGetCurrentClocksEventReasons") {
			return number(b, "nvmlDeviceGetCurrentClocksEventReasons", h.GetCurrentClocksEventReasons)
		}
		return number(b, "nvmlDeviceGetCurrentClocksThrottleReasons", h.GetCurrentClocksThrottleReasons) // its older name
	case askPowerLimit:
		return number(b, "nvmlDeviceGetEnforcedPowerLimit", h.GetEnforcedPowerLimit)
	case askPState:
		return number(b, "nvmlDeviceGetPerformanceState", h.GetPerformanceState)
	case askEnergy:
		return number(b, "nvmlDeviceGetTotalEnergyConsumption", h.GetTotalEnergyConsumption)
	case askCorrected:
		return number(b, "nvmlDeviceGetTotalEccErrors", errors(nvml.MEMORY_ERROR_TYPE_CORRECTED))
	case askUncorrected:
		return number(b, "nvmlDeviceGetTotalEccErrors", errors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED))
	}
	return b.ability(q)
}

// ability answers what a GPU is or can: 1 is yes.
func (b *nvmlBoard) ability(q question) (float64, code) {
	switch q {
	case askMIG:
		return number(b, "nvmlDeviceGetMigMode", func() (int, nvml.Return) {
			current, _, c := b.handle.GetMigMode()
			return current, c
		})
	case askVirtual:
		mode, c := number(b, "nvmlDeviceGetVirtualizationMode", b.handle.GetVirtualizationMode)
		if mode != float64(nvml.GPU_VIRTUALIZATION_MODE_VGPU) {
			mode = 0
		}
		return min(mode, 1), c
	case askGPM:
		for _, symbol := range []string{"nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"} {
			if !b.lib.can(symbol) {
				return 0, functionNotFound
			}
		}
		return number(b, "nvmlGpmQueryDeviceSupport", func() (uint32, nvml.Return) {
			support, c := b.handle.GpmQueryDeviceSupport()
			return support.IsSupportedDevice, c
		})
	}
	return 0, notSupported
}

// temperature under its new or its old name: a driver between the two has the new one and refuses it.
func (b *nvmlBoard) temperature() (float64, code) {
	const versionUnknown = 25 // NVML_ERROR_ARGUMENT_VERSION_MISMATCH of nvml.h
	v, c := number(b, "nvmlDeviceGetTemperatureV", func() (int32, nvml.Return) {
		t, c := b.handle.GetTemperatureV().V1()
		return t.Temperature, c
	})
	if c.absent() || c == versionUnknown {
		return number(b, "nvmlDeviceGetTemperature", func() (uint32, nvml.Return) { return b.handle.GetTemperature(nvml.TEMPERATURE_GPU) })
	}
	return v, c
}

func (b *nvmlBoard) fields(list []field) code {
	if !b.lib.can("nvmlDeviceGetFieldValues") {
		return functionNotFound
	}
	values := make([]nvml.FieldValue, len(list))
	for i, f := range list {
		values[i] = nvml.FieldValue{FieldId: uint32(f.id), ScopeId: uint32(f.scope)}
	}
	c := code(b.handle.GetFieldValues(values))
	for i, v := range values {
		list[i].value, list[i].code = decode(v.ValueType, v.Value), code(v.NvmlReturn)
	}
	return c
}

// decode reads a value by its type; the numbers are those of nvmlValueType_t in nvml.h.
func decode(kind uint32, value [8]byte) float64 {
	raw := binary.LittleEndian.Uint64(value[:])
	switch kind {
	case 0:
		return math.Float64frombits(raw)
	case 1:
		return float64(uint32(raw))
	case 4:
		return float64(int64(raw))
	case 5:
		return float64(int32(uint32(raw)))
	case 6:
		return float64(uint16(raw))
	}
	return float64(raw)
}

func (b *nvmlBoard) utilization() (gpu, memory float64, c code) {
	if !b.lib.can("nvmlDeviceGetUtilizationRates") {
		return 0, 0, functionNotFound
	}
	u, answer := b.handle.GetUtilizationRates()
	return float64(u.Gpu), float64(u.Memory), code(answer)
}

func (b *nvmlBoard) drain(q question, since uint64) ([]stamped, code) {
	if !b.lib.can("nvmlDeviceGetSamples") {
		return nil, functionNotFound
	}
	kind := nvml.GPU_UTILIZATION_SAMPLES
	if q == askMemUtilization {
		kind = nvml.MEMORY_UTILIZATION_SAMPLES
	}
	valueType, samples, c := b.handle.GetSamples(kind, since)
	if code(c) != success {
		return nil, code(c)
	}
	var list []stamped
	for _, s := range samples {
		if s.TimeStamp > since { // some drivers pad what they give
			list = append(list, stamped{s.TimeStamp, decode(uint32(valueType), s.SampleValue)})
		}
	}
	return list, success
}

func (b *nvmlBoard) memory() (memory, code) {
	if !b.lib.can("nvmlDeviceGetMemoryInfo_v2") {
		return memory{}, functionNotFound
	}
	m, c := b.handle.GetMemoryInfo_v2()
	return memory{float64(m.Total), float64(m.Used), float64(m.Reserved)}, code(c)
}

func (b *nvmlBoard) processes() ([]GPUProcess, code) {
	if !b.lib.can("nvmlDeviceGetComputeRunningProcesses_v3") {
		return nil, functionNotFound
	}
	found, c := b.handle.GetComputeRunningProcesses()
	var list []GPUProcess
	for _, p := range found {
		one := GPUProcess{PID: int(p.Pid)}
		if p.UsedGpuMemory != notAvailable {
			one.Memory = p.UsedGpuMemory
		}
		list = append(list, one)
	}
	return list, code(c)
}

// gpmSample takes the newer of two moments; the one before becomes the older. The reader has asked whether there is GPM.
func (b *nvmlBoard) gpmSample() code {
	b.gpm[0], b.gpm[1] = b.gpm[1], b.gpm[0]
	if b.gpm[1] == nil {
		sample, c := b.lib.GpmSampleAlloc()
		if code(c) != success {
			return code(c)
		}
		b.gpm[1] = sample
	}
	return code(b.gpm[1].Get(b.handle))
}

func (b *nvmlBoard) gpmMetrics() ([]field, code) {
	if b.gpm[0] == nil || b.gpm[1] == nil {
		return nil, notFound
	}
	get := nvml.GpmMetricsGetType{NumMetrics: uint32(len(gpmNames)), Sample1: b.gpm[0], Sample2: b.gpm[1]}
	for i, m := range gpmNames {
		get.Metrics[i].MetricId = uint32(m.id)
	}
	c := code(b.lib.GpmMetricsGet(&get))
	var list []field
	for i, m := range gpmNames {
		list = append(list, field{id: m.id, value: get.Metrics[i].Value, code: code(get.Metrics[i].NvmlReturn)})
	}
	return list, c
}

// free gives back what the library was asked to keep.
func (b *nvmlBoard) free() {
	for _, sample := range b.gpm {
		if sample != nil {
			sample.Free()
		}
	}
}
