package gpu

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

// machine writes a stand-in for /proc and /sys.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const meminfo = "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\nCached: 250 kB\nSwapTotal: 100 kB\nSwapFree: 60 kB"

func TestTheFingerprintHoldsWhatChangesAMachinesSpeed(t *testing.T) {
	const cpus = "sys/devices/system/cpu/"
	root := machine(t, map[string]string{
		"proc/meminfo": meminfo, "proc/stat": "btime 1", "proc/uptime": "5 5", "proc/cpuinfo": "processor\t: 0\nmodel name\t: A CPU",
		cpus + "cpu0/cpufreq/scaling_governor": "powersave", cpus + "cpu1/cpufreq/scaling_governor": "performance", cpus + "cpu2/cpufreq/scaling_governor": "powersave",
		cpus + "intel_pstate/no_turbo": "1", cpus + "cpu0/topology/thread_siblings_list": "0,64",
		"sys/devices/system/node/node0/x": "", "sys/devices/system/node/node1/x": "", "sys/devices/system/node/online": "0-1",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet",
		"sys/kernel/mm/transparent_hugepage/enabled":                      "always [madvise] never",
		"proc/sys/kernel/random/boot_id":                                  "b007",
		"proc/self/cgroup":                                                "0::/a/b",
		"sys/fs/cgroup/a/b/cpu.max":                                       "max 100000",
		"sys/fs/cgroup/a/cpu.max":                                         "250000 100000",
		"sys/fs/cgroup/a/b/memory.max":                                    "500000", "sys/fs/cgroup/a/memory.max": "max",
	})
	h, err := hostBelow(root)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := lab.Host{
		CPU: "A CPU", Memory: 1000 << 10, BootID: "b007", Governor: "performance,powersave", Turbo: &no, ThreadsPerCore: 2, NUMANodes: 2,
		ClockSource: "hpet", HugePages: "madvise", CPUQuota: 2.5, MemoryLimit: 500000,
	}
	if diff := cmp.Diff(want, h, cmpopts.IgnoreFields(lab.Host{}, "Name", "OS", "Kernel", "Cores", "Virtual")); diff != "" {
		t.Error(diff)
	}
}

func TestTheSystemIsNamedAsItNamesItselfWithoutStartingAProgram(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"ubuntu 24.04": {"etc/os-release": "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\nVERSION_ID=\"24.04\"", "etc/debian_version": "trixie/sid"},
		"debian 12.11": {"etc/os-release": "ID=debian\nVERSION_ID=\"12\"", "etc/debian_version": "12.11"},
		"debian 13":    {"etc/os-release": "ID=debian\nVERSION_ID='13'", "etc/debian_version": "forky/sid"},
		"rocky 9.4":    {"usr/lib/os-release": "# of a container\nVERSION_ID=\"9.4\"\nID=\"rocky\"\nID_LIKE=\"rhel\""},
		"arch":         {"etc/os-release": "ID=arch\nBUILD_ID=rolling"},
		"":             {"proc/stat": "btime 1"},
	} {
		if got := sysfs(machine(t, files)).system(); got != want {
			t.Errorf("named %q, want %q", got, want)
		}
	}
}

func TestControlGroupsOfTheFirstVersionLimitTooAndNoLimitIsNone(t *testing.T) {
	groups := "5:cpu,cpuacct:/box\n4:memory:/box\n0::/"
	for name, c := range map[string]struct {
		quota, memory string
		cores         float64
		limit         lab.Bytes
	}{
		"limited": {"150000", "1048576", 1.5, 1 << 20},
		"free":    {"-1", "", 0, 0},
		"broken":  {"x", "-7", 0, 0},
	} {
		root := sysfs(machine(t, map[string]string{
			"proc/self/cgroup": groups,
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us":  c.quota,
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/memory/box/memory.limit_in_bytes":  c.memory,
		}))
		if cores, limit := root.limits(); cores != c.cores || limit != c.limit {
			t.Errorf("%s: %g cores, %d bytes; want %g, %d", name, cores, limit, c.cores, c.limit)
		}
	}
}

func TestTheHostsSamplesHoldPressureSwapAndTheTrafficOfRealDisks(t *testing.T) {
	const some = "some avg10=1.50 avg60=0.00 avg300=0.00 total="
	files := map[string]string{
		"proc/meminfo": meminfo, "proc/loadavg": "1.25 0.5 0.25 1/100 7", "proc/stat": "cpu  10 0 10 70 10 0 0 0 0 0",
		"proc/pressure/cpu": some + "2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9", "proc/pressure/io": some + "500000",
		"proc/diskstats": "   7       0 loop0 9 0 9 9 9 0 9 9 0 9 9\n 254       0 vda 10 0 8 1 20 0 16 2 0 1500 3\n 254       1 vda1 10 0 8 1 20 0 16 2 0 1500 3\n" +
			" 259       0 nvme0n1 10 0 2 1 20 0 4 2 0 4000 3\n 253       0 dm-0 10 0 2 1 20 0 4 2 0 4000 3",
		"sys/block/vda/device/x": "", "sys/block/nvme0n1/device/x": "", "sys/block/loop0/x": "", "sys/block/dm-0/x": "",
	}
	reader := newHostReader(machine(t, files))
	at := func() time.Duration { return time.Second }
	reader.read(at)
	files["proc/stat"] = "cpu  20 0 20 130 10 0 0 20 0 0"
	reader.folder = machine(t, files)
	s := reader.read(at)
	want := map[string]float64{
		lab.HostCPU: 40, lab.HostSteal: 20, lab.HostMemUsed: 400 << 10, lab.HostSwapUsed: 40 << 10, lab.HostLoad1: 1.25,
		lab.HostCPUPressure: 2.5, lab.HostIOPressure: 0.5, // the kernel says nothing of memory
		lab.HostDiskRead: 5120, lab.HostDiskWrite: 10240, lab.HostDiskBusy: 4,
	}
	if diff := cmp.Diff(want, s.Values, cmpopts.EquateApprox(1e-9, 0)); diff != "" || s.Device != "host" || s.At != time.Second {
		t.Errorf("%+v\n%s", s, diff)
	}
	if b := Load(reader.folder); b.Load1 != 1.25 || b.Available != 600<<10 || b.SwapUsed != 40<<10 || b.CPUPressure != 0.015 || math.Abs(b.Steal-0.1) > 1e-9 {
		t.Errorf("%+v", b)
	}
}

func FuzzKernelText(f *testing.F) {
	f.Add("some avg10=0.00 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 total=0", "0-3,8-11", "always [madvise] never")
	f.Add("some total=-1 avg10=nan", "3-1", "[")
	f.Add("ID=debian\nVERSION_ID=\"12\"\n=\n'", "", "")
	f.Fuzz(func(t *testing.T, psi, list, choice string) {
		parseRelease(psi)
		if p, ok := parsePressure(psi); ok && p.waited < 0 || !(p.share >= 0 && p.share <= 1) {
			t.Errorf("%+v", p)
		}
		if n := siblings(list); n < 0 {
			t.Errorf("%d siblings", n)
		}
		chosen(choice)
	})
}

// What one second of the host and of a server's processes costs.
func BenchmarkHost(b *testing.B) {
	at := func() time.Duration { return 0 }
	host, processes := newHostReader("/"), newTree(os.Getpid())
	b.Run("machine", func(b *testing.B) {
		for b.Loop() {
			host.read(at)
		}
	})
	b.Run("processes", func(b *testing.B) {
		for b.Loop() {
			processes.read(at)
		}
	})
}
