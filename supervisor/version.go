package supervisor

import (
	"regexp"
	"strconv"
	"strings"
)

var releasePattern = regexp.MustCompile(`^v?(\d+)\.(\d+)(?:\.(\d+))?`)

// release is the comparable part of a version; local parts (+cpu) and post-releases do not count.
type release [3]int

// parseRelease reads "0.32.0+cpu", "0.8.5.post2" or "0.18.0rc0". A source build without tags calls itself 0.1.dev…,
// which says nothing about its age.
func parseRelease(text string) (release, bool) {
	m := releasePattern.FindStringSubmatch(text)
	if m == nil || strings.HasPrefix(text, "0.1.dev") || strings.HasPrefix(text, "0.0.") {
		return release{}, false
	}
	var r release
	for i, part := range m[1:] {
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return release{}, false
		}
		r[i] = n
	}
	return r, true
}

// atLeast says whether a vllm version is 0.minor.patch or newer. An unknown version counts as the newest.
func atLeast(version string, minor, patch int) bool {
	r, ok := parseRelease(version)
	if !ok {
		return true
	}
	want := release{0, minor, patch}
	for i := range r {
		if r[i] != want[i] {
			return r[i] > want[i]
		}
	}
	return true
}

// sameRelease compares what the package metadata says with what GET /version says: 0.12.0+cpu and 0.12.0.post2 are
// the same program. Versions that cannot be read are not held against anybody.
func sameRelease(a, b string) bool {
	ra, oka := parseRelease(a)
	rb, okb := parseRelease(b)
	return !oka || !okb || ra == rb
}
