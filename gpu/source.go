package gpu

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// Source reads GPUs. Its methods name only lab types, so that anything can stand in for a driver.
type Source interface {
	// Devices lists the GPUs.
	Devices() ([]lab.Device, error)
	// Read takes the readings of a group from every GPU. at gives the moment on the run's clock. A reading that failed is
	// a sample with an error; a value that the GPU does not have is left out.
	Read(group Group, at func() time.Duration) []lab.Sample
	Close() error
}

// Group is a set of values that are read together, at one rate.
type Group int

// The groups; their periods are in groupPeriods.
const (
	Fast Group = iota // power and energy
	Util              // utilisation
	Mid               // memory, clocks, temperature, throttle reasons
	Slow              // processes
)

// groupPeriods are how often each group is read. Drivers refresh utilisation five or six times a second, and asking
// for the processes costs milliseconds.
func groupPeriods(fast time.Duration) map[Group]time.Duration {
	return map[Group]time.Duration{Fast: fast, Util: 200 * time.Millisecond, Mid: 200 * time.Millisecond, Slow: time.Second}
}

// deviceName is what samples of a GPU are called.
func deviceName(index int) string { return "gpu" + strconv.Itoa(index) }

// wanted says whether a GPU is among those that a run may use: by index, UUID or the beginning of a UUID. Nil means all.
func wanted(d lab.Device, list []string) bool {
	if list == nil {
		return true
	}
	return slices.ContainsFunc(list, func(name string) bool {
		return name == strconv.Itoa(d.Index) || strings.HasPrefix(name, "GPU-") && strings.HasPrefix(d.UUID, name)
	})
}

// visible is the list that CUDA_VISIBLE_DEVICES holds, where the run itself names none. Set and empty, it hides all.
func visible(list []string, lookup func(string) (string, bool)) []string {
	if len(list) > 0 {
		return list
	}
	text, set := lookup("CUDA_VISIBLE_DEVICES")
	if !set {
		return nil
	}
	list = strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// simulated reads the GPU of `lab sim` over HTTP.
type simulated struct {
	url  string
	http http.Client
}

// simTimeout is short: a simulator that stands still must cost readings, not silence of the whole sampler.
const simTimeout = 400 * time.Millisecond

// OpenSimulated reads the GPU of a simulated server at url.
func OpenSimulated(url string) (Source, error) {
	s := &simulated{url: url + "/sim/gpu", http: http.Client{Timeout: simTimeout}}
	_, err := s.Devices()
	return s, err
}

// simDevice is one GPU in the simulator's answer: a device and its values by their sample names.
type simDevice struct {
	lab.Device
	values map[string]float64
}

func (s *simulated) fetch() ([]simDevice, error) {
	resp, err := s.http.Get(s.url)
	if err != nil {
		return nil, fmt.Errorf("read simulated GPU: %w", err)
	}
	defer resp.Body.Close()
	var body struct {
		Devices []json.RawMessage `json:"devices"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, fmt.Errorf("read simulated GPU: %w", err)
	}
	var all []simDevice
	for _, raw := range body.Devices {
		var d struct {
			Index  int     `json:"index"`
			UUID   string  `json:"uuid"`
			Name   string  `json:"name"`
			Memory uint64  `json:"memory"`
			Limit  float64 `json:"power_limit_w"`
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("read simulated GPU: %w", err)
		}
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("read simulated GPU: %w", err)
		}
		device := simDevice{Device: lab.Device{Index: d.Index, UUID: d.UUID, Name: d.Name, Memory: lab.Bytes(d.Memory), PowerLimitW: d.Limit}, values: map[string]float64{}}
		for name, value := range fields {
			if v, ok := value.(float64); ok {
				device.values[name] = v
			}
		}
		all = append(all, device)
	}
	return all, nil
}

func (s *simulated) Devices() ([]lab.Device, error) {
	found, err := s.fetch()
	if err != nil {
		return nil, err
	}
	var devices []lab.Device
	for _, d := range found {
		devices = append(devices, d.Device)
	}
	return devices, nil
}

// groupValues are the values that each group reads from the simulator.
func groupValues(g Group) []string {
	switch g {
	case Fast:
		return []string{lab.GPUPower, lab.GPUEnergy}
	case Util:
		return []string{lab.GPUUtil, lab.GPUMemUtil}
	case Mid:
		return []string{
			lab.GPUMemUsed, lab.GPUSMClock, lab.GPUMemClock, lab.GPUTemp, lab.GPUThrottle,
			lab.GPUThrottlePower, lab.GPUThrottleThermal, lab.GPUThrottleHWThermal, lab.GPUThrottleBrake,
		}
	case Slow:
		return []string{lab.GPUProcesses, lab.GPUForeign, lab.GPUPowerLimit, lab.GPUMaxSMClock}
	}
	return nil
}

func (s *simulated) Read(group Group, at func() time.Duration) []lab.Sample {
	before := at()
	found, err := s.fetch()
	after := at()
	if err != nil {
		return []lab.Sample{{At: before, Took: after - before, Device: deviceName(0), Error: err.Error()}}
	}
	var samples []lab.Sample
	for _, d := range found {
		values := map[string]float64{}
		for _, name := range groupValues(group) {
			if v, ok := d.values[name]; ok {
				values[name] = v
			}
		}
		if len(values) > 0 {
			samples = append(samples, lab.Sample{At: (before + after) / 2, Took: after - before, Device: deviceName(d.Index), Values: values})
		}
	}
	return samples
}

func (s *simulated) Close() error {
	s.http.CloseIdleConnections()
	return nil
}
