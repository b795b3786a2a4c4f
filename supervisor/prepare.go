package supervisor

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// Launch is one command line with its environment, ready to start.
type Launch struct {
	Argv       []string
	Env        map[string]string // set for the server, on top of lab's own environment
	Unset      []string          // removed from it
	Served     string            // the model name that requests must carry
	Port       int
	APIKey     string   // handed over in the environment; never in Argv, Env or a record
	Inert      []string // keys that are passed and ignored by the engine, each with why
	Model      string
	Version    string // from the package metadata
	Executable string

	inertOnV1 []string // as Inert, if the log shows that the V1 engine runs
}

// Prepare turns the experiment's server into one command line for this installation. Whatever vllm would not take, or
// would take and mean something else by, comes back as lab.Faults.
func Prepare(s lab.Server, inst Installation, flags Flags, served string, port int) (Launch, error) {
	b := builder{server: s, version: inst.Version, flags: flags}
	b.launch = Launch{
		Env: map[string]string{}, Served: served, Port: port,
		Model: s.Model, Version: inst.Version, Executable: inst.Path,
	}
	// The model comes first: newer parsers insist on it, and a list-valued flag before it would swallow it.
	b.argv = append(slices.Clone(inst.Argv), "serve", s.Model,
		"--host", "127.0.0.1", "--port", strconv.Itoa(port), "--served-model-name", served)
	b.named()
	b.args()
	b.quiet()
	b.environment()
	if len(b.faults) > 0 {
		return Launch{}, b.faults
	}
	b.launch.Argv = b.argv
	return b.launch, nil
}

type builder struct {
	server  lab.Server
	version string
	flags   Flags
	argv    []string
	launch  Launch
	faults  lab.Faults
}

func (b *builder) fault(path, format string, args ...any) {
	b.faults = append(b.faults, lab.Fault{Path: path, Problem: fmt.Sprintf(format, args...)})
}

// named renders the keys that the experiment has names for, in a fixed order.
func (b *builder) named() {
	s := b.server
	b.swapSpace(s.SwapSpace)
	if s.GPUMemoryUtilization != nil {
		b.value("server.gpu_memory_utilization", "gpu-memory-utilization", strconv.FormatFloat(*s.GPUMemoryUtilization, 'f', -1, 64))
	}
	if s.KVCacheMemory != nil {
		if b.flags.Has("kv-cache-memory-bytes") {
			b.value("server.kv_cache_memory", "kv-cache-memory-bytes", strconv.FormatUint(uint64(*s.KVCacheMemory), 10))
		} else {
			b.fault("server.kv_cache_memory", "vllm %s cannot fix the KV cache in bytes (it can from 0.10.2 on): use gpu_memory_utilization, or args: {num-gpu-blocks-override: N}", b.version)
		}
	}
	b.count("server.max_model_len", "max-model-len", s.MaxModelLen)
	b.count("server.max_num_seqs", "max-num-seqs", s.MaxNumSeqs)
	b.count("server.max_num_batched_tokens", "max-num-batched-tokens", s.MaxNumBatchedTokens)
	b.count("server.tensor_parallel_size", "tensor-parallel-size", s.TensorParallelSize)
	if s.Speculative != nil {
		b.json("server.speculative", "speculative-config", s.Speculative)
	}
	b.toggle("server.prefix_caching", "enable-prefix-caching", s.PrefixCaching)
	b.toggle("server.chunked_prefill", "enable-chunked-prefill", s.ChunkedPrefill)
	if s.Dtype != "" {
		b.value("server.dtype", "dtype", s.Dtype)
	}
	b.toggle("server.eager", "enforce-eager", s.Eager)
}

// afterSwap are the features that people look for when they find swap space gone.
const afterSwap = "kv-offloading-size (KV blocks in CPU memory) or cpu-offload-gb (weights in CPU memory)"

// swapSpace is passed where it exists, marked where the engine ignores it, and refused where it is gone. It is never
// turned into another flag: what came later are different features.
func (b *builder) swapSpace(size *lab.Bytes) {
	const path = "server.swap_space"
	if size == nil {
		return
	}
	if !b.flags.Has("swap-space") {
		b.fault(path, "vllm %s has no --swap-space (gone since 0.18: the V1 engine recomputes instead of swapping). Remove the key. Other features, under args: %s", b.version, afterSwap)
		return
	}
	b.value(path, "swap-space", strconv.FormatFloat(size.GiB(), 'f', -1, 64))
	const why = "swap_space: the V1 engine never swaps, the value is accepted and ignored"
	switch {
	case atLeast(b.version, 11, 0):
		b.launch.Inert = append(b.launch.Inert, why)
	case atLeast(b.version, 8, 0):
		// These choose the engine themselves and may fall back to V0, which does swap: the log will tell.
		b.launch.inertOnV1 = append(b.launch.inertOnV1, why)
	}
}

