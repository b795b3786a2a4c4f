package gpu

import (
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// wanted says whether a GPU is among those that a run may use: by index, UUID or the beginning of a UUID. Nil means all.
func wanted(d lab.Device, list []string) bool {
	if list == nil {
		return true
	}
	return slices.ContainsFunc(list, func(name string) bool {
		return name == strconv.Itoa(d.Index) || strings.HasPrefix(name, "GPU-") && strings.HasPrefix(d.UUID, name)
	})
}

// visible is the list that CUDA_VISIBLE_DEVICES holds, where the run itself names none. Set and empty, it hides all; as
// CUDA does it, the first entry that names no GPU hides those behind it.
func visible(list []string, lookup func(string) (string, bool)) []string {
	if len(list) > 0 {
		return list
	}
	text, set := lookup("CUDA_VISIBLE_DEVICES")
	if !set {
		return nil
	}
	list = []string{}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		index, err := strconv.Atoi(name)
		if (err != nil || index < 0) && !strings.HasPrefix(name, "GPU-") && !isPart(name) {
			break
		}
		list = append(list, name)
	}
	return list
}

// isPart says whether a name is that of a part of a GPU that is split (MIG).
func isPart(name string) bool { return strings.HasPrefix(name, "MIG-") }

// wholes replaces the parts in a list by the UUIDs of the GPUs that they are parts of, and says what a part cannot give.
// parent asks the driver; older drivers name a part MIG-GPU-UUID/instance/instance.
func wholes(list []string, parent func(part string) (uuid string, ok bool)) (whole, notes []string) {
	if list == nil {
		return nil, nil
	}
	whole = []string{}
	for _, name := range list {
		if !isPart(name) {
			whole = append(whole, name)
			continue
		}
		uuid, ok := parent(name)
		if old, _, cut := strings.Cut(strings.TrimPrefix(name, "MIG-"), "/"); !ok && cut && strings.HasPrefix(old, "GPU-") {
			uuid, ok = old, true
		}
		if !ok {
			notes = append(notes, name+": the driver knows no such part of a GPU")
			continue
		}
		whole = append(whole, uuid)
		notes = append(notes, name+" is a part of "+uuid+", which is read as a whole: power, energy, clocks, temperature, memory and processes are also those of its other parts")
	}
	return whole, notes
}
