package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// trace writes the steps of one worker the way Kineto does: the CPU's events first, then the GPU's runtime, kernels and flows,
// then names and the window. The times of a step are those that the loop gave it; what the GPU did in it is a plausible
// share-out over kernels, by the terms of the physics.
type trace struct {
	p    *profiler
	rank int // -1: the API process, which computes nothing
}

// name is vLLM's marker of a step.
func (s recordedStep) name() string {
	return fmt.Sprintf("execute_context_%d(%d)_generation_%d(%d)", s.prefills, s.prefill, s.decode, s.decode)
}

// baseEvery is the grid on which Kineto puts the zero of its clock.
const baseEvery = 7_889_238 * time.Second

const (
	simLayers    = 16
	sampleLaunch = 0.75 // of a step: sampling is launched behind the marked span
	markedSpan   = 0.70
	busyShare    = 0.90 // of a step's time the GPU works
	launchTime   = 6 * time.Microsecond
	kernelGap    = 800 * time.Nanosecond
)

// layerKernels are what one layer runs, by what their time goes with.
var layerKernels = []struct{ name, term string }{
	{"triton_red_fused_add_mean_mul_pow_rsqrt_0", "norm"},
	{"nvjet_tst_128x64_64x8_2x1_v_bz_TNT", "gemm"},
	{"void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*, c10::BFloat16*, c10::BFloat16*, c10::BFloat16 const*, int, long, long, int, int, int)", "rope"},
	{"void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, __nv_bfloat16, (vllm::Fp8KVCacheDataType)0>(__nv_bfloat16 const*, __nv_bfloat16 const*, __nv_bfloat16*, __nv_bfloat16*, long const*)", "cache"},
	{"void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, cutlass::bfloat16_t>, true, false>(flash::Flash_fwd_params)", "attention"},
	{"nvjet_tst_64x128_64x6_1x2_v_bz_TNN", "gemm"},
	{"void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(c10::BFloat16 const&)), true>(c10::BFloat16*, c10::BFloat16 const*, int)", "activation"},
}

var sampleKernels = []string{
	"void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4> >(at::native::ReduceOp)",
	"void vllm::sampling_penalties_kernel<float>(float*, int const*, int)",
}

// kernel is one activity of the GPU and the call that launched it.
type kernel struct {
	name        string
	start, took time.Duration
	correlation int
	graph       int
	external    int
	device      int
}

// launch is a call of the GPU's runtime.
type launch struct {
	api         string
	start       time.Duration
	correlation int
}

// writer keeps the parts of a trace apart, which are written one after the other.
type writer struct {
	cpu, gpu, tail bytes.Buffer
	base           time.Time
	pid            int
	next           int // correlation
	events         int
	end            time.Duration // of the GPU's last work
}

func (w *writer) at(t time.Time) time.Duration { return t.Sub(w.base) }

// micros is a time as Kineto writes it: microseconds with three decimals.
func micros(d time.Duration) string { return fmt.Sprintf("%d.%03d", d/1000, d%1000) }

// complete writes a complete event; args are its members, if it has any.
func (w *writer) complete(to *bytes.Buffer, cat, name string, pid, tid int, start, took time.Duration, args string) {
	w.events++
	fmt.Fprintf(to, "  {\n    \"ph\": \"X\",\n    \"cat\": %q,\n    \"name\": %q,\n    \"pid\": %d,\n    \"tid\": %d,\n    \"ts\": %s,\n    \"dur\": %s,\n    \"args\": {\n      %s\n    }\n  },\n",
		cat, name, pid, tid, micros(start), micros(took), args)
}

func (w *writer) flow(phase string, correlation, pid, tid int, at time.Duration) {
	fmt.Fprintf(&w.gpu, "  {\n    \"ph\": %q, \"id\": %d, \"pid\": %d, \"tid\": %d, \"ts\": %s,\n    \"cat\": \"ac2g\", \"name\": \"ac2g\"", phase, correlation, pid, tid, micros(at))
	if phase == "f" {
		w.gpu.WriteString(", \"bp\": \"e\"")
	}
	w.gpu.WriteString("\n  },\n")
}

// text is the whole file.
func (t trace) text(steps []recordedStep, began, ended time.Time) []byte {
	w := &writer{base: time.Unix(0, began.UnixNano()/int64(baseEvery)*int64(baseEvery)), pid: os.Getpid()}
	if t.rank >= 0 {
		w.pid += 1 + t.rank
	}
	for _, s := range steps {
		t.step(w, s)
	}
	w.names(began, ended)
	var b bytes.Buffer
	t.head(&b, w)
	b.Write(w.cpu.Bytes())
	b.Write(w.gpu.Bytes())
	b.Write(w.tail.Bytes())
	fmt.Fprintf(&b, "  ],\"traceName\": \"/tmp/tmp%d.json\" }\n", began.UnixNano())
	return b.Bytes()
}

