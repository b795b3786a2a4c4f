package gpu

import (
	"context"
	"strconv"
	"time"

	"lab/internal/lab"
)

// Source reads GPUs. Its methods name only values, so that anything can stand in for a driver.
type Source interface {
	// Devices lists the GPUs.
	Devices() ([]lab.Device, error)
	// Read takes the readings of a group from every GPU. at gives the moment on the run's clock.
	Read(group Group, at func() time.Duration) Reading
	// Listen hands on what the driver reports by itself until ctx ends.
	Listen(ctx context.Context, at func() time.Duration, event func(lab.Event))
	// Renews says whether values change at a rate of the GPU's own, which is worth measuring.
	Renews() bool
	Close() error
}

// Reading is what one reading of a group gave.
type Reading struct {
	// Samples holds a sample with an error for each GPU whose reading failed; a value that the GPU does not have is left
	// out. Utilisation that the driver kept comes as several samples, each at the driver's own time.
	Samples []lab.Sample
	Events  []lab.Event
	Failed  map[int]int // calls that failed, by NVML's code
	Dropped int         // values that cannot be
	Kept    bool        // the samples are all that the driver kept: one for each time that it renewed the value
}

// Group is a set of values that are read together, at one rate.
type Group int

// The groups; their periods are in groupPeriods.
const (
	Fast Group = iota // power and energy; at every fourth reading throttle times, PCIe, mean power, memory temperature
	Util              // utilisation
	Mid               // memory, clocks, temperature, throttle reasons
	GPM               // what the multiprocessors do, on Hopper and later
	Slow              // processes, power limit, performance state, ECC
)

func (g Group) String() string { return [...]string{"fast", "util", "mid", "gpm", "slow"}[g] }

// groupPeriods are how often each group is read. Drivers refresh utilisation five or six times a second, GPM needs more
// than 110 ms between two readings, and asking for the processes costs milliseconds.
func groupPeriods(fast time.Duration) map[Group]time.Duration {
	return map[Group]time.Duration{
		Fast: fast, Util: 100 * time.Millisecond, Mid: 200 * time.Millisecond, GPM: 250 * time.Millisecond, Slow: time.Second,
	}
}

// deviceName is what samples of a GPU are called.
func deviceName(index int) string { return "gpu" + strconv.Itoa(index) }
