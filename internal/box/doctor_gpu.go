package box

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"lab/gpu"
	"lab/internal/lab"
)

// kernel is what the kernel says of NVIDIA's driver, whether or not its library answers.
type kernel struct {
	version string // of the module that is loaded; empty: none is
	cards   int    // GPUs of NVIDIA on the PCI bus
}

var moduleVersion = regexp.MustCompile(`Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s`)

func kernelDriver(root string) kernel {
	var k kernel
	if m := moduleVersion.FindStringSubmatch(text(root, "proc/driver/nvidia/version") + " "); m != nil {
		k.version = m[1]
	}
	vendors, _ := filepath.Glob(filepath.Join(root, "sys/bus/pci/devices/*/vendor"))
	for _, name := range vendors {
		dir, _ := filepath.Rel(root, filepath.Dir(name))
		const display = "0x03" // PCI class of display controllers
		if text(root, filepath.Join(dir, "vendor")) == "0x10de" && strings.HasPrefix(text(root, filepath.Join(dir, "class")), display) {
			k.cards++
		}
	}
	return k
}

// reload puts a kernel module in place that fits the library.
const reload = "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia"

// gpus says what was found of GPUs and how each is set up.
func gpus(found gpu.Found, k kernel, name func(gpu.GPUProcess) lab.GPUProcess) []Check {
	if len(found.Devices) == 0 {
		return []Check{noGPU(found, k)}
	}
	var checks []Check
	if k.version != "" && found.Driver != "" && k.version != found.Driver {
		checks = append(checks, Check{onGPU, Doubt, fmt.Sprintf("the driver's library is of version %s, its kernel module of %s: it was updated without a restart", found.Driver, k.version),
			"restart the machine, or load the new module while nothing uses a GPU", reload})
	}
	if found.Note != "" {
		checks = append(checks, Check{Group: onGPU, State: Noted, Text: found.Note})
	}
	for _, d := range found.Devices {
		checks = append(checks, card(d, found)...)
		for _, p := range found.Processes {
			if p.UUID == d.UUID {
				checks = append(checks, Check{onGPU, Doubt, fmt.Sprintf("GPU %d is in use by another program: %s; a run beside it is marked invalid", d.Index, name(p)),
					"end it before measuring", fmt.Sprintf("kill %d", p.PID)})
			}
		}
	}
	return checks
}

// unanswered is a driver that hangs, or that ends the process that asks it.
func unanswered(err error) Check {
	return Check{onGPU, Doubt, fmt.Sprintf("the GPU driver could not be asked: %v", err), "see whether NVIDIA's own program is answered; where it hangs too, restart the machine", "nvidia-smi"}
}

// noGPU says why there is none: none in the machine is a note, one that does not answer a warning.
func noGPU(found gpu.Found, k kernel) Check {
	said := ""
	if found.Note != "" {
		said = ": " + found.Note
	}
	switch {
	case k.version != "":
		return Check{onGPU, Doubt, fmt.Sprintf("the kernel module of the NVIDIA driver is loaded (%s), but its library does not answer%s", k.version, said),
			"if the driver was updated, restart the machine or load the new module; in a container, give it the GPUs (docker run --gpus all)", reload}
	case k.cards > 0:
		return Check{Group: onGPU, State: Doubt, Text: fmt.Sprintf("%d NVIDIA GPU(s) in the machine, but no driver%s", k.cards, said),
			Fix: "install the NVIDIA driver as this system's pages say; nvidia-smi then lists the GPUs"}
	}
	return Check{Group: onGPU, State: Noted, Text: "no GPU" + said}
}

// card says how one GPU is set up; what the driver does not tell is left out.
func card(d lab.Device, found gpu.Found) []Check {
	about := fmt.Sprintf("%d: %s, %.0f GiB, %s, driver %s", d.Index, d.Name, d.Memory.GiB(), d.UUID, found.Driver)
	if found.CUDA != "" {
		about += ", CUDA up to " + found.CUDA
	}
	checks := []Check{{Group: onGPU, State: Good, Text: about}}
	add := func(state State, command, format string, args ...any) {
		if command != "" {
			command = fmt.Sprintf("sudo nvidia-smi -i %d %s", d.Index, command)
		}
		checks = append(checks, Check{Group: onGPU, State: state, Text: fmt.Sprintf("GPU %d: ", d.Index) + fmt.Sprintf(format, args...), Command: command})
	}
	switch {
	case d.ClocksLocked && d.AppSMClockMHz > 0:
		add(Good, "", "clocks are locked (SM %.0f MHz)", d.AppSMClockMHz)
	case d.ClocksLocked:
		add(Good, "", "clocks are locked")
	case d.MaxSMClockMHz > 0:
		add(Noted, fmt.Sprintf("-lgc %.0f", steady(d)), "no clock lock is in force that the driver tells of: the SM clock moves up to %.0f MHz with load and heat (undo the lock with -rgc)", d.MaxSMClockMHz)
	}
	if d.PowerLimitW > 0 && d.DefaultPowerLimitW > 0 {
		if d.PowerLimitW < d.DefaultPowerLimitW {
			is, usual := lab.Apart(d.PowerLimitW, d.DefaultPowerLimitW, 0)
			add(Doubt, fmt.Sprintf("-pl %.0f", d.DefaultPowerLimitW), "power limit %s W is below the default of %s W", is, usual)
		} else {
			add(Good, "", "power limit %.0f W (default %.0f W)", d.PowerLimitW, d.DefaultPowerLimitW)
		}
	}
	if on, said := is(d.Persistence); said && !on {
		add(Doubt, "-pm 1", "persistence mode is off: the driver starts anew for each first client, and its energy counter with it")
	}
	if on, said := is(d.MIG); said && on {
		add(Doubt, "-mig 0", "MIG is on: power, energy, clocks and utilisation are of the whole GPU, which other instances share")
	}
	if on, said := is(d.VGPU); said && on {
		add(Doubt, "", "it is a virtual GPU: others may share it unseen, and the hypervisor hides power and energy")
	}
	if on, said := is(d.ECC); said && !on {
		add(Noted, "-e 1", "ECC is off: errors of its memory go unseen (switching it on needs a restart of the GPU)")
	}
	if d.PCIeWidth > 0 && d.PCIeWidth < d.MaxPCIeWidth {
		add(Doubt, "", "PCIe link of %d lanes, the GPU has %d: look at slot and riser", d.PCIeWidth, d.MaxPCIeWidth)
	}
	return checks
}

func is(v *bool) (on, said bool) { return v != nil && *v, v != nil }

// steady is a clock that a GPU holds: its application clock, else a seventh below its highest, where most can stay
// within their power.
func steady(d lab.Device) float64 {
	if d.AppSMClockMHz > 0 && d.AppSMClockMHz < d.MaxSMClockMHz {
		return d.AppSMClockMHz
	}
	const step = 15 // MHz, in which the clocks of NVIDIA's GPUs go
	return float64(int(d.MaxSMClockMHz*6/7) / step * step)
}
