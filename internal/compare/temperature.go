package compare

import (
	"fmt"
	"math"
	"strings"

	"lab/internal/lab"
)

// maxStartApart is how far, in degrees Celsius, the start temperatures of a pair's runs may lie apart: a warmer GPU holds
// lower clocks.
const maxStartApart = 5

// startTemperatures says which pairs have runs that started on GPUs of unlike temperature.
func startTemperatures(blocks []block) (lab.Finding, bool) {
	var pairs []string
	for _, b := range blocks {
		one, other := b[0].Run, b[1].Run
		if one.StartTemp == nil || other.StartTemp == nil || math.Abs(*one.StartTemp-*other.StartTemp) <= maxStartApart {
			continue
		}
		pairs = append(pairs, fmt.Sprintf("pair %d: %.4g °C in run %s (%s), %.4g °C in run %s (%s)",
			one.Block, *one.StartTemp, one.ID, one.Arm, *other.StartTemp, other.ID, other.Arm))
	}
	if len(pairs) == 0 {
		return lab.Finding{}, false
	}
	return lab.Finding{Code: "start-temperature", Level: lab.Warning, Detail: fmt.Sprintf(
		"%d of %d pairs have runs whose GPU started more than %d °C apart: %s", len(pairs), len(blocks), maxStartApart, strings.Join(pairs, "; "))}, true
}
