//go:build linux && cgo

package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// libraryPlaces are where the driver library is looked for, in order.
var libraryPlaces = []string{
	"libnvidia-ml.so.1",
	"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/usr/lib64/libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
	"/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1",
}

// driver reads GPUs through NVML. A call to a function that the library lacks, or before it is initialised, ends the
// process, so every call is gated on a lookup of its symbol.
type driver struct {
	lib     nvml.Interface
	library string
	version string
	has     map[string]bool // symbols looked up
	gpus    []*card
	tree    *tree
}

// card is one GPU.
type card struct {
	lab.Device
	handle nvml.Device
	dead   map[string]bool // values that this GPU does not have: never asked again
}

// OpenNVML loads the driver's library (lib, or the first that is found) and finds the GPUs that a run may use. The
// error says why there is none.
func OpenNVML(lib string, gpus []string, serverPID int) (Source, error) {
	name, err := findLibrary(libraryFromEnv(lib))
	if err != nil {
		return nil, err
	}
	d := &driver{lib: nvml.New(nvml.WithLibraryPath(name)), library: name, has: map[string]bool{}, tree: newTree(serverPID)}
	if code := d.lib.Init(); code != nvml.SUCCESS {
		return nil, fmt.Errorf("initialise the NVIDIA driver: %s", text(code))
	}
	if err := d.find(visible(gpus, os.Getenv)); err != nil {
		d.lib.Shutdown()
		return nil, err
	}
	return d, nil
}

