//go:build linux && cgo

package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// libraryPlaces are where the driver library is looked for, in order.
var libraryPlaces = []string{
	"libnvidia-ml.so.1",
	"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/usr/lib64/libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
	"/usr/local/nvidia/lib/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1",
}

// library is the driver's. A call to a function that it lacks, or before it is initialised, ends the process, so every
// call is gated on a lookup of its symbol.
type library struct {
	nvml.Interface
	mu  sync.Mutex // the listener asks beside the reader
	has map[string]bool
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
	l := &library{Interface: nvml.New(nvml.WithLibraryPath(name)), has: map[string]bool{}}
	if c := code(l.Init()); c != success {
		return nil, fmt.Errorf("initialise the NVIDIA driver: %s", c)
	}
	r := newReader(serverPID)
	r.about = Found{NVMLPath: path, Driver: l.driverVersion(), CUDA: l.cudaVersion()}
	boards, err := l.find(r, visible(gpus, os.LookupEnv))
	if err != nil {
		l.Shutdown()
		return nil, err
	}
	r.listen = func(ctx context.Context, at func() time.Duration, event func(lab.Event)) {
		l.listen(ctx, boards, at, event)
	}
	r.close = func() error {
		for _, b := range boards {
			b.free()
		}
		if c := code(l.Shutdown()); c != success {
			return fmt.Errorf("shut the NVIDIA driver down: %s", c)
		}
		return nil
	}
	return r, nil
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

// can says whether the library has a function.
func (l *library) can(symbol string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, asked := l.has[symbol]
	if !asked {
		known = l.Extensions().LookupSymbol(symbol) == nil
		l.has[symbol] = known
	}
	return known
}

func (l *library) driverVersion() string {
	if !l.can("nvmlSystemGetDriverVersion") {
		return ""
	}
	version, _ := l.SystemGetDriverVersion()
	return strings.Clone(version) // the library may keep the string it hands out
}

func (l *library) cudaVersion() string {
	if !l.can("nvmlSystemGetCudaDriverVersion_v2") {
		return ""
	}
	v, c := l.SystemGetCudaDriverVersion_v2()
	if code(c) != success {
		return ""
	}
	return fmt.Sprintf("%d.%d", v/1000, v%1000/10) // NVML_CUDA_DRIVER_VERSION_MAJOR and _MINOR of nvml.h
}

// find gives the reader the GPUs that a run may use.
func (l *library) find(r *reader, list []string) ([]*nvmlBoard, error) {
	if !l.can("nvmlDeviceGetCount_v2") || !l.can("nvmlDeviceGetHandleByIndex_v2") {
		return nil, errors.New("the NVIDIA driver library is too old: it cannot list GPUs")
	}
	n, answer := l.DeviceGetCount()
	if c := code(answer); c != success {
		return nil, fmt.Errorf("count GPUs: %s", c)
	}
	asked := list
	list, r.notes = wholes(list, l.parent)
	var boards []*nvmlBoard
	for i := range n {
		handle, answer := l.DeviceGetHandleByIndex(i)
		if c := code(answer); c != success {
			r.notes = append(r.notes, fmt.Sprintf("%s is not sampled: %s", deviceName(i), c))
			continue // one lost GPU does not hide the others
		}
		b := &nvmlBoard{lib: l, handle: handle, index: i}
		d := b.identity()
		d.Index = i
		if wanted(d, list) {
			r.add(i, b)
			boards = append(boards, b)
		}
	}
	if len(boards) == 0 {
		why := ""
		if list != nil {
			why = fmt.Sprintf(" (asked for: %q, by CUDA_VISIBLE_DEVICES or server.gpus)", strings.Join(asked, ","))
		}
		if len(r.notes) > 0 {
			why += ": " + strings.Join(r.notes, "; ")
		}
		return nil, fmt.Errorf("the NVIDIA driver knows %d GPUs, none of which the run may use%s", n, why)
	}
	return boards, nil
}

// parent finds the GPU that a part belongs to.
func (l *library) parent(part string) (uuid string, ok bool) {
	if !l.can("nvmlDeviceGetHandleByUUID") || !l.can("nvmlDeviceGetDeviceHandleFromMigDeviceHandle") || !l.can("nvmlDeviceGetUUID") {
		return "", false
	}
	handle, c := l.DeviceGetHandleByUUID(part)
	if code(c) != success {
		return "", false
	}
	whole, c := handle.GetDeviceHandleFromMigDeviceHandle()
	if code(c) != success {
		return "", false
	}
	uuid, c = whole.GetUUID()
	return strings.Clone(uuid), code(c) == success
}
