//go:build linux && cgo

package gpu

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// reading is one group of values of one GPU while it is read.
type reading struct {
	d       *driver
	c       *card
	values  map[string]float64
	problem nvml.Return // the last that may pass
}

// ask makes one call where the GPU has the value.
func (r *reading) ask(symbol, name string, call func() (float64, nvml.Return)) {
	if r.lacks(name) || !r.d.can(symbol) {
		return
	}
	v, code := call()
	r.note(name, code)
	if code == nvml.SUCCESS {
		r.values[name] = v
	}
}

// lacks says whether the GPU has said that it does not have a value.
func (r *reading) lacks(name string) bool {
	has, known := r.c.has[name]
	return known && !has
}

// note keeps how an answer went. A value that the GPU has never given and says not to have is not asked for again; any
// other trouble may pass, also "not supported" from a driver that is asked fast.
func (r *reading) note(name string, code nvml.Return) {
	switch {
	case code == nvml.SUCCESS:
		r.c.has[name] = true
	case (code == nvml.ERROR_NOT_SUPPORTED || code == nvml.ERROR_FUNCTION_NOT_FOUND) && !r.c.has[name]:
		r.c.has[name] = false
	default:
		r.problem = code
	}
}

func (r *reading) group(g Group) {
	h := r.c.handle
	switch g {
	case Fast:
		r.powerAndEnergy()
	case Util:
		var u nvml.Utilization
		r.ask("nvmlDeviceGetUtilizationRates", lab.GPUUtil, func() (float64, nvml.Return) {
			var code nvml.Return
			u, code = h.GetUtilizationRates()
			return float64(u.Gpu), code
		})
		if _, ok := r.values[lab.GPUUtil]; ok {
			r.values[lab.GPUMemUtil] = float64(u.Memory)
		}
	case Mid:
		r.ask("nvmlDeviceGetMemoryInfo_v2", lab.GPUMemUsed, func() (float64, nvml.Return) {
			m, code := h.GetMemoryInfo_v2()
			if code == nvml.SUCCESS && m.Total == 0 { // memory shared with the host
				code = nvml.ERROR_NOT_SUPPORTED
			}
			return float64(m.Used), code
		})
		r.ask("nvmlDeviceGetClockInfo", lab.GPUSMClock, func() (float64, nvml.Return) {
			mhz, code := h.GetClockInfo(nvml.CLOCK_SM)
			return float64(mhz), code
		})
		r.ask("nvmlDeviceGetClockInfo", lab.GPUMemClock, func() (float64, nvml.Return) {
			mhz, code := h.GetClockInfo(nvml.CLOCK_MEM)
			return float64(mhz), code
		})
		r.ask("nvmlDeviceGetTemperature", lab.GPUTemp, func() (float64, nvml.Return) {
			celsius, code := h.GetTemperature(nvml.TEMPERATURE_GPU)
			return float64(celsius), code
		})
		r.throttle()
	case Slow:
		r.processes()
	}
}

// processes counts who uses the GPU. Drivers name processes by the host's numbers; inside a container those mean nothing
// here. So a number that nobody has here leaves open whose the process is, and the count of strangers is left out.
func (r *reading) processes() {
	const name = lab.GPUProcesses
	if r.lacks(name) {
		return
	}
	list, code := r.d.processes(r.c)
	r.note(name, code)
	if code != nvml.SUCCESS {
		return
	}
	r.values[name] = float64(len(list))
	if r.d.tree.root == 0 { // on a server that already ran, nobody knows whose they are
		return
	}
	foreign := 0.0
	for _, p := range list {
		ours, known := r.d.tree.holds(int(p.Pid))
		if !known {
			return
		}
		if !ours {
			foreign++
		}
	}
	r.values[lab.GPUForeign] = foreign
}

// throttle reads the mask of reasons under its new or its old name.
func (r *reading) throttle() {
	if r.d.can("nvmlDeviceGetCurrentClocksEventReasons") {
		r.ask("nvmlDeviceGetCurrentClocksEventReasons", lab.GPUThrottle, func() (float64, nvml.Return) {
			bits, code := r.c.handle.GetCurrentClocksEventReasons()
			return float64(bits), code
		})
		return
	}
	r.ask("nvmlDeviceGetCurrentClocksThrottleReasons", lab.GPUThrottle, func() (float64, nvml.Return) {
		bits, code := r.c.handle.GetCurrentClocksThrottleReasons()
		return float64(bits), code
	})
}

// powerAndEnergy reads instant power and the energy counter in one call. The plain power call is left alone: on newer
// GPUs it is an average over a second, which would smear every request over its neighbours. The plain energy call reads
// the same counter as the field.
func (r *reading) powerAndEnergy() {
	const power, energy = "field " + lab.GPUPower, "field " + lab.GPUEnergy
	if !r.d.can("nvmlDeviceGetFieldValues") {
		r.c.has[power], r.c.has[energy] = false, false
	}
	if !r.lacks(power) || !r.lacks(energy) {
		fields := []nvml.FieldValue{{FieldId: nvml.FI_DEV_POWER_INSTANT}, {FieldId: nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION}}
		code := r.c.handle.GetFieldValues(fields)
		for i, name := range []string{power, energy} {
			if code == nvml.SUCCESS { // of the call; each field has its own
				r.note(name, nvml.Return(fields[i].NvmlReturn))
			} else {
				r.note(name, code)
			}
			if code == nvml.SUCCESS && nvml.Return(fields[i].NvmlReturn) == nvml.SUCCESS {
				r.keep(strings.TrimPrefix(name, "field "), number(fields[i])/1e3) // mW and mJ
			}
		}
	}
	if r.lacks(energy) && !r.lacks(lab.GPUEnergy) && r.d.can("nvmlDeviceGetTotalEnergyConsumption") {
		millijoules, code := r.c.handle.GetTotalEnergyConsumption()
		r.note(lab.GPUEnergy, code)
		if code == nvml.SUCCESS {
			r.keep(lab.GPUEnergy, float64(millijoules)/1e3)
		}
	}
}

// keep drops readings that cannot be: nothing at all, or twice the power that the GPU may draw.
func (r *reading) keep(name string, v float64) {
	limit := r.c.PowerLimitW
	if !(v > 0) || name == lab.GPUPower && limit > 0 && v > 2*limit {
		return
	}
	r.values[name] = v
}

// number decodes a field by its type; the codes are those of nvmlValueType_t in nvml.h.
func number(f nvml.FieldValue) float64 {
	raw := binary.LittleEndian.Uint64(f.Value[:])
	switch f.ValueType {
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
