package matrices

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// readFile reads one experiment's text, and not much more of a file that is none.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, largest+1))
}

func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// tree reads a file's text and what it extends, merged. The chain is the files that led here.
func (r *reader) tree(name string, text []byte, chain []string) *node {
	root := r.parseTree(name, text)
	if root == nil {
		r.incomplete = true
		return nil
	}
	base := root.get("extends")
	root.drop("extends")
	switch {
	case base == nil || base.kind == null && base.text != "":
		return root
	case base.kind != scalar || base.text == "":
		r.broken(base.at, "extends", "extends: must be the name of a file")
		return root
	}
	under := r.base(relative(base.text, name), base.at, append(chain, name))
	if under == nil {
		return root
	}
	under.drop("name") // two experiments of one name could not be told apart
	return merged(under, root, true)
}

// base reads the file that another one extends.
func (r *reader) base(name string, from position, chain []string) *node {
	for _, earlier := range chain {
		if sameFile(earlier, name) {
			r.broken(from, "extends", "extends: a circle: "+strings.Join(append(chain, name), " extends "))
			return nil
		}
	}
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("not a file")
	}
	var text []byte
	if err == nil {
		text, err = readFile(name)
	}
	if err != nil {
		r.broken(from, "extends", "extends: read "+name+": "+reason(err))
		return nil
	}
	return r.tree(name, text, chain)
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// relative keeps the name of a file as short as it was written, for messages.
func relative(path, file string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "~/") {
		return resolve(path, file)
	}
	return filepath.Join(filepath.Dir(file), path)
}

// merged lays a file over the one that it extends: mappings merge deep, lists and the load replace, null takes away.
func merged(under, over *node, top bool) *node {
	out := *over
	out.keys = append([]entry(nil), under.keys...)
	for _, e := range over.keys {
		below := out.get(e.name)
		out.drop(e.name)
		switch {
		case below != nil && e.value.kind == null && e.value.text != "":
			continue
		case below != nil && below.kind == mapping && e.value.kind == mapping && !(top && e.name == "load"):
			e.value = merged(below, e.value, false)
		}
		out.keys = append(out.keys, e)
	}
	return &out
}

// resolve makes a path that a file names absolute: ~ is the home folder, relative paths start at the file.
func resolve(path, file string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
