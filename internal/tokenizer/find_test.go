package tokenizer

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheTokenizerOfALocalFolderOrOfTheCacheIsFound(t *testing.T) {
	root := t.TempDir()
	now := time.Now()
	put := func(age time.Duration, name string) string {
		t.Helper()
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	local := put(0, "local")
	snapshots := "models--org--name/snapshots/"
	put(3*time.Hour, "home/hub/"+snapshots+"zzz")
	newest := put(1*time.Hour, "home/hub/"+snapshots+"aaa")
	if err := os.MkdirAll(filepath.Join(root, "home/hub", snapshots, "empty"), 0o700); err != nil { // newer, without a tokenizer
		t.Fatal(err)
	}
	hub := put(0, "hub/"+snapshots+"only")
	user := put(0, "user/.cache/huggingface/hub/"+snapshots+"only")
	xdg := put(0, "xdg/huggingface/hub/"+snapshots+"only")

	for name, c := range map[string]struct {
		model string
		env   map[string]string
		want  string
	}{
		"a local folder":                {local, nil, local},
		"a local folder without one":    {root, nil, ""},
		"the newest snapshot":           {"org/name", map[string]string{"HF_HOME": "home", "HOME": "user"}, newest},
		"HF_HUB_CACHE goes first":       {"org/name", map[string]string{"HF_HUB_CACHE": "hub", "HF_HOME": "home"}, hub},
		"XDG_CACHE_HOME before ~/cache": {"org/name", map[string]string{"XDG_CACHE_HOME": "xdg", "HOME": "user"}, xdg},
		"the user's cache":              {"org/name", map[string]string{"HOME": "user"}, user},
		"another model":                 {"org/other", map[string]string{"HOME": "user"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(key string) string {
				if c.env[key] == "" {
					return ""
				}
				return filepath.Join(root, c.env[key])
			}
			if dir, ok := Find(c.model, getenv); dir != c.want || ok != (c.want != "") {
				t.Errorf("found %q, %t, want %q", dir, ok, c.want)
			}
		})
	}
}

func TestTheSnapshotThatMainNamesGoesBeforeTheNewest(t *testing.T) {
	root := t.TempDir()
	model := filepath.Join(root, "models--org--name")
	for _, name := range []string{"old", "new"} {
		dir := filepath.Join(model, "snapshots", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(model, "snapshots", "old"), past, past); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(model, "refs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "refs", "main"), []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, ok := Find("org/name", func(key string) string { return map[string]string{"HF_HUB_CACHE": root}[key] })
	if !ok || filepath.Base(dir) != "old" {
		t.Errorf("found %q, %t", dir, ok)
	}
}
