//go:build linux && cgo

package gpu

import (
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// facts reads how a GPU is set up, which does not change while it is sampled. What the library cannot be asked (see can) or
// the GPU does not have stays absent.
func facts(d *lab.Device, h nvml.Device, can func(symbol string) bool) {
	fact := func(symbol string, read func() nvml.Return, keep func()) {
		if can(symbol) && read() == nvml.SUCCESS {
			keep()
		}
	}
	yes := func(on bool) *bool { return &on }

	var state nvml.EnableState
	var code nvml.Return
	fact("nvmlDeviceGetPersistenceMode", func() nvml.Return { state, code = h.GetPersistenceMode(); return code },
		func() { d.Persistence = yes(state == nvml.FEATURE_ENABLED) })
	fact("nvmlDeviceGetEccMode", func() nvml.Return { state, _, code = h.GetEccMode(); return code },
		func() { d.ECC = yes(state == nvml.FEATURE_ENABLED) })

	var mode int
	fact("nvmlDeviceGetMigMode", func() nvml.Return { mode, _, code = h.GetMigMode(); return code },
		func() { d.MIG = yes(mode == nvml.DEVICE_MIG_ENABLE) })
	var virtual nvml.GpuVirtualizationMode
	fact("nvmlDeviceGetVirtualizationMode", func() nvml.Return { virtual, code = h.GetVirtualizationMode(); return code },
		func() { d.VGPU = yes(virtual == nvml.GPU_VIRTUALIZATION_MODE_VGPU) })

	var version string
	fact("nvmlDeviceGetVbiosVersion", func() nvml.Return { version, code = h.GetVbiosVersion(); return code },
		func() { d.VBIOS = strings.Clone(version) })

	var n int
	fact("nvmlDeviceGetMaxPcieLinkGeneration", func() nvml.Return { n, code = h.GetMaxPcieLinkGeneration(); return code }, func() { d.PCIeGen = n })
	fact("nvmlDeviceGetCurrPcieLinkWidth", func() nvml.Return { n, code = h.GetCurrPcieLinkWidth(); return code }, func() { d.PCIeWidth = n })
	fact("nvmlDeviceGetMaxPcieLinkWidth", func() nvml.Return { n, code = h.GetMaxPcieLinkWidth(); return code }, func() { d.MaxPCIeWidth = n })

	var milliwatts uint32
	fact("nvmlDeviceGetPowerManagementDefaultLimit", func() nvml.Return { milliwatts, code = h.GetPowerManagementDefaultLimit(); return code },
		func() { d.DefaultPowerLimitW = float64(milliwatts) / 1e3 })
	clocks(d, h, fact)
}

// clocks says whether a setting holds the clocks. NVML tells of application clocks, and that a limit of a setting is in
// force at this moment; for the clocks of nvidia-smi -lgc it has no question of their own.
func clocks(d *lab.Device, h nvml.Device, fact func(symbol string, read func() nvml.Return, keep func())) {
	var mhz, usual uint32
	var code nvml.Return
	fact("nvmlDeviceGetMaxClockInfo", func() nvml.Return { mhz, code = h.GetMaxClockInfo(nvml.CLOCK_SM); return code },
		func() { d.MaxSMClockMHz = float64(mhz) })
	fact("nvmlDeviceGetApplicationsClock", func() nvml.Return { mhz, code = h.GetApplicationsClock(nvml.CLOCK_SM); return code },
		func() { d.AppSMClockMHz = float64(mhz) })
	fact("nvmlDeviceGetDefaultApplicationsClock", func() nvml.Return { usual, code = h.GetDefaultApplicationsClock(nvml.CLOCK_SM); return code },
		func() { d.ClocksLocked = d.AppSMClockMHz > 0 && d.AppSMClockMHz < float64(usual) })
	var reasons uint64
	fact("nvmlDeviceGetCurrentClocksEventReasons", func() nvml.Return { reasons, code = h.GetCurrentClocksEventReasons(); return code },
		func() {
			d.ClocksLocked = d.ClocksLocked || reasons&nvml.ClocksEventReasonApplicationsClocksSetting != 0
		})
}
