package report

import (
	"bytes"
	"testing"

	"lab/internal/box"
	"lab/internal/lab"
)

func TestWhatTheDoctorSaysFitsATerminalAndItsCommandsAreWhole(t *testing.T) {
	on := true
	host := lab.Host{Name: "gpu-box-3", OS: "debian 12", Kernel: "6.1", CPU: "AMD EPYC 9354", Cores: 64, Memory: 512 << 30, Governor: "powersave", Turbo: &on,
		ThreadsPerCore: 2, NUMANodes: 2, ClockSource: "tsc", GPUs: []lab.Device{{UUID: "GPU-5f1e", Name: "NVIDIA H100 80GB HBM3", Memory: 80 << 30, Persistence: &on}}}
	checks := []box.Check{
		{Group: "gpu", State: box.Good, Text: "0: NVIDIA H100 80GB HBM3, 80 GiB, GPU-5f1e, driver 580.95, CUDA up to 13.0"},
		{Group: "gpu", State: box.Noted, Text: "GPU 0: no clock lock is in force that the driver tells of: the SM clock moves up to 1980 MHz with load and heat (undo the lock with -rgc)", Command: "sudo nvidia-smi -i 0 -lgc 1695"},
		{Group: "server", State: box.Obstacle, Text: "there is no vllm command", Fix: "install it, or say where it is: --venv, --executable or --python here, server.venv and so on in a file", Command: "pip install vllm"},
		{Group: "host", State: box.Doubt, Text: "CPU governor powersave: cores slow down between requests", Command: "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"},
	}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"doctor.txt":  func(w *bytes.Buffer) error { return Doctor(w, checks, Options{Width: 80}) },
		"doctor.json": func(w *bytes.Buffer) error { return DoctorJSON(w, "0.1.0", host, checks) },
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}
