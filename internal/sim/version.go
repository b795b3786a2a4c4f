package sim

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed help/*.txt
var helpTexts embed.FS

// versions are the vLLM versions that can be played, oldest first: those whose behaviour was recorded.
var versions = []string{"0.8.5", "0.12.0", "0.15.1", "0.17.1", "0.32.0"}

// traits are the ways in which versions differ to a client or a supervisor.
type traits struct {
	version     string
	prefix      bool // log lines name their process
	flatErrors  bool // {"object":"error",…} instead of {"error":{…}}
	nullUsage   bool // frames without usage say "usage":null
	waits       bool // SIGTERM waits for ever while a stream is open
	loses       bool // one SIGTERM while the engine starts has no effect
	engineLabel string
	kvUsage     string // name of the KV usage gauge
	hits        string // name of the prefix cache counters
	itl         string // name of the inter-token latency histogram
}

func traitsOf(version string) (traits, error) {
	if !slices.Contains(versions, version) {
		return traits{}, fmt.Errorf("--as %s: can play %s", version, strings.Join(versions, ", "))
	}
	minor, _ := strconv.Atoi(strings.Split(version, ".")[1])
	t := traits{
		version: version, prefix: minor >= 10, flatErrors: minor <= 10, nullUsage: minor <= 17,
		waits: minor >= 12 && minor <= 17, loses: minor >= 18,
		engineLabel: "EngineCore", kvUsage: "vllm:kv_cache_usage_perc", hits: "vllm:prefix_cache", itl: "vllm:inter_token_latency_seconds",
	}
	if minor < 18 {
		t.engineLabel = "EngineCore_DP0"
	}
	if minor < 12 {
		t.kvUsage, t.hits, t.itl = "vllm:gpu_cache_usage_perc", "vllm:gpu_prefix_cache", "vllm:time_per_output_token_seconds"
	}
	return t, nil
}

func helpText(version string) string {
	text, err := helpTexts.ReadFile("help/" + version + ".txt")
	if err != nil {
		panic("read embedded help: " + err.Error()) // versions and files are one list, a test holds that
	}
	return string(text)
}

// flag is one of vllm's flags.
type flag struct {
	name    string
	value   bool
	choices []string
	number  bool // its value must be a whole number
}

var optionLine = regexp.MustCompile(`^  (-.*)$`)
var optionName = regexp.MustCompile(`--([a-z0-9][a-z0-9-]*)(?: (\{[^}]*\}|[A-Z_\[][^,]*))?`)

// numbers are flags whose value must be a whole number.
var numbers = []string{"port", "max-num-seqs", "tensor-parallel-size", "block-size", "seed", "max-logprobs"}

// flagsOf reads the flags of a version out of its help text.
func flagsOf(version string) map[string]flag {
	all := map[string]flag{}
	for _, line := range strings.Split(helpText(version), "\n") {
		m := optionLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		invocation, _, _ := strings.Cut(m[1], "  ")
		names := optionName.FindAllStringSubmatch(invocation, -1)
		for _, n := range names {
			f := flag{name: n[1], value: strings.TrimSpace(n[2]) != "", number: slices.Contains(numbers, n[1])}
			if list, ok := strings.CutPrefix(n[2], "{"); ok {
				f.choices = strings.Split(strings.TrimSuffix(strings.TrimSpace(list), "}"), ",")
			}
			all[f.name] = f
		}
	}
	return all
}
