package gpu

import (
	"math"
	"sort"
	"strconv"
)

// What a trace says at a moment. The fake driver library of the tests computes the same.

// number is a setting; check has seen that it is one.
func (g *traceGPU) number(key string) float64 {
	v, _ := strconv.ParseFloat(g.set[key], 64)
	return v
}

// at is the row that holds at a moment.
func (g *traceGPU) at(ms float64) traceRow {
	i := sort.Search(len(g.rows), func(i int) bool { return g.rows[i].ms > ms })
	return g.rows[max(0, i-1)]
}

// integral of what rows hold, over time in ms.
func (g *traceGPU) integral(from, to float64, value func(traceRow) float64) float64 {
	sum := 0.0
	for i, r := range g.rows {
		a, b := max(from, r.ms), to
		if i == 0 {
			a = from
		}
		if i+1 < len(g.rows) {
			b = min(to, g.rows[i+1].ms)
		}
		if b > a {
			sum += value(r) * (b - a)
		}
	}
	return sum
}

// since is where the counters began: at the last reset, or at 0.
func (g *traceGPU) since(ms float64) (from float64, reset bool) {
	for _, at := range g.resets {
		if at <= ms {
			from, reset = at, true
		}
	}
	return from, reset
}

// counter is the integral since the counters began.
func (g *traceGPU) counter(ms float64, value func(traceRow) float64) float64 {
	from, _ := g.since(ms)
	return math.Floor(g.integral(from, ms, value))
}

// millijoules are what the energy counter shows; a driver has counted before the trace began.
func (g *traceGPU) millijoules(ms float64) float64 {
	q := grid(ms, g.number("energy_period_ms"))
	sum := g.counter(q, func(r traceRow) float64 { return r.v[colPower] / 1e3 })
	if _, reset := g.since(q); reset {
		return sum
	}
	return 1e9 + sum
}

// average is the power over the time that the driver averages.
func (g *traceGPU) average(ms float64) float64 {
	q := grid(ms, g.number("power_period_ms"))
	from := max(0, q-g.number("power_avg_ms"))
	if q <= from {
		return g.at(q).v[colPower]
	}
	return g.integral(from, q, func(r traceRow) float64 { return r.v[colPower] }) / (q - from)
}

// grid is the last moment at which a value with that period was refreshed.
func grid(ms, period float64) float64 { return period * math.Floor(ms/period) }

// throttleBits are the reasons whose time each field counts.
func throttleBits(id int) uint64 {
	return map[int]uint64{fieldThrottlePower: 0x4, fieldThrottleThermal: 0x20, fieldThrottleHWThermal: 0x40, fieldThrottleBrake: 0x80}[id]
}

// fieldAt is a field's value in the driver's unit.
func (g *traceGPU) fieldAt(id, scope int, ms float64) (float64, code) {
	said := g.fields[id]
	if said != nil && said.none || scope != 0 && (said == nil || !said.module) || scope == 0 && said != nil && said.module {
		return 0, notSupported
	}
	if said != nil && len(said.steps) > 0 {
		i := sort.Search(len(said.steps), func(i int) bool { return said.steps[i].ms > ms })
		return said.steps[max(0, i-1)].value, success
	}
	switch id {
	case fieldPower:
		return math.Floor(g.at(grid(ms, g.number("power_period_ms"))).v[colPower]), success
	case fieldPowerAverage:
		return math.Floor(g.average(ms) + 0.5), success
	case fieldEnergy:
		return g.millijoules(ms), success
	case fieldMemTemp:
		return math.Floor(g.at(ms).v[colTemp]) + 8, success
	case fieldPCIeTx, fieldPCIeRx:
		column := colTx + id - fieldPCIeTx
		v := g.counter(ms, func(r traceRow) float64 { return r.v[column] }) // kB/s over ms are bytes
		if g.number("pcie_wrap") != 0 {
			v = math.Mod(v, 1<<32)
		}
		return v, success
	case fieldThrottlePower, fieldThrottleThermal, fieldThrottleHWThermal, fieldThrottleBrake:
		bit := throttleBits(id)
		return g.counter(ms, func(r traceRow) float64 {
			if uint64(r.v[colReasons])&bit != 0 {
				return 1e6 // ns in a ms
			}
			return 0
		}), success
	}
	return 0, notSupported
}

// processesAt are those that use the GPU. A process without a number stands for one that the fake driver is told of.
func (g *traceGPU) processesAt(ms float64) []GPUProcess {
	var list []GPUProcess
	for _, p := range g.procs {
		if ms >= p.from && ms < p.to && p.pid != 0 {
			list = append(list, GPUProcess{PID: p.pid, Memory: p.bytes, owner: p.owner})
		}
	}
	return list
}

// eccAt are the totals of corrected and uncorrected errors.
func (g *traceGPU) eccAt(ms float64) traceECC {
	var now traceECC
	for _, e := range g.ecc {
		if e.ms <= ms {
			now = e
		}
	}
	return now
}