func (b *builder) count(path, name string, n *int) {
	if n != nil {
		b.value(path, name, strconv.Itoa(*n))
	}
}

// value passes --name value. A value that starts with a dash is tied to its flag, else it would be read as another.
func (b *builder) value(path, name, value string) {
	if !b.known(path, name) {
		return
	}
	if strings.HasPrefix(value, "-") {
		b.argv = append(b.argv, "--"+name+"="+value)
		return
	}
	b.argv = append(b.argv, "--"+name, value)
}

func (b *builder) json(path, name string, value any) {
	text, err := jsonText(value)
	if err != nil {
		b.fault(path, "has no JSON form: %v", err)
		return
	}
	b.value(path, name, text)
}

// known faults a flag that this vllm does not have.
func (b *builder) known(path, name string) bool {
	if b.flags.Has(name) {
		return true
	}
	problem := fmt.Sprintf("vllm %s has no --%s", b.version, name)
	if base, _, dotted := strings.Cut(name, "."); dotted && b.flags.Has(base) {
		problem = fmt.Sprintf("is a part of --%s: write that flag with a mapping as its value", base)
	} else if hint := retired[name]; hint != "" {
		problem += ": " + hint
	} else if near := b.flags.Suggest(name); near != "" {
		problem += fmt.Sprintf(" (did you mean %s?)", near)
	}
	b.fault(path, "%s", problem)
	return false
}

// toggle passes a switch the way this version spells it. A switch without an off form is off unless given.
func (b *builder) toggle(path, name string, on *bool) {
	if on == nil || !b.known(path, name) {
		return
	}
	flag, _ := b.flags.Get(name)
	switch {
	case flag.Value: // up to 0.7 chunked prefill is written with a value
		word := "False"
		if *on {
			word = "True"
		}
		b.argv = append(b.argv, "--"+name, word)
	case *on:
		b.argv = append(b.argv, "--"+name)
	case flag.Twin:
		b.argv = append(b.argv, "--no-"+name)
	}
}

