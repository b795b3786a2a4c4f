//go:build linux && cgo

package gpu

import (
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
	library string // as it was resolved
	version string
	cuda    string
	has     map[string]bool // symbols looked up
	gpus    []*card
	tree    *tree
}

// card is one GPU.
type card struct {
	lab.Device
	handle  nvml.Device
	has     map[string]bool // values: true: it has given it; false: it does not have it and is not asked again
	unknown int             // readings in a row that failed with the code that says nothing
	retry   time.Duration   // when a lost GPU is asked again
}

// OpenNVML loads the driver's library (lib, or $LAB_NVML_LIB, or the first that is found) and finds the GPUs that a run
// may use. The error says why there is none.
func OpenNVML(lib string, gpus []string, serverPID int) (Source, error) {
	if lib == "" {
		lib = os.Getenv("LAB_NVML_LIB")
	}
	name, path, err := findLibrary(lib)
	if err != nil {
		return nil, err
	}
	d := &driver{lib: nvml.New(nvml.WithLibraryPath(name)), library: path, has: map[string]bool{}, tree: newTree(serverPID)}
	if code := d.lib.Init(); code != nvml.SUCCESS {
		return nil, fmt.Errorf("initialise the NVIDIA driver: %s", text(code))
	}
	if err := d.find(visible(gpus, os.LookupEnv)); err != nil {
		d.lib.Shutdown()
		return nil, err
	}
	return d, nil
}

// findLibrary opens each candidate once, because Init hides why a library could not be loaded. A library that was named
// is the only candidate: another one would answer for a different driver.
func findLibrary(lib string) (name, path string, err error) {
	places := libraryPlaces
	if lib != "" {
		places = []string{lib}
	}
	var first error
	for _, name := range places {
		path, err := tryLibrary(name)
		if err == nil {
			return name, path, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", "", fmt.Errorf("no NVIDIA driver library: %w", first)
}

// tryLibrary loads a library and looks for what go-nvml calls without asking.
func tryLibrary(name string) (path string, err error) {
	handle := dl.New(name, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := handle.Open(); err != nil {
		return "", err
	}
	defer handle.Close()
	for _, symbol := range []string{"nvmlInit_v2", "nvmlShutdown", "nvmlErrorString"} {
		if err := handle.Lookup(symbol); err != nil {
			return "", err
		}
	}
	if path, err = handle.Path(); err != nil {
		return name, nil
	}
	return path, nil
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
	if d.can("nvmlSystemGetCudaDriverVersion_v2") {
		if v, code := d.lib.SystemGetCudaDriverVersion_v2(); code == nvml.SUCCESS {
			d.cuda = fmt.Sprintf("%d.%d", v/1000, v%1000/10) // NVML_CUDA_DRIVER_VERSION_MAJOR and _MINOR of nvml.h
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
		c := &card{Device: lab.Device{Index: i}, handle: handle, has: map[string]bool{}}
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
	facts(&c.Device, c.handle, d.can)
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
	f.Driver, f.CUDA, f.NVMLPath = d.version, d.cuda, d.library
	for _, c := range d.gpus {
		processes, _ := d.processes(c) // none where the driver does not say
		for _, p := range processes {
			g := GPUProcess{PID: int(p.Pid), UUID: c.UUID}
			if p.UsedGpuMemory != notAvailable {
				g.Memory = p.UsedGpuMemory
			}
			f.Processes = append(f.Processes, g)
		}
	}
}

// notAvailable is NVML_VALUE_NOT_AVAILABLE of nvml.h.
const notAvailable = math.MaxUint64

func (d *driver) processes(c *card) ([]nvml.ProcessInfo, nvml.Return) {
	if !d.can("nvmlDeviceGetComputeRunningProcesses_v3") {
		return nil, nvml.ERROR_FUNCTION_NOT_FOUND
	}
	return c.handle.GetComputeRunningProcesses()
}

func (d *driver) Read(group Group, at func() time.Duration) []lab.Sample {
	var samples []lab.Sample
	for _, c := range d.gpus {
		before := at()
		if before < c.retry {
			continue
		}
		r := reading{d: d, c: c, values: map[string]float64{}}
		r.group(group)
		after := at()
		s := lab.Sample{At: (before + after) / 2, Took: after - before, Device: deviceName(c.Index), Values: r.values}
		c.judge(r, after)
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

// judge decides whether a GPU is lost. A lost one is asked once a second: asking it again and again can hold up the
// driver for everybody.
func (c *card) judge(r reading, now time.Duration) {
	switch {
	case len(r.values) > 0 || r.problem == nvml.SUCCESS:
		c.unknown = 0
		return
	case r.problem == nvml.ERROR_UNKNOWN:
		c.unknown++
	}
	switch r.problem {
	case nvml.ERROR_GPU_IS_LOST, nvml.ERROR_RESET_REQUIRED, nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		c.retry = now + time.Second
	case nvml.ERROR_UNKNOWN:
		if c.unknown >= 3 {
			c.retry = now + time.Second
		}
	}
}

func (d *driver) Close() error {
	if code := d.lib.Shutdown(); code != nvml.SUCCESS {
		return fmt.Errorf("shut the NVIDIA driver down: %s", text(code))
	}
	return nil
}