func (t trace) head(b *bytes.Buffer, w *writer) {
	devices := "[]"
	if t.rank >= 0 {
		devices = fmt.Sprintf(`[
    {
      "id": 0, "name": "Simulated GPU", "totalGlobalMem": %d, "computeMajor": 9, "computeMinor": 0, "numSms": 132
    }
  ]`, int64(gpuMemory))
	}
	fmt.Fprintf(b, "{\n  \"schemaVersion\": 1,\n  \"deviceProperties\": %s,\n  \"cuda_driver_version\": 13000,\n", devices)
	if t.rank >= 0 {
		fmt.Fprintf(b, "  \"distributedInfo\": {\"backend\": \"nccl\", \"rank\": %d, \"world_size\": %d},\n", t.rank, t.p.ranks())
	}
	if t.p.stacks {
		b.WriteString("  \"with_stack\": 1,\n")
	}
	if n := t.p.s.c.faults.profileSize; n > 0 { // of random bytes, which do not pack
		fmt.Fprintf(b, "  \"PT_PROFILER_JOB_NOTE\": %q,\n", hex.EncodeToString(noiseBytes(n)))
	}
	if t.p.s.t.minor >= 18 {
		fmt.Fprintf(b, "  \"vllm_version\": %q,\n", t.p.s.t.version)
	}
	fmt.Fprintf(b, "  \"host_name\": %q,\n  \"displayTimeUnit\": \"ms\",\n  \"baseTimeNanoseconds\": %d,\n  \"traceEvents\": [\n", hostName(), w.base.UnixNano())
}

func noiseBytes(n int) []byte {
	random, noise := rand.New(rand.NewPCG(1, 1)), make([]byte, 0, n+8)
	for len(noise) < n {
		noise = binary.LittleEndian.AppendUint64(noise, random.Uint64())
	}
	return noise[:n]
}

// step writes one step of the engine.
func (t trace) step(w *writer, s recordedStep) {
	start := w.at(s.start)
	share := func(part float64) time.Duration { return time.Duration(part * float64(s.took)) }
	if t.p.stacks {
		for i, frame := range []string{"vllm/v1/worker/gpu_worker.py(541): execute_model", "vllm/v1/worker/gpu_model_runner.py(3071): execute_model", "nn.Module: LlamaForCausalLM_0"} {
			w.complete(&w.cpu, "python_function", frame, w.pid, w.pid, start+time.Duration(i)*time.Microsecond, share(markedSpan)-time.Duration(i)*time.Microsecond,
				fmt.Sprintf("\"Python id\": %d, \"Python parent id\": %d, \"Ev Idx\": %d", w.events+1, w.events, w.events))
		}
	}
	if t.p.s.t.minor >= 12 { // older ones mark no steps
		w.complete(&w.cpu, "user_annotation", s.name(), w.pid, w.pid, start+3*time.Microsecond, share(markedSpan)-6*time.Microsecond,
			fmt.Sprintf("\"External id\": %d, \"Record function id\": 0, \"Ev Idx\": %d", w.events+1, w.events))
	}
	kernels, launches := t.work(w, s)
	for _, l := range launches {
		w.complete(&w.gpu, "cuda_runtime", l.api, w.pid, w.pid, l.start, 4*time.Microsecond, fmt.Sprintf("\"cbid\": 211, \"correlation\": %d", l.correlation))
		w.flow("s", l.correlation, w.pid, w.pid, l.start)
	}
	for _, k := range kernels {
		external := ""
		if k.external > 0 {
			external = fmt.Sprintf("\"External id\": %d, ", k.external)
		}
		w.complete(&w.gpu, "kernel", k.name, k.device, 7, k.start, k.took, fmt.Sprintf("%s\"queued\": 0, \"device\": %d, \"context\": 1, \"stream\": 7, \"correlation\": %d,\n      \"registers per thread\": 64, \"shared memory\": 49152, \"blocks per SM\": 0.5925926, \"warps per SM\": 2.3703704, \"grid\": [64, 1, 1], \"block\": [128, 1, 1], \"est. achieved occupancy %%\": 4,\n      \"graph id\": %d, \"graph node id\": %d",
			external, k.device, k.correlation, k.graph, k.graph*k.correlation))
		w.flow("f", k.correlation, k.device, 7, k.start)
	}
	if t.p.s.t.minor >= 12 && len(kernels) > 0 {
		first, last := kernels[0], kernels[len(kernels)-1]
		w.complete(&w.tail, "gpu_user_annotation", s.name(), first.device, 7, first.start-1, last.start+last.took-first.start+2, fmt.Sprintf("\"External id\": %d", w.events))
	}
}