// args renders the flags that the experiment names as vllm does.
func (b *builder) args() {
	keys := make([]string, 0, len(b.server.Args))
	for key := range b.server.Args {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	seen := map[string]string{}
	for _, key := range keys {
		path := "server.args." + key
		name := strings.ReplaceAll(strings.TrimLeft(key, "-"), "_", "-")
		if other, twice := seen[name]; twice {
			b.fault(path, "is the same flag as %s", other)
			continue
		}
		seen[name] = key
		b.arg(path, name, b.server.Args[key])
	}
}

func (b *builder) arg(path, name string, value any) {
	if positive, ok := strings.CutPrefix(name, "no-"); ok && !b.flags.Has(name) {
		if flag, known := b.flags.Get(positive); known && flag.Twin {
			b.fault(path, "write %s: false or true instead", positive)
			return
		}
	}
	if !b.known(path, name) {
		return
	}
	flag, _ := b.flags.Get(name)
	switch value := value.(type) {
	case nil:
		b.fault(path, "has no value")
	case bool:
		b.boolean(path, flag, value)
	case []any:
		b.list(path, flag, value)
	case map[string]any:
		if !flag.Value {
			b.fault(path, "is a switch: write true or false")
			return
		}
		b.json(path, name, value)
	default:
		if !flag.Value {
			b.fault(path, "is a switch and takes no value: write true or false instead of %v", value)
			return
		}
		b.value(path, name, scalar(value))
	}
}

func (b *builder) boolean(path string, flag Flag, on bool) {
	switch {
	case flag.Value:
		b.fault(path, "takes a value; true or false is none")
	case on:
		b.argv = append(b.argv, "--"+flag.Name)
	case flag.Twin:
		b.argv = append(b.argv, "--no-"+flag.Name)
	default:
		b.fault(path, "cannot be switched off in vllm %s (there is no --no-%s): remove the line, off is the default", b.version, flag.Name)
	}
}

// list passes several values after one flag where it takes several, and one JSON list where it takes one value.
func (b *builder) list(path string, flag Flag, values []any) {
	switch {
	case !flag.Value:
		b.fault(path, "is a switch: write true or false")
	case len(values) == 0:
		b.fault(path, "is an empty list")
	case !flag.Many:
		b.json(path, flag.Name, values)
	default:
		b.argv = append(b.argv, "--"+flag.Name)
		for _, value := range values {
			switch value.(type) {
			case nil, []any, map[string]any:
				text, err := jsonText(value)
				if err != nil {
					b.fault(path, "has no JSON form: %v", err)
					return
				}
				b.argv = append(b.argv, text)
			default:
				b.argv = append(b.argv, scalar(value))
			}
		}
	}
}

// quiet switches off what would flood the log: the line per HTTP request, and the prompts that versions up to 0.10.0
// log unasked. Later versions, recognised by the opposite flag, keep prompts to themselves.
func (b *builder) quiet() {
	if b.flags.Has("disable-uvicorn-access-log") && !b.given("disable-uvicorn-access-log") {
		b.argv = append(b.argv, "--disable-uvicorn-access-log")
	}
	if b.flags.Has("disable-log-requests") && !b.flags.Has("enable-log-requests") && !b.given("disable-log-requests") {
		b.argv = append(b.argv, "--disable-log-requests")
	}
}

func (b *builder) given(name string) bool {
	for key := range b.server.Args {
		if strings.ReplaceAll(strings.TrimLeft(key, "-"), "_", "-") == name {
			return true
		}
	}
	return false
}

// environment decides what the server's environment differs in from lab's own. The experiment's env has the last word.
func (b *builder) environment() {
	env := b.launch.Env
	if atLeast(b.version, 9, 2) {
		// The default of 5 s makes idle connections of the load break under it.
		env["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"] = "300"
	}
	b.gpus()
	// A directory that was left over in the user's environment corrupts the metrics of old versions.
	b.launch.Unset = append(b.launch.Unset, "PROMETHEUS_MULTIPROC_DIR")
	if name := b.server.APIKeyEnv; name != "" {
		if b.launch.APIKey = os.Getenv(name); b.launch.APIKey == "" {
			b.fault("server.api_key_env", "the environment variable %s is not set", name)
		}
	} else {
		b.launch.Unset = append(b.launch.Unset, "VLLM_API_KEY") // else the server would ask for a key that nobody sends
	}
	for name, value := range b.server.Env {
		switch name {
		case "VLLM_API_KEY":
			b.fault("server.env."+name, "would be stored with the run: put the key in an environment variable and name it in server.api_key_env")
			continue
		case "PROMETHEUS_MULTIPROC_DIR":
			b.launch.Unset = slices.DeleteFunc(b.launch.Unset, func(n string) bool { return n == name })
		}
		env[name] = value
	}
}

func (b *builder) gpus() {
	gpus := b.server.GPUs
	if len(gpus) == 0 {
		return
	}
	if tp := b.server.TensorParallelSize; tp != nil && *tp > len(gpus) {
		b.fault("server.tensor_parallel_size", "%d needs as many GPUs, and server.gpus names %d", *tp, len(gpus))
	}
	b.launch.Env["CUDA_VISIBLE_DEVICES"] = strings.Join(gpus, ",")
	// Without it CUDA numbers the fastest card 0, and the hardware sampler would watch another one.
	b.launch.Env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
}

// retired says what became of flags that people still write.
var retired = map[string]string{
	"disable-log-requests":     "requests are not logged unless enable-log-requests is true, so remove the line",
	"swap-space":               "the V1 engine recomputes instead of swapping, so remove it. Other features: " + afterSwap,
	"device":                   "the platform is found by vllm itself, so remove the line",
	"num-scheduler-steps":      "multi-step scheduling went with the V0 engine, so remove the line",
	"use-v2-block-manager":     "there is only one block manager now, so remove the line",
	"task":                     "write runner or convert instead",
	"guided-decoding-backend":  "write structured-outputs-config instead",
	"rope-scaling":             "write hf-overrides instead",
	"cuda-graph-sizes":         "write cudagraph-capture-sizes instead",
	"profiler-config":          "this version takes its profiler from the environment variable VLLM_TORCH_PROFILER_DIR",
	"speculative-model":        "write server.speculative instead",
	"num-speculative-tokens":   "write server.speculative instead",
	"max-num-partial-prefills": "it was removed in 0.27",
}
