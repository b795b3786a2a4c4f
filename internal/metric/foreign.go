package metric

import (
	"slices"
	"strings"

	"lab/internal/lab"
)

// foreign says who else used a GPU: by the samples how many at one moment, by name those that the driver named while they
// were there.
func (c *checker) foreign(most float64) {
	var names []string
	for _, use := range c.run.Server.GPUs {
		for _, p := range use.Foreign {
			names = append(names, p.String())
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if most = max(most, float64(len(names))); most == 0 {
		return
	}
	who := ""
	if len(names) > 0 {
		who = ": " + strings.Join(names, ", ")
	}
	c.add(lab.Invalid, lab.FoundForeign, "%.0f process(es) that are not the server's used a GPU during the run%s", most, who)
}
