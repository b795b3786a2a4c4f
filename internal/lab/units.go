package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time as experiments write it: a number with a unit, such as 90s, 1m30s or 250ms.
type Duration time.Duration

// ParseDuration reads a number with a unit (ns, us, ms, s, m, h). A bare number is refused: its unit is unknown.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		if _, bare := strconv.ParseFloat(text, 64); bare == nil {
			return 0, fmt.Errorf("%q has no unit (write %sms or %ss)", text, text, text)
		}
		return 0, fmt.Errorf("%q is not a duration (write for example 90s, 1m30s or 250ms)", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return Duration(d), nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration with its unit.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// Bytes is an amount of memory as experiments write it: 24GiB, 512MiB, 2GB.
type Bytes uint64

var byteUnits = []struct {
	name string
	size float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseBytes reads a number with a unit: TiB GiB MiB KiB (powers of 1024), TB GB MB kB (powers of 1000) or B.
func ParseBytes(text string) (Bytes, error) {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		size := n * unit.size
		if err != nil || n < 0 || math.IsNaN(size) || size >= 1<<63 {
			break
		}
		return Bytes(math.Round(size)), nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit (write %sGiB)", text, text)
	}
	return 0, fmt.Errorf("%q is not an amount of memory (write for example 24GiB or 512MiB)", text)
}

// String writes the amount exactly, in the largest unit that divides it.
func (b Bytes) String() string {
	for _, unit := range byteUnits[:4] {
		if size := uint64(unit.size); b > 0 && uint64(b)%size == 0 {
			return fmt.Sprintf("%d%s", uint64(b)/size, unit.name)
		}
	}
	return fmt.Sprintf("%dB", uint64(b))
}

// GiB is the amount in units of 2^30 bytes.
func (b Bytes) GiB() float64 { return float64(b) / (1 << 30) }

// MarshalText writes the amount with its unit.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// Number is a non-negative number that may be infinite; JSON, which has no infinity, gets the string "inf".
type Number float64

// MarshalJSON writes a number, or "inf".
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 1) {
		return []byte(`"inf"`), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == `"inf"` {
		*n = Number(math.Inf(1))
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

func (n Number) String() string {
	if math.IsInf(float64(n), 1) {
		return "inf"
	}
	return strconv.FormatFloat(float64(n), 'g', -1, 64)
}

// Stopwatch writes a length of time as a stopwatch shows it, in whole seconds: 1:05, 1:02:03. It shows no less than 0:00.
func Stopwatch(d time.Duration) string {
	seconds := max(0, int(d.Round(time.Second).Seconds()))
	if seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}
