package report

import (
	"fmt"
	"strings"

	"lab/internal/correlate"
	"lab/internal/lab"
)

// checked gives what shows that the arms were measured alike: how the client, the prefix cache and the limits of the GPU
// did in each.
func checked(v lab.Verdict, hardware []correlate.Difference) string {
	var parts []string
	add := func(name, a, b string) { parts = append(parts, fmt.Sprintf("%s %s in A, %s in B", name, a, b)) }
	for _, c := range []struct{ metric, name string }{{"prefix_hit_share", "prefix cache hits"}, {"lag.p99", "client lag p99"}} {
		for _, r := range v.Rows {
			if r.Metric == c.metric && r.Phase == v.Plan.Phase {
				add(c.name, value(r.A, r.Unit), value(r.B, r.Unit))
			}
		}
	}
	for _, d := range hardware {
		if d.Value == "throttled" {
			add("clocks held down", share(d.A)+" of the time", share(d.B))
		}
	}
	return strings.Join(parts, "; ")
}

// scoped says for which box and servers the answer holds.
func scoped(s *lab.Scope) string {
	servers := s.A
	if s.B != s.A {
		servers = s.A + " in A, " + s.B + " in B"
	}
	parts := []string{servers}
	for _, part := range []string{prefixed("model ", s.Model), prefixed("on ", s.Box), strings.Join(s.GPUs, ", ")} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if s.Locked {
		parts = append(parts, "clocks held down by a setting")
	}
	return strings.Join(parts, ", ")
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
