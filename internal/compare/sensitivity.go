package compare

import "lab/internal/lab"

// sensitivity tests the primary difference otherwise, and says whether the answer hangs on a single pair: without it
// the sign, or the side of the level on which p lies, would be another.
func sensitivity(s sample, f fit, alpha float64) (lab.Sensitivity, bool) {
	var out lab.Sensitivity
	if other, ok := pairedT(s.differences()); ok {
		out.Paired = finite(other.p())
	}
	if other, ok := welchT(s.of(0), s.of(1)); ok {
		out.Welch = finite(other.p())
	}
	fragile := false
	for i := range len(s.y) / 2 {
		cut := s.without(i)
		other, ok := leastSquares(cut.y, cut.arm, cut.at)
		if !ok || other.sigma < noNoise {
			continue
		}
		p := finite(other.p())
		if p == nil {
			continue
		}
		if out.LeaveOneOut == nil || *p > *out.LeaveOneOut {
			out.LeaveOneOut = p
		}
		if other.delta*f.delta < 0 || (*p < alpha) != (f.p() < alpha) {
			fragile = true
		}
	}
	return out, fragile
}
