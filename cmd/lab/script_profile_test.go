package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
