package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
)

// Diff lists the values in which two experiments differ, by the paths that the YAML file uses, names left out.
func Diff(a, b Experiment) []Difference {
	a.Name, b.Name = "", ""
	return DiffValues(flatten(a), flatten(b))
}

// DiffValues lists the keys whose values differ, sorted; a key that one side lacks is empty there.
func DiffValues(a, b map[string]string) []Difference {
	paths := slices.Collect(maps.Keys(a))
	for path := range b {
		if _, both := a[path]; !both {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	var different []Difference
	for _, path := range paths {
		if a[path] != b[path] {
			different = append(different, Difference{Path: path, A: a[path], B: b[path]})
		}
	}
	return different
}

// flatten writes every leaf of an experiment as text under its path.
func flatten(e Experiment) map[string]string {
	text, err := json.Marshal(e)
	if err != nil {
		panic("flatten experiment: " + err.Error()) // see Key
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		panic("flatten experiment: " + err.Error())
	}
	leaves := map[string]string{}
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				if path != "" {
					key = path + "." + key
				}
				walk(key, child)
			}
		case []any:
			for i, child := range node {
				walk(fmt.Sprintf("%s[%d]", path, i), child)
			}
		case string:
			leaves[path] = node
		default:
			leaf, _ := json.Marshal(node)
			leaves[path] = string(leaf)
		}
	}
	walk("", tree)
	return leaves
}