// findLibrary opens each candidate once, because Init hides why a library could not be loaded.
func findLibrary(lib string) (string, error) {
	places := libraryPlaces
	if lib != "" {
		places = []string{lib}
	}
	var first error
	for _, name := range places {
		handle := dl.New(name, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
		err := handle.Open()
		if err == nil {
			return name, handle.Close()
		}
		if first == nil {
			first = err
		}
	}
	return "", fmt.Errorf("no NVIDIA driver library: %w", first)
}

// text is an owned copy: the library may keep the string it hands out.
func text(code nvml.Return) string { return strings.Clone(code.Error()) }

func (d *driver) can(symbol string) bool {
	known, asked := d.has[symbol]
	if !asked {
		known = d.lib.Extensions().LookupSymbol(symbol) == nil
		d.has[symbol] = known
	}
	return known
}

func (d *driver) find(list []string) error {
	if d.can("nvmlSystemGetDriverVersion") {
		if version, code := d.lib.SystemGetDriverVersion(); code == nvml.SUCCESS {
			d.version = strings.Clone(version)
		}
	}
	if !d.can("nvmlDeviceGetCount_v2") || !d.can("nvmlDeviceGetHandleByIndex_v2") {
		return errors.New("the NVIDIA driver library is too old: it cannot list GPUs")
	}
	n, code := d.lib.DeviceGetCount()
	if code != nvml.SUCCESS {
		return fmt.Errorf("count GPUs: %s", text(code))
	}
	for i := range n {
		handle, code := d.lib.DeviceGetHandleByIndex(i)
		if code != nvml.SUCCESS {
			continue // one lost GPU does not hide the others
		}
		c := &card{Device: lab.Device{Index: i}, handle: handle, dead: map[string]bool{}}
		d.identify(c)
		if wanted(c.Device, list) {
			d.gpus = append(d.gpus, c)
		}
	}
	if len(d.gpus) == 0 {
		return fmt.Errorf("the NVIDIA driver knows %d GPUs, none of which the run may use", n)
	}
	return nil
}

func (d *driver) identify(c *card) {
	if d.can("nvmlDeviceGetName") {
		if name, code := c.handle.GetName(); code == nvml.SUCCESS {
			c.Name = strings.Clone(name)
		}
	}
	if d.can("nvmlDeviceGetUUID") {
		if uuid, code := c.handle.GetUUID(); code == nvml.SUCCESS {
			c.UUID = strings.Clone(uuid)
		}
	}
	if d.can("nvmlDeviceGetMemoryInfo_v2") {
		if m, code := c.handle.GetMemoryInfo_v2(); code == nvml.SUCCESS {
			c.Memory = lab.Bytes(m.Total)
		}
	}
	if d.can("nvmlDeviceGetEnforcedPowerLimit") {
		if milliwatts, code := c.handle.GetEnforcedPowerLimit(); code == nvml.SUCCESS {
			c.PowerLimitW = float64(milliwatts) / 1e3
		}
	}
}

func (d *driver) Devices() ([]lab.Device, error) {
	var devices []lab.Device
	for _, c := range d.gpus {
		devices = append(devices, c.Device)
	}
	return devices, nil
}

// describe adds what a probe wants to know.
func (d *driver) describe(f *Found) {
	f.Driver, f.Library = d.version, d.library
	for _, c := range d.gpus {
		processes, _ := d.processes(c)
		for _, p := range processes {
			f.Processes = append(f.Processes, GPUProcess{PID: int(p.Pid), UUID: c.UUID, Memory: p.UsedGpuMemory})
		}
	}
}

func (d *driver) processes(c *card) ([]nvml.ProcessInfo, bool) {
	if !d.can("nvmlDeviceGetComputeRunningProcesses_v3") {
		return nil, false
	}
	list, code := c.handle.GetComputeRunningProcesses()
	return list, code == nvml.SUCCESS
}

func (d *driver) Read(group Group, at func() time.Duration) []lab.Sample {
	var samples []lab.Sample
	for _, c := range d.gpus {
		before := at()
		r := reading{d: d, c: c, values: map[string]float64{}}
		r.group(group)
		after := at()
		s := lab.Sample{At: (before + after) / 2, Took: after - before, Device: deviceName(c.Index), Values: r.values}
		if len(r.values) == 0 {
			if r.problem == nvml.SUCCESS {
				continue // this GPU has none of it
			}
			s.Error = text(r.problem)
		}
		samples = append(samples, s)
	}
	return samples
}

func (d *driver) Close() error {
	if code := d.lib.Shutdown(); code != nvml.SUCCESS {
		return fmt.Errorf("shut the NVIDIA driver down: %s", text(code))
	}
	return nil
}

// reading is one group of values of one GPU while it is read.
type reading struct {
	d       *driver
	c       *card
	values  map[string]float64
	problem nvml.Return // the last that may pass
}

// ask makes one call where the GPU has the value, and notes how it went. A value that the GPU does not have is not
// asked for again; any other trouble may pass.
func (r *reading) ask(symbol, name string, call func() (float64, nvml.Return)) {
	if r.c.dead[name] || !r.d.can(symbol) {
		return
	}
	v, code := call()
	switch code {
	case nvml.SUCCESS:
		r.values[name] = v
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND:
		r.c.dead[name] = true
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
		if list, ok := r.d.processes(r.c); ok {
			r.values[lab.GPUProcesses] = float64(len(list))
			foreign := 0
			for _, p := range list {
				if r.d.tree.root == 0 || !r.d.tree.holds(int(p.Pid)) {
					foreign++
				}
			}
			if r.d.tree.root != 0 { // on a server that already ran, nobody knows whose they are
				r.values[lab.GPUForeign] = float64(foreign)
			}
		}
	}
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
// GPUs it is an average over a second, which would smear every request over its neighbours.
func (r *reading) powerAndEnergy() {
	if r.c.dead[lab.GPUPower] && r.c.dead[lab.GPUEnergy] || !r.d.can("nvmlDeviceGetFieldValues") {
		return
	}
	fields := []nvml.FieldValue{
		{FieldId: nvml.FI_DEV_POWER_INSTANT}, {FieldId: nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION},
	}
	if code := r.c.handle.GetFieldValues(fields); code != nvml.SUCCESS {
		r.problem = code
		return
	}
	for i, name := range []string{lab.GPUPower, lab.GPUEnergy} {
		switch nvml.Return(fields[i].NvmlReturn) {
		case nvml.SUCCESS:
			r.keep(name, number(fields[i])/1e3) // mW and mJ
		case nvml.ERROR_NOT_SUPPORTED:
			r.c.dead[name] = true
		default:
			r.problem = nvml.Return(fields[i].NvmlReturn)
		}
	}
}

// keep drops readings that cannot be: no power at all, or twice what the GPU may draw.
func (r *reading) keep(name string, v float64) {
	limit := r.c.PowerLimitW
	if name == lab.GPUPower && (v <= 0 || limit > 0 && v > 2*limit) {
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
