package report

import (
	"fmt"
	"strings"

	"lab/internal/lab"
)

// gpuMemory tells the levels of a GPU's memory around a run, and the server's share of it.
func gpuMemory(u lab.GPUUse) []string {
	var around, lines []string
	for _, level := range []struct {
		amount *lab.Bytes
		when   string
	}{{u.Before, "before the start"}, {u.Stopped, "after the stop"}} {
		if level.amount != nil {
			around = append(around, fmt.Sprintf("%.1f GiB %s", level.amount.GiB(), level.when))
		}
	}
	if u.Loaded != nil {
		text := fmt.Sprintf("%.1f GiB loaded", u.Loaded.GiB())
		if u.Server != nil {
			how := map[string]string{lab.ByPID: "by pid", lab.SoleNew: "the one new process", lab.ByDelta: "by difference"}[u.Method]
			text += fmt.Sprintf(", of it %.1f GiB the server's (%s)", u.Server.GiB(), how)
		}
		lines = append(lines, "memory "+text)
	}
	if len(around) > 0 {
		lines = append(lines, "memory "+strings.Join(around, ", "))
	}
	return lines
}