// work shares the GPU's part of a step out over kernels. A step of decoding alone replays one CUDA graph, unless graphs are off;
// any other launches every kernel. Sampling is always launched by itself.
func (t trace) work(w *writer, s recordedStep) ([]kernel, []launch) {
	start := w.at(s.start)
	at := func(part float64) time.Duration { return start + time.Duration(part*float64(s.took)) }
	terms := t.terms(s)
	n := simLayers * len(layerKernels)
	graphed := s.prefills == 0 && !t.p.s.c.switched("enforce-eager", false)
	budget := float64(s.took)*busyShare - float64(n+len(sampleKernels))*float64(kernelGap)
	budget = max(budget, float64(n)*100)
	var kernels []kernel
	var launches []launch
	add := func(name string, took float64, launched time.Duration, k kernel) {
		k.name, k.device, k.took = name, t.rank, max(100, time.Duration(took))
		k.start = max(w.end+kernelGap, launched+launchTime)
		w.end = k.start + k.took
		kernels = append(kernels, k)
	}
	call := func(api string, at time.Duration) int {
		w.next++
		launches = append(launches, launch{api, at, w.next})
		return w.next
	}
	graph := 0
	if graphed {
		graph = call("cudaGraphLaunch", at(.02))
	}
	for i := range n {
		part := layerKernels[i%len(layerKernels)]
		took := budget * terms[part.term] / simLayers
		if graphed {
			add(part.name, took, at(.02), kernel{correlation: graph, graph: 1})
			continue
		}
		called := at(.02 + .65*float64(i)/float64(n))
		w.complete(&w.cpu, "cpu_op", "vllm::"+part.term, w.pid, w.pid, called-time.Microsecond, 8*time.Microsecond, fmt.Sprintf("\"External id\": %d, \"Ev Idx\": %d", w.events+1, w.events))
		external := w.events
		add(part.name, took, called, kernel{correlation: call("cudaLaunchKernel", called), external: external})
	}
	for i, name := range sampleKernels {
		called := at(sampleLaunch + .02*float64(i))
		add(name, budget*terms["sampling"]/float64(len(sampleKernels)), called, kernel{correlation: call("cudaLaunchKernel", called)})
	}
	return kernels, launches
}

// terms are the shares of a step's time by kind of kernel, from the terms of the physics; all layers together make 1. Two
// kernels of a layer are GEMMs.
func (t trace) terms(s recordedStep) map[string]float64 {
	f := t.p.s.c.physics
	step, decode := float64(f.Step), float64(s.decode)*float64(f.Decode)
	prefill, kv := float64(s.prefill)*float64(f.Prefill), float64(s.kv)*float64(f.KV)
	terms := map[string]float64{
		"gemm":       (.75*step + .7*prefill + .3*decode) / 2,
		"attention":  .05*step + .2*prefill + kv,
		"norm":       .06 * step,
		"rope":       .03 * step,
		"cache":      .02*step + .03*prefill,
		"activation": .05*step + .07*prefill,
		"sampling":   .04*step + .7*decode,
	}
	whole := terms["gemm"]
	for _, v := range terms {
		whole += v
	}
	for name := range terms {
		terms[name] /= whole
	}
	return terms
}

// names write the last part: who is who, and the window.
func (w *writer) names(began, ended time.Time) {
	at := micros(w.at(began))
	fmt.Fprintf(&w.tail, "  {\n    \"ph\": \"M\",\n    \"name\": \"process_name\",\n    \"ts\": %s,\n    \"pid\": %d,\n    \"tid\": 0,\n    \"args\": {\n      \"name\": \"python\"\n    }\n  },\n", at, w.pid)
	fmt.Fprintf(&w.tail, "  {\n    \"ph\": \"M\",\n    \"name\": \"thread_name\",\n    \"ts\": %s,\n    \"pid\": %d,\n    \"tid\": %d,\n    \"args\": {\n      \"name\": \"thread %d (VLLM::Worker)\"\n    }\n  },\n", at, w.pid, w.pid, w.pid)
	fmt.Fprintf(&w.tail, "  {\n    \"ph\": \"X\",\n    \"cat\": \"Trace\",\n    \"name\": \"PyTorch Profiler (0)\",\n    \"pid\": \"Spans\",\n    \"tid\": \"PyTorch Profiler\",\n    \"ts\": %s,\n    \"dur\": %s,\n    \"args\": {\n      \"Op count\": 0\n    }\n  },\n", at, micros(ended.Sub(began)))
	fmt.Fprintf(&w.tail, "  {\n    \"ph\": \"i\",\n    \"s\": \"g\",\n    \"name\": \"Record Window End\",\n    \"pid\": \"\",\n    \"tid\": \"\",\n    \"ts\": %s\n  }\n", micros(w.at(ended)))
}
