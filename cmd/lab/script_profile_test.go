package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"lab/internal/lab"
)

// sametraces DOCUMENT wants the files in the folder of a profiled run to be those that its document tells of: the same names,
// sizes and hashes, and no other.
func sameTraces(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sametraces DOCUMENT")
	}
	var doc lab.Sealed
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	if doc.Run.Profile == nil {
		ts.Fatalf("%s tells of no profiled run", args[0])
	}
	type file struct {
		Path, SHA256 string
		Size         lab.Bytes
	}
	var told, found []file
	for _, f := range doc.Run.Profile.Files {
		told = append(told, file{f.Path, f.SHA256, f.Size})
	}
	dir := filepath.Join(ts.Getenv("LAB_DIR"), "runs", doc.Run.ID)
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		rel, err := filepath.Rel(dir, path)
		found = append(found, file{rel, hex.EncodeToString(sum[:]), lab.Bytes(len(content))})
		return err
	}))
	slices.SortFunc(found, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	if diff := cmp.Diff(found, told); diff != "" {
		ts.Fatalf("found (-) against told (+): %s", diff)
	}
}

// sameverdict DOCUMENT OTHER wants two documents of a verdict to be the same, but for the profiles beside it.
func sameVerdict(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sameverdict DOCUMENT OTHER")
	}
	var docs [2]map[string]any
	for i, name := range args {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(name)), &docs[i]))
		delete(docs[i], "profiles")
	}
	if diff := cmp.Diff(docs[0], docs[1]); diff != "" {
		ts.Fatalf("%s (-) and %s (+): %s", args[0], args[1], diff)
	}
}

// scriptCondition knows whether a file system can be mounted.
func scriptCondition(cond string) (bool, error) {
	if cond != "tmpfs" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	dir, err := os.MkdirTemp("", "lab-tmpfs-")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") != nil {
		return false, nil // only root may, and not in every container
	}
	return true, syscall.Unmount(dir, 0)
}

// smalldisk DIR SIZE makes a folder that is a file system of its own and holds no more than SIZE.
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: smalldisk DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
}
