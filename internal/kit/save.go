package kit

import (
	"fmt"
	"os"
	"path/filepath"
)

// AppendResult saves a result. It replaces the file as a whole, or with appendTo adds a line to what is there; folders
// that are missing are made.
func AppendResult(name string, json []byte, appendTo bool) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	write := replace
	if appendTo {
		write = appendLine
	}
	if err := write(name, json); err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	return nil
}

// appendLine adds the line in one write, so that two that append at once do not mix.
func appendLine(name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	there, err := f.Stat()
	if err != nil {
		return err
	}
	if there.Size() > 0 {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := f.Write(line); err != nil {
		return err
	}
	return f.Close()
}

// replace writes a new file beside the old one and renames it over it. A link keeps pointing where it did, and what is
// no plain file (/dev/stdout) is written to.
func replace(name string, text []byte) error {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if there, err := os.Stat(name); err == nil && !there.Mode().IsRegular() {
		return os.WriteFile(name, text, 0o666)
	}
	fresh := fmt.Sprintf("%s.%d.new", name, os.Getpid())
	if err := os.WriteFile(fresh, text, 0o666); err != nil {
		return err
	}
	if err := os.Rename(fresh, name); err != nil {
		os.Remove(fresh)
		return err
	}
	return nil
}
