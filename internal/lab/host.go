package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// Host is a fingerprint of the machine a run was made on. What could not be read is empty, 0 or nil.
type Host struct {
	Name   string   `json:"name"`
	OS     string   `json:"os"`
	Kernel string   `json:"kernel"`
	CPU    string   `json:"cpu"`
	Cores  int      `json:"cores"`
	Memory Bytes    `json:"memory"`
	GPUs   []Device `json:"gpus,omitempty"`
	Driver string   `json:"driver,omitempty"`
	CUDA   string   `json:"cuda,omitempty"` // the newest that the driver serves
	BootID string   `json:"boot_id,omitempty"`

	Governor       string  `json:"governor,omitempty"` // of CPU frequency; several, separated by commas, where the cores differ
	Turbo          *bool   `json:"turbo,omitempty"`
	ThreadsPerCore int     `json:"threads_per_core,omitempty"`
	NUMANodes      int     `json:"numa_nodes,omitempty"`
	ClockSource    string  `json:"clock_source,omitempty"`
	HugePages      string  `json:"huge_pages,omitempty"` // transparent ones: "always", "madvise" or "never"
	Virtual        string  `json:"virtual,omitempty"`    // the hypervisor or container this is a guest of
	CPUQuota       float64 `json:"cpu_quota,omitempty"`  // cores that the control group may use; 0: no limit
	MemoryLimit    Bytes   `json:"memory_limit,omitempty"`
}

// Device is one GPU.
type Device struct {
	Index       int     `json:"index"`
	UUID        string  `json:"uuid"`
	Name        string  `json:"name"`
	Memory      Bytes   `json:"memory"`
	PowerLimitW float64 `json:"power_limit_w,omitempty"`

	DefaultPowerLimitW float64 `json:"default_power_limit_w,omitempty"`
	Persistence        *bool   `json:"persistence,omitempty"`      // the driver stays loaded without a client
	MaxSMClockMHz      float64 `json:"max_sm_clock_mhz,omitempty"` // that the GPU can run at
	AppSMClockMHz      float64 `json:"app_sm_clock_mhz,omitempty"` // application clock that is set
	ClocksLocked       bool    `json:"clocks_locked,omitempty"`    // the driver says that a setting holds the clocks down; it has no answer that none does
	MIG                *bool   `json:"mig,omitempty"`
	VGPU               *bool   `json:"vgpu,omitempty"` // a share of a GPU that the hypervisor gives
	ECC                *bool   `json:"ecc,omitempty"`
	VBIOS              string  `json:"vbios,omitempty"`
	PCIeGen            int     `json:"pcie_gen,omitempty"` // that GPU and board can do; an idle GPU runs a slower one
	PCIeWidth          int     `json:"pcie_width,omitempty"`
	MaxPCIeWidth       int     `json:"max_pcie_width,omitempty"`
}

// Fingerprint lists what must be alike in runs that are set beside each other, by name. What was not read is not in it,
// nor what moves without meaning anything, such as the size of the memory by some pages.
func (h Host) Fingerprint() map[string]string {
	facts := map[string]string{}
	text := func(name, value string) {
		if value != "" {
			facts[name] = value
		}
	}
	number := func(name string, v float64) {
		if v != 0 {
			facts[name] = strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	yes := func(name string, v *bool) {
		if v != nil {
			facts[name] = map[bool]string{true: "on", false: "off"}[*v]
		}
	}
	text("host", h.Name)
	text("os", h.OS)
	text("kernel", h.Kernel)
	text("cpu", h.CPU)
	number("cores", float64(h.Cores))
	text("driver", h.Driver)
	text("boot", h.BootID)
	text("governor", h.Governor)
	yes("turbo", h.Turbo)
	number("threads per core", float64(h.ThreadsPerCore))
	number("numa nodes", float64(h.NUMANodes))
	text("clock source", h.ClockSource)
	text("huge pages", h.HugePages)
	text("virtual", h.Virtual)
	if h.Name != "" {
		facts["cpu quota"], facts["memory limit"] = "none", "none"
	}
	number("cpu quota", h.CPUQuota)
	number("memory limit", float64(h.MemoryLimit))
	if h.Name != "" { // a run that lab made knows how many there are
		facts["gpus"] = strconv.Itoa(len(h.GPUs))
	}
	for _, d := range h.GPUs {
		gpu := fmt.Sprintf("gpu%d ", d.Index)
		text(gpu+"name", d.Name)
		text(gpu+"uuid", d.UUID)
		number(gpu+"power limit", d.PowerLimitW)
		yes(gpu+"persistence", d.Persistence)
		facts[gpu+"clocks"] = "not locked"
		if d.ClocksLocked {
			facts[gpu+"clocks"] = strings.TrimSpace("locked " + clockText(d.AppSMClockMHz))
		}
		yes(gpu+"mig", d.MIG)
		yes(gpu+"ecc", d.ECC)
		text(gpu+"vbios", d.VBIOS)
		number(gpu+"pcie width", float64(d.PCIeWidth))
	}
	return facts
}

func clockText(mhz float64) string {
	if mhz == 0 {
		return ""
	}
	return fmt.Sprintf("at %.0f MHz", mhz)
}

// How the server's share of a GPU's memory was told from that of others, the surest first.
const (
	ByPID   = "pid"      // the driver names processes that are the server's
	SoleNew = "sole-new" // one process came since the start, under a number that is not known here
	ByDelta = "delta"    // what is used beyond the level before the start
)

// GPUUse is the memory of one GPU around a run. A level that was not read is nil.
type GPUUse struct {
	UUID    string       `json:"uuid"`
	Before  *Bytes       `json:"before,omitempty"`  // before the server was started
	Loaded  *Bytes       `json:"loaded,omitempty"`  // when the load had ended and the server was still up
	Stopped *Bytes       `json:"stopped,omitempty"` // after it was stopped
	Server  *Bytes       `json:"server,omitempty"`  // of the level when loaded, the server's
	Method  string       `json:"method,omitempty"`  // how Server is known
	Foreign []GPUProcess `json:"foreign,omitempty"` // who else used it while the server was up
}

// GPUProcess is a process that uses a GPU.
type GPUProcess struct {
	PID    int    `json:"pid"`              // as the driver numbers it
	Memory Bytes  `json:"memory,omitempty"` // 0: the driver does not say
	Name   string `json:"name,omitempty"`   // empty: nobody here has that number
	User   string `json:"user,omitempty"`
}

// String names the process as a person looks for it.
func (p GPUProcess) String() string {
	text := fmt.Sprintf("pid %d", p.PID)
	if p.Name != "" {
		text += " " + p.Name
	}
	var more []string
	if p.User != "" {
		more = append(more, "user "+p.User)
	}
	if p.Memory > 0 {
		more = append(more, fmt.Sprintf("%.1f GiB", p.Memory.GiB()))
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}
