package lab

import (
	"math/bits"
	"time"
)

// Stamps says where the moments of a request's events come from, and how late the client was to read them.
type Stamps struct {
	Kernel  int `json:"kernel"`            // events with the moment at which the kernel took them in
	Reading int `json:"reading,omitempty"` // events without a usable one: their moment is when the client read them
	// Shared are those of the first kind that came in one read with a later event. The kernel's stamp is that of the last
	// segment in a read, so they may have come earlier than it says.
	Shared int  `json:"shared,omitempty"`
	Lag    Lags `json:"lag"` // of the events with a kernel stamp: when the client had read it - when the kernel had it
}

// Lags counts delays by size, four classes to an octave from a microsecond on, so that those of many requests add up to one
// distribution. The last class has no upper bound. The longest and the sum are kept to the nanosecond.
type Lags struct {
	Counts [LagClasses]uint32 `json:"counts"`
	Sum    time.Duration      `json:"sum"`
	Max    time.Duration      `json:"max"`
}

// LagClasses is how many classes there are: they reach to some 8 s.
const LagClasses = 1 + 4*23

// Add counts one delay.
func (l *Lags) Add(d time.Duration) {
	l.Counts[lagClass(d)]++
	l.Sum += d
	l.Max = max(l.Max, d)
}

// Merge adds the delays of another.
func (l *Lags) Merge(other Lags) {
	for i, n := range other.Counts {
		l.Counts[i] += n
	}
	l.Sum += other.Sum
	l.Max = max(l.Max, other.Max)
}

// N is how many were counted.
func (l *Lags) N() int {
	n := 0
	for _, c := range l.Counts {
		n += int(c)
	}
	return n
}

// Mean is their arithmetic mean.
func (l *Lags) Mean() (time.Duration, bool) {
	n := l.N()
	if n == 0 {
		return 0, false
	}
	return l.Sum / time.Duration(n), true
}

// Quantile is the delay at rank q*(n-1), taken to lie evenly within its class: off by a quarter of itself at most.
func (l *Lags) Quantile(q float64) (time.Duration, bool) {
	n := l.N()
	if n == 0 {
		return 0, false
	}
	rank, below := q*float64(n-1), 0.0
	for i, count := range l.Counts {
		if c := float64(count); c > 0 && rank < below+c {
			low, high := lagBound(i), min(lagBound(i+1), l.Max)
			if i == LagClasses-1 {
				high = l.Max
			}
			return low + time.Duration((rank-below+0.5)/c*float64(high-low)), true
		}
		below += float64(count)
	}
	return l.Max, true
}

func lagClass(d time.Duration) int {
	us := uint64(max(d, 0)) / 1000
	if us == 0 {
		return 0
	}
	octave := bits.Len64(us) - 1
	quarter := (uint64(d) * 4 / 1000 >> octave) & 3
	return min(1+4*octave+int(quarter), LagClasses-1)
}

// lagBound is the lower bound of a class.
func lagBound(class int) time.Duration {
	if class == 0 {
		return 0
	}
	octave, quarter := (class-1)/4, (class-1)%4
	return time.Duration(4+quarter) * time.Microsecond << octave / 4
}
