package matrices

import (
	"fmt"
	"slices"
	"strings"

	"lab/internal/lab"
)

// unknownKey says what an unknown key at a path may have meant, and the path of that key ("" where there is no guess):
// a misspelt key of the same mapping, a vllm flag that has a key, or a key of another mapping. kind is that of the data
// set, where the mapping is one.
func unknownKey(where, name, kind string, known []string) (text, meant string) {
	text = fmt.Sprintf("unknown key %q", name)
	prefix := ""
	if where != "" {
		text, prefix = text+" in "+where, where+"."
	}
	if where == "server" {
		if named, ok := lab.NamedFlags[strings.ReplaceAll(name, "_", "-")]; ok {
			return text + fmt.Sprintf(" (did you mean %q?)", named), prefix + named
		}
	}
	if near := nearest(strings.ReplaceAll(name, "-", "_"), known); near != "" {
		return text + fmt.Sprintf(" (did you mean %q?)", near), prefix + near
	}
	var homes []string
	for path := range keys {
		if home, ok := strings.CutSuffix(path, "."+name); ok {
			homes = append(homes, home)
		}
	}
	slices.Sort(homes)
	switch {
	case len(homes) > 0:
		return text + " (it belongs under " + strings.Join(homes, " or ") + ")", homes[0] + "." + name
	case kind != "":
		return text + fittingKeys(kind), ""
	case where == "server":
		return text + " (a flag of vllm without a key of its own goes under args)", ""
	case len(known) <= 11:
		return text + " (there are " + strings.Join(known, ", ") + ")", ""
	}
	return text + " (`lab init` writes a file with every key)", ""
}

// nearest is the known word that a misspelt one most likely means, or "".
func nearest(word string, known []string) string {
	if len(word) > 64 { // no slip of the fingers
		return ""
	}
	best, distance := "", 1+max(2, len(word)/3)
	for _, k := range known {
		if d := lab.Edits(strings.ToLower(word), k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}
