package box

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"lab/internal/lab"
	"lab/loadgen"
)

// slowClock is a clock that the kernel must be asked for: one that is read in the process itself takes some 20 to 50 ns.
const slowClock = 250 * time.Nanosecond

// clocks says how good the clocks are that everything is measured with.
func clocks(h lab.Host, root string) []Check {
	available := strings.Fields(text(root, "sys/devices/system/clocksource/clocksource0/available_clocksource"))
	checks := []Check{clockSource(h.ClockSource, available, readCost()), wallClock()}
	with, of, err := loadgen.LoopbackStamps()
	if err != nil {
		return append(checks, Check{Group: onClock, State: Doubt, Text: fmt.Sprintf("kernel receive stamps could not be tried: %v", err)})
	}
	return append(checks, receiveStamps(with, of))
}

// readCost is the median over some batches of what one reading of the monotonic clock takes.
func readCost() time.Duration {
	const batches, reads = 21, 1000
	var costs []time.Duration
	for range batches {
		start := time.Now()
		for range reads {
			time.Now()
		}
		costs = append(costs, time.Since(start)/reads)
	}
	slices.Sort(costs)
	return costs[batches/2]
}

func clockSource(source string, available []string, cost time.Duration) Check {
	name := source
	if name == "" {
		name = "of a kind that the kernel does not tell"
	}
	c := Check{Group: onClock, State: Good, Text: fmt.Sprintf("clock %s, a reading takes %d ns", name, cost.Nanoseconds())}
	if cost > slowClock {
		c.State = Doubt
		c.Text += ": each is a call of the kernel, which server and client make for every token"
		c.Fix = "use a clock that is read without the kernel, such as tsc"
		if slices.Contains(available, "tsc") && source != "tsc" {
			c.Command = "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
		}
	}
	return c
}

// wallClock asks the kernel whether something keeps the time of day right.
func wallClock() Check {
	var t syscall.Timex // Modes 0: nothing is set
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return Check{}
	}
	const unsynchronised, timeError = 0x40, 5 // STA_UNSYNC and TIME_ERROR of linux/timex.h
	return wallClockKept(t.Status&unsynchronised == 0 && state != timeError)
}

func wallClockKept(kept bool) Check {
	if kept {
		return Check{Group: onClock, State: Good, Text: "the time of day is kept right by slowing and hastening the clock; latencies use the monotonic clock"}
	}
	return Check{onClock, Noted, "nothing keeps the time of day right: whoever sets it makes it jump. Latencies use the monotonic clock, but around a jump the kernel's stamps cannot be used",
		"", "sudo timedatectl set-ntp true"}
}

// receiveStamps: the kernel gives none for the first packets after they were first asked for.
func receiveStamps(with, of int) Check {
	if 2*with < of {
		return Check{Group: onClock, State: Doubt, Text: fmt.Sprintf("the kernel stamped only %d of %d messages over loopback: arrivals are then when lab read them, its own delays included", with, of),
			Fix: "measure on a kernel that supports SO_TIMESTAMPNS (a sandbox such as gVisor may not), or keep the client far from busy"}
	}
	return Check{Group: onClock, State: Good, Text: "the kernel stamps what arrives over loopback, so that a late reading is no late token"}
}
