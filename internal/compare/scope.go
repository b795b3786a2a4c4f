package compare

import (
	"fmt"
	"strings"

	"lab/internal/lab"
)

// scope says where the runs were made, from the first of each arm.
func scope(blocks []block) *lab.Scope {
	if len(blocks) == 0 {
		return nil
	}
	s := lab.Scope{Box: blocks[0][0].Run.Host.Name}
	for _, g := range blocks[0][0].Run.Host.GPUs {
		s.GPUs = append(s.GPUs, strings.TrimSpace(g.Name+" "+g.UUID))
		s.Locked = s.Locked || g.ClocksLocked
	}
	for i := range blocks[0] {
		r := &blocks[0][i].Run
		if r.Arm == "A" {
			s.A = served(r)
			continue
		}
		s.B, s.Model = served(r), r.Experiment.Server.Model
	}
	return &s
}

func served(r *lab.Run) string {
	if s := r.Experiment.Server.Simulator; s != nil {
		return fmt.Sprintf("simulated vllm %s", s.As)
	}
	return strings.TrimSpace("vllm " + r.Server.Version)
}
