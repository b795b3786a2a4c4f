package gpu

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"lab/internal/lab"
)

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
		return []string{
			lab.GPUPower, lab.GPUEnergy, lab.GPUPowerAverage, lab.GPUThrottlePower, lab.GPUThrottleThermal, lab.GPUThrottleHWThermal,
			lab.GPUThrottleBrake, lab.GPUPCIeTx, lab.GPUPCIeRx,
		}
	case Util:
		return []string{lab.GPUUtil, lab.GPUMemUtil}
	case Mid:
		return []string{lab.GPUMemUsed, lab.GPUMemReserved, lab.GPUSMClock, lab.GPUMemClock, lab.GPUTemp, lab.GPUThrottle}
	case Slow:
		return []string{lab.GPUProcesses, lab.GPUForeign, lab.GPUPowerLimit, lab.GPUMaxSMClock}
	}
	return nil
}

func (s *simulated) Read(group Group, at func() time.Duration) Reading {
	names := groupValues(group)
	if names == nil {
		return Reading{}
	}
	before := at()
	found, err := s.fetch()
	after := at()
	if err != nil {
		return Reading{Samples: []lab.Sample{{At: before, Took: after - before, Device: deviceName(0), Error: err.Error()}}}
	}
	var r Reading
	for _, d := range found {
		values := map[string]float64{}
		for _, name := range names {
			if v, ok := d.values[name]; ok {
				values[name] = v
			}
		}
		if len(values) > 0 {
			r.Samples = append(r.Samples, lab.Sample{At: (before + after) / 2, Took: after - before, Device: deviceName(d.Index), Values: values})
		}
	}
	return r
}

// Listen has nothing to say: the simulator reports nothing by itself.
func (s *simulated) Listen(context.Context, func() time.Duration, func(lab.Event)) {}

// Renews: the simulator computes its values at each question.
func (s *simulated) Renews() bool { return false }

func (s *simulated) Close() error {
	s.http.CloseIdleConnections()
	return nil
}
