package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// Vocab reads the number of tokens a model knows from config.json: of a local model folder, else of the newest snapshot
// in the Hugging Face cache. ok is false where neither has it.
func Vocab(model string, getenv func(string) string) (size int, ok bool) {
	if size, ok := vocabOf(filepath.Join(model, "config.json")); ok {
		return size, true
	}
	folder := "models--" + strings.ReplaceAll(model, "/", "--")
	configs, _ := filepath.Glob(filepath.Join(hubCache(getenv), folder, "snapshots", "*", "config.json"))
	for i := len(configs) - 1; i >= 0; i-- {
		if size, ok := vocabOf(configs[i]); ok {
			return size, true
		}
	}
	return 0, false
}

func hubCache(getenv func(string) string) string {
	if dir := getenv("HF_HUB_CACHE"); dir != "" {
		return dir
	}
	if dir := getenv("HF_HOME"); dir != "" {
		return filepath.Join(dir, "hub")
	}
	return filepath.Join(getenv("HOME"), ".cache", "huggingface", "hub")
}

func vocabOf(name string) (int, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	var config struct {
		Size int `json:"vocab_size"`
		Text struct {
			Size int `json:"vocab_size"`
		} `json:"text_config"` // of models that see as well
	}
	if json.Unmarshal(text, &config) != nil {
		return 0, false
	}
	size := max(config.Size, config.Text.Size)
	return size, size > 0
}
