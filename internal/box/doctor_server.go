package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lab/internal/lab"
	"lab/internal/tokenizer"
	"lab/supervisor"
)

func vllm(ctx context.Context, p Place) []Check {
	inst, err := supervisor.Find(ctx, p.Server, p.Self, p.Path)
	var missing *supervisor.NotFoundError
	switch {
	case errors.As(err, &missing):
		return []Check{{onServer, Obstacle, missing.Error(), "install it, or say where it is: --venv, --executable or --python here, server.venv and so on in a file", "pip install vllm"}}
	case err != nil:
		return []Check{{Group: onServer, State: Obstacle, Text: err.Error()}}
	}
	checks := []Check{{Group: onServer, State: Good, Text: fmt.Sprintf("vllm %s at %s", inst.Version, inst.Path)}}
	if _, err := inst.Flags(ctx, p.CacheDir); err != nil {
		return append(checks, Check{onServer, Obstacle, fmt.Sprintf("vllm does not answer its own --help: %v", err), "see what it says, and mend the installation", inst.Path + " serve --help"})
	}
	return append(checks, Check{Group: onServer, State: Good, Text: "vllm can be imported and says which flags it has"})
}

func port() Check {
	port, err := supervisor.FreePort()
	if err != nil {
		return Check{onServer, Obstacle, fmt.Sprintf("no free port on 127.0.0.1: %v", err), "end what holds the ports", "ss -ltnp"}
	}
	return Check{Group: onServer, State: Good, Text: fmt.Sprintf("port %d is free, as are others", port)}
}

// model looks for a model's files; no name, nothing said.
func model(name string, getenv func(string) string) []Check {
	if name == "" {
		return nil
	}
	var weights lab.Bytes
	for _, dir := range tokenizer.Folders(name, getenv) {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
			continue
		}
		for _, pattern := range []string{"*.safetensors", "*.bin", "*.gguf"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, f := range files {
				if info, err := os.Stat(f); err == nil { // through the links of the Hugging Face cache
					weights += lab.Bytes(info.Size())
				}
			}
		}
		if weights > 0 {
			return []Check{{Group: onServer, State: Good, Text: fmt.Sprintf("model %s at %s, %s of weights", name, dir, size(weights))}}
		}
		c := Check{Group: onServer, State: Doubt, Text: fmt.Sprintf("model %s has no weights in %s: vllm runs it with --load-format dummy only", name, dir)}
		if dir != name { // of the cache
			c.Command = "hf download " + name
		}
		return []Check{c}
	}
	if filepath.IsAbs(name) || strings.HasPrefix(name, ".") || strings.Count(name, "/") > 1 {
		return []Check{{Group: onServer, State: Obstacle, Text: fmt.Sprintf("model %s: there is no such folder with a config.json", name), Fix: "give the folder that holds the model's config.json"}}
	}
	c := Check{onServer, Doubt, fmt.Sprintf("model %s is not in the Hugging Face cache: vllm would download it at the first start, as part of its start-up time", name), "fetch it beforehand", "hf download " + name}
	if offline := getenv("HF_HUB_OFFLINE"); offline != "" && offline != "0" {
		c.State, c.Text = Obstacle, fmt.Sprintf("model %s is not in the Hugging Face cache, and HF_HUB_OFFLINE keeps vllm from fetching it", name)
	}
	return []Check{c}
}
