package matrices

import (
	"regexp"

	"lab/internal/lab"
)

// key is what the reader, the schema and the people must know about one key beyond its type.
type key struct {
	doc   string
	zero  bool     // 0 is a choice; any other number must be above zero
	words []string // the only values there are
	none  bool     // an empty list says that there are none
	share bool     // written in percent
	path  pathKind // names a file: relative to the file that wrote it
}

type pathKind int

const (
	noPath    pathKind = iota
	isFile             // always a path
	isCommand          // a path where it has a slash, else a command on PATH
	isModel            // a folder, or a name on the hub
)

// keys holds every key there is by its path, the phases of a list written without their index; a test holds it to the
// fields that the reader fills.
var keys = map[string]key{
	"name":       {doc: "what the experiment is called; default: the file's name"},
	"extends":    {doc: "another experiment file: all of it but its name holds, except what this file says otherwise; mappings merge, lists and load replace, null takes a key away"},
	"server":     {doc: "the vLLM server to run, or the running one to use"},
	"load":       {doc: "what is sent: one phase, or a list of phases run in order"},
	"primary":    {doc: "the metric that decides an A/B; default: tpot.mean in an open loop, output_throughput in a closed loop"},
	"margin":     {doc: "relative difference that does not matter; default 3%", share: true},
	"guardrails": {doc: "metrics that must not become worse, else a better verdict is a trade-off; default ttft.p95 (open loop), goodput (with slo), error_share and what decides in the other judged phases; [] for none", none: true},
	"telemetry":  {doc: "what is sampled beside the load; off samples nothing"},
	"slo":        {doc: "limits of a good request, for goodput"},
	"profile":    {doc: "an extra run with the server's profiler on, after the others and never judged: `lab profile` makes it alone"},
	"sweep":      {doc: "a matrix for lab sweep: lists of values for keys of server and load by their paths, such as load.concurrency: [1, 4, 16]; every combination is a cell"},

	"sweep.link":    {doc: "lists of paths that vary together, first value with first value: [[server.max_num_seqs, load.concurrency]]"},
	"sweep.exclude": {doc: "cells to leave out, each by some of its values: [{server.max_num_seqs: 8, load.concurrency: [16, 32]}]"},
	"sweep.repeats": {doc: "runs of each cell, for the spread; default 1"},

	"server.model":                  {doc: "a name on the hub or a folder", path: isModel},
	"server.base_url":               {doc: "a server that already runs, such as http://127.0.0.1:8000"},
	"server.executable":             {doc: "path of the vllm command", path: isCommand},
	"server.venv":                   {doc: "virtual environment that has vllm", path: isFile},
	"server.python":                 {doc: "Python interpreter that can import vllm", path: isCommand},
	"server.simulator":              {doc: "lab's own simulated server in place of vllm"},
	"server.simulator.as":           {doc: "the vLLM version to play; default 0.32.0"},
	"server.simulator.flags":        {doc: "flags of `lab sim` by name, such as {step-time: 8ms}"},
	"server.swap_space":             {doc: "CPU swap per GPU, such as 4GiB; vLLM below 0.18, used by its V0 engine only", zero: true},
	"server.gpu_memory_utilization": {doc: "share of GPU memory that vLLM takes, such as 90%", share: true},
	"server.kv_cache_memory":        {doc: "memory of the KV cache, such as 24GiB; the best way to make two arms alike"},
	"server.max_model_len":          {doc: "longest context in tokens"},
	"server.max_num_seqs":           {doc: "most sequences in a batch"},
	"server.max_num_batched_tokens": {doc: "most tokens in a step"},
	"server.tensor_parallel_size":   {doc: "GPUs that share the model"},
	"server.speculative":            {doc: "vLLM's speculative-config, such as {method: ngram, num_speculative_tokens: 4}"},
	"server.prefix_caching":         {doc: "prefix caching on or off"},
	"server.chunked_prefill":        {doc: "chunked prefill on or off"},
	"server.dtype":                  {doc: "auto, bfloat16, float16 …"},
	"server.eager":                  {doc: "no compilation and no CUDA graphs"},
	"server.args":                   {doc: "any other flag of vllm serve by its own name, such as {kv-cache-dtype: fp8}"},
	"server.env":                    {doc: "environment variables of the server"},
	"server.gpus":                   {doc: "GPUs to use, by index or UUID"},
	"server.api_key_env":            {doc: "name of the environment variable that holds the API key"},
	"server.start_timeout":          {doc: "longest start-up; default 10m"},
	"server.hang_timeout":           {doc: "no token for this long while requests are in flight: the server hangs; default 1m"},
	"server.stop_timeout":           {doc: "how long a stop may take before it is forced; default 15s"},

	"load.name":            {doc: "what the phase is called; default load, in a list phase-1, phase-2 …"},
	"load.judged":          {doc: "its figures enter the verdict; default true"},
	"load.rate":            {doc: "open loop: requests a second, or inf for all at once"},
	"load.capacity_share":  {doc: "open loop: rate as a share of what the server can carry (of an A/B: the slower arm), measured before the first run; at most 80%", share: true},
	"load.concurrency":     {doc: "closed loop: requests in flight; with rate: at most so many"},
	"load.requests":        {doc: "ends after so many requests"},
	"load.duration":        {doc: "ends after this time, such as 60s"},
	"load.burstiness":      {doc: "gaps of an open loop: 1 is Poisson (default), below 1 burstier, inf evenly spaced"},
	"load.seed":            {doc: "of arrival times and prompts; default 1", zero: true},
	"load.warmup":          {doc: "requests sent before the phase and not measured; default the concurrency, at least 8 and at most 32", zero: true},
	"load.api":             {doc: "the endpoint; default completions, or chat for random-mm and where the first line of the prompts file has messages", words: []string{"completions", "chat"}},
	"load.temperature":     {doc: "default 0", zero: true},
	"load.body":            {doc: "further fields of the request, sent as they are"},
	"load.request_timeout": {doc: "longest time for one request; default 10m"},
	"load.dataset":         {doc: "where prompts come from; default random, 512 tokens in and 128 out"},

	"load.ramp_up":           {doc: "in place of rate: an open loop whose rate changes over the requests"},
	"load.ramp_up.strategy":  {doc: "how the rate goes from start to end", words: []string{"linear", "exponential"}},
	"load.ramp_up.start":     {doc: "requests a second at the first request", zero: true},
	"load.ramp_up.end":       {doc: "requests a second at the last request"},
	"load.endpoint":          {doc: "path of the request, such as /v1/completions; default: the usual one of api"},
	"load.server_sampling":   {doc: "send no temperature: the server's own default holds"},
	"load.connect_on_demand": {doc: "open connections as requests need them, as vllm bench serve does, instead of beforehand"},
	"load.keep_text":         {doc: "keep what was generated in the records"},

	"load.dataset.kind": {doc: "random (token ids of exact length), prompts (a JSONL file as it is), or as in vllm bench serve: custom, sharegpt, prefix_repetition, timed_trace, random-mm, hf",
		words: kindNames()},
	"load.dataset.input_tokens":          {doc: "length of random prompts; default 512; prefix_repetition: of what follows the prefix, default 256"},
	"load.dataset.output_tokens":         {doc: "tokens to generate, exactly; random kinds: default 128; files: where a line names none"},
	"load.dataset.range_ratio":           {doc: "lengths are uniform in [L(1-r), L(1+r)]; default 0", zero: true},
	"load.dataset.output_range_ratio":    {doc: "the same for output lengths alone; default range_ratio", zero: true},
	"load.dataset.prefix_tokens":         {doc: "tokens that prompts share, on top; default 0, prefix_repetition: 256", zero: true},
	"load.dataset.prefixes":              {doc: "prefix_repetition: how many different prefixes; default 10"},
	"load.dataset.vocab":                 {doc: "token ids are below this; default: from the model's config.json"},
	"load.dataset.file":                  {doc: `the file, for hf also a folder; prompts and custom: JSONL, a line each: {"prompt": text or ids} or {"messages": [...]}`, path: isFile},
	"load.dataset.name":                  {doc: "hf: the data set of the hub that the local copy is of, such as lmarena-ai/VisionArena-Chat"},
	"load.dataset.subset":                {doc: "hf: subset of the data set"},
	"load.dataset.split":                 {doc: "hf: split of the data set"},
	"load.dataset.fixed_output":          {doc: "sharegpt, custom: output_tokens holds for every prompt, whatever the file says"},
	"load.dataset.no_shuffle":            {doc: "prompts in the order of the file"},
	"load.dataset.no_oversample":         {doc: "a file shorter than the load is not repeated"},
	"load.dataset.no_chat_template":      {doc: "custom: the prompt is sent as it stands, without the model's chat template"},
	"load.dataset.tokenizer":             {doc: "folder or hub name of the tokenizer; default: the model's"},
	"load.dataset.images":                {doc: "random-mm: the images of a request"},
	"load.dataset.images.items":          {doc: "base number of images in a request; default 1"},
	"load.dataset.images.range_ratio":    {doc: "the number is uniform in [items(1-r), items(1+r)]", zero: true},
	"load.dataset.images.limit":          {doc: "most images in a request; default 255"},
	"load.dataset.images.buckets":        {doc: "sizes of images, each with its share; default 256x256 and 1280x720, half each"},
	"load.dataset.images.buckets.width":  {doc: "pixels"},
	"load.dataset.images.buckets.height": {doc: "pixels"},
	"load.dataset.images.buckets.share":  {doc: "how likely the size is, such as 50%", share: true, zero: true},
	"load.dataset.trace":                 {doc: "timed_trace: how the file is read; default as Mooncake's traces are written"},
	"load.dataset.trace.block_tokens":    {doc: "prompt tokens that one hash id stands for; default 512"},
	"load.dataset.trace.seconds_unit":    {doc: "seconds in one unit of the time stamps; default 0.001"},
	"load.dataset.trace.timestamp":       {doc: "name of the field with the time; default timestamp"},
	"load.dataset.trace.input_length":    {doc: "name of the field with the prompt length; default input_length"},
	"load.dataset.trace.output_length":   {doc: "name of the field with the output length; default output_length"},
	"load.dataset.trace.hash_ids":        {doc: "name of the field with the block hashes; default hash_ids"},
	"load.dataset.trace.untimed":         {doc: "the time stamps are left aside: the load's own rate holds"},

	"telemetry.period":  {doc: "of power and energy samples, 10ms to 10s; default 50ms"},
	"telemetry.replay":  {doc: "a recorded trace in place of the GPU", path: isFile},
	"telemetry.require": {doc: "no GPU is then an obstacle (exit 4), not a note"},

	"profile.iterations": {doc: "steps of the engine in the window; default 32"},
	"profile.start":      {doc: "when the window opens: warm (with the first request after the warm-up; default), steady (the batch has turned over and keeps its size), queue=8 (so many requests wait), ttft.p99>500ms (of the last 100 requests; also tpot, e2el, p50, p90, p95)"},
	"profile.stacks":     {doc: "record Python stacks too: they make every step longer and writing the trace much longer"},
	"profile.shapes":     {doc: "record the shapes of the operators' inputs"},
	"profile.frontend":   {doc: "a trace of the API server too"},
	"profile.mechanism":  {doc: "config (--profiler-config, vLLM 0.13 and later) or env (VLLM_TORCH_PROFILER_DIR, vLLM 0.15 and before); default: what the version has, config where it has both", words: []string{lab.ProfileByConfig, lab.ProfileByEnv}},

	"slo.ttft": {doc: "longest time to the first token, such as 500ms"},
	"slo.tpot": {doc: "longest time per further token, such as 50ms"},
	"slo.e2el": {doc: "longest time to the last token, such as 10s"},
}

// limits are the metrics that slo may name, in the order in which a record holds them.
var limits = []string{"ttft", "tpot", "e2el"}

var index = regexp.MustCompile(`\[\d+\]`)

// about finds what is known about the key at a path, whatever phase of a list it is in.
func about(path string) key { return keys[index.ReplaceAllString(path, "")] }
