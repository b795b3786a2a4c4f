package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"

	"lab/internal/tokenizer"
)

// Vocab reads the number of tokens a model knows from config.json: of a local model folder, else of a snapshot in the
// Hugging Face cache. ok is false where neither has it.
func Vocab(model string, getenv func(string) string) (size int, ok bool) {
	for _, dir := range tokenizer.Folders(model, getenv) {
		if size, ok := vocabOf(filepath.Join(dir, "config.json")); ok {
			return size, true
		}
	}
	return 0, false
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
