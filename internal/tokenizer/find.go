package tokenizer

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find gives the folder that holds a model's tokenizer.json: a local folder, else a snapshot in the Hugging Face cache.
func Find(model string, getenv func(string) string) (dir string, ok bool) {
	for _, dir := range Folders(model, getenv) {
		if info, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err == nil && info.Mode().IsRegular() {
			return dir, true
		}
	}
	return "", false
}

// Folders lists the folders that may hold files of a model, the best first: the model itself where it is a folder; else
// its snapshots in the Hugging Face cache, first the one that the name main stands for, then the newest.
func Folders(model string, getenv func(string) string) []string {
	if info, err := os.Stat(model); err == nil && info.IsDir() {
		return []string{model}
	}
	root := filepath.Join(hubCache(getenv), "models--"+strings.ReplaceAll(model, "/", "--"))
	entries, err := os.ReadDir(filepath.Join(root, "snapshots"))
	if err != nil {
		return nil
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(changed(b), changed(a)) })
	main, _ := os.ReadFile(filepath.Join(root, "refs", "main"))
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int {
		return cmp.Compare(rank(a, string(main)), rank(b, string(main)))
	})
	var dirs []string
	for _, e := range entries {
		dirs = append(dirs, filepath.Join(root, "snapshots", e.Name()))
	}
	return dirs
}

func changed(e os.DirEntry) int64 {
	info, err := e.Info()
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

func rank(e os.DirEntry, main string) int {
	if e.Name() == strings.TrimSpace(main) {
		return 0
	}
	return 1
}

func hubCache(getenv func(string) string) string {
	if dir := getenv("HF_HUB_CACHE"); dir != "" {
		return dir
	}
	if dir := getenv("HF_HOME"); dir != "" {
		return filepath.Join(dir, "hub")
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "huggingface", "hub")
	}
	return filepath.Join(getenv("HOME"), ".cache", "huggingface", "hub")
}
