package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// system is the name and version of the operating system, as it writes them down itself. gopsutil would start a program
// that tells them, beside every run.
func (s sysfs) system() string {
	for _, place := range []string{"etc/os-release", "usr/lib/os-release"} {
		text, err := os.ReadFile(filepath.Join(string(s), place))
		if err != nil {
			continue
		}
		name, version := parseRelease(string(text))
		if name == "debian" { // which keeps its minor version elsewhere, and a word there while a release is made
			minor, _ := os.ReadFile(filepath.Join(string(s), "etc/debian_version"))
			if v := strings.TrimSpace(string(minor)); strings.HasPrefix(v, version+".") || version == "" {
				version = v
			}
		}
		return strings.TrimSpace(name + " " + version)
	}
	return ""
}

// parseRelease reads os-release(5): NAME=value lines as a shell would.
func parseRelease(text string) (name, version string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		} else {
			value = strings.Trim(value, `"'`)
		}
		switch key {
		case "ID":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return name, version
}
