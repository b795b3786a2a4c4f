package profiling

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
)

// generate writes a trace shaped like vLLM's on a GPU until it has at least size bytes: steps of 8 ms and 0.3 ms between them;
// Python frames with operators in them, launches in half of the operators, one in thirty of a graph with 300 kernels. The same
// seed gives the same bytes. It answers how many bytes and events it wrote.
func generate(w io.Writer, size int64) (int64, int64) {
	g := &generator{w: bufio.NewWriterSize(w, 1<<20), rand: rand.New(rand.NewPCG(7, 7)), clock: 4_722_182_790_341_618}
	g.raw(`{
  "schemaVersion": 1,
  "deviceProperties": [
    {
      "id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 85017100288, "computeMajor": 9, "computeMinor": 0, "numSms": 132
    }
  ],
  "record_shapes": 1,
  "vllm_version": "0.32.0",
  "displayTimeUnit": "ms",
  "baseTimeNanoseconds": 1790857026000000000,
  "traceEvents": [
`)
	for g.n < size {
		g.step()
	}
	g.raw(`  {
    "ph": "X",
    "cat": "Trace",
    "name": "PyTorch Profiler (0)",
    "pid": "Spans",
    "tid": "PyTorch Profiler",
    "ts": 4722182790000.000,
    "dur": `)
	g.micros(g.clock - 4_722_182_790_000_000)
	g.raw(`
  },
  {
    "ph": "i",
    "s": "g",
    "name": "Record Window End",
    "pid": "",
    "tid": "",
    "ts": `)
	g.micros(g.clock)
	g.raw("\n  }\n  ],\"traceName\": \"trace.json\" }\n")
	g.events += 2
	g.w.Flush()
	return g.n, g.events
}

type generator struct {
	w           *bufio.Writer
	rand        *rand.Rand
	n, events   int64
	clock       int64
	correlation int64
	line        []byte
	steps       int
	gpu         int64 // end of the last kernel
}

func (g *generator) raw(s string) {
	n, _ := g.w.WriteString(s)
	g.n += int64(n)
}

func (g *generator) micros(ns int64) {
	g.line = strconv.AppendInt(g.line[:0], ns/1000, 10)
	g.line = append(g.line, '.', byte('0'+ns/100%10), byte('0'+ns/10%10), byte('0'+ns%10))
	n, _ := g.w.Write(g.line)
	g.n += int64(n)
}

func (g *generator) number(v int64) {
	n, _ := g.w.Write(strconv.AppendInt(g.line[:0], v, 10))
	g.n += int64(n)
}

// begin writes the part that every event has, up to its arguments.
func (g *generator) begin(cat, name string, pid, tid, start, took int64) {
	g.raw("  {\n    \"ph\": \"X\",\n    \"cat\": \"" + cat + "\",\n    \"name\": \"" + name + "\",\n    \"pid\": ")
	g.number(pid)
	g.raw(",\n    \"tid\": ")
	g.number(tid)
	g.raw(",\n    \"ts\": ")
	g.micros(start)
	g.raw(",\n    \"dur\": ")
	g.micros(took)
	g.raw(",\n    \"args\": {\n      \"External id\": ")
	g.number(g.events)
	g.events++
}

const endOfEvent = "\n    }\n  },\n"

func (g *generator) step() {
	start := g.clock
	end := start + 8_000_000
	name := fmt.Sprintf("execute_context_0(0)_generation_%d(%d)", 1+g.steps%8, 1+g.steps%8)
	if g.steps%10 == 0 {
		name = "execute_context_1(512)_generation_3(3)"
	}
	g.steps++
	g.begin("user_annotation", name, 100, 100, start, end-start)
	g.raw(",\n      \"Record function id\": 0, \"Ev Idx\": 0" + endOfEvent)
	var launches []int64
	at := start + 2000
	for range 400 {
		at = g.frame(at, 8, &launches)
	}
	for _, call := range launches {
		g.launch(call)
	}
	g.clock = max(end, at) + 300_000
}

// frame writes a Python frame with up to depth frames in it and an operator at the bottom. It gives its end.
func (g *generator) frame(start int64, depth int, launches *[]int64) int64 {
	took := int64(3000 + g.rand.IntN(8000))
	n := g.rand.IntN(900)
	name := "vllm/model_executor/models/llama.py(" + strconv.Itoa(n) + "): forward"
	if n%3 == 0 {
		name = "nn.Module: LlamaDecoderLayer_" + strconv.Itoa(n%80)
	}
	g.begin("python_function", name, 100, 100, start, took)
	g.raw(",\n      \"Python id\": ")
	g.number(g.events)
	g.raw(",\n      \"Python parent id\": ")
	g.number(g.events - 1)
	g.raw(",\n      \"Ev Idx\": ")
	g.number(g.events)
	g.raw(endOfEvent)
	if depth > 0 && g.rand.IntN(3) > 0 {
		g.frame(start+100, depth-1, launches)
		return start + took
	}
	g.begin("cpu_op", "aten::"+[]string{"mm", "add_", "silu", "copy_", "view", "index_select"}[n%6], 100, 100, start+200, took/2)
	g.raw(",\n      \"Record function id\": 0, \"Sequence number\": 12, \"Input Dims\": [[64, 4096], [4096, 4096], [], []], \"Input Strides\": [[4096, 1], [1, 4096], [], []], \"Input type\": [\"c10::BFloat16\", \"c10::BFloat16\", \"Scalar\", \"\"], \"Concrete Inputs\": [\"\", \"\", \"1\", \"\"], \"Ev Idx\": 7" + endOfEvent)
	if n%13 == 0 {
		*launches = append(*launches, start+300)
	}
	return start + took
}

func (g *generator) launch(at int64) {
	g.correlation++
	api, kernels, graph := "cudaLaunchKernel", 1, int64(0)
	if g.rand.IntN(30) == 0 {
		api, kernels, graph = "cudaGraphLaunch", 300, 17
	}
	g.begin("cuda_runtime", api, 100, 100, at, 4200)
	g.raw(",\n      \"cbid\": 211, \"correlation\": ")
	g.number(g.correlation)
	g.raw(endOfEvent)
	g.flow("s", at)
	for i := range kernels {
		g.gpu = max(g.gpu+800, at+6000)
		took := int64(1200 + g.rand.IntN(60000))
		if kernels > 1 {
			took = 900
		}
		g.begin("kernel", kernelNames[(i+int(g.correlation))%len(kernelNames)], 0, 7, g.gpu, took)
		g.raw(",\n      \"queued\": 0, \"device\": 0, \"context\": 1, \"stream\": 7, \"correlation\": ")
		g.number(g.correlation)
		g.raw(",\n      \"registers per thread\": 64, \"shared memory\": 49152, \"blocks per SM\": 0.5925926, \"warps per SM\": 2.3703704, \"grid\": [64, 1, 1], \"block\": [128, 1, 1], \"est. achieved occupancy %\": 4,\n" +
			"      \"occupancy\": {\"activeBlocksPerMultiprocessor\": 4, \"limitingFactors\": \"REGS|SMEM\", \"blockLimitRegs\": 8, \"blockLimitSharedMem\": 4, \"blockLimitWarps\": 16, \"blockLimitBlocks\": 32, \"allocatedRegistersPerBlock\": 8192, \"allocatedSharedMemPerBlock\": 49152},\n      \"graph id\": ")
		g.number(graph)
		g.raw(", \"graph node id\": ")
		g.number(graph * int64(i))
		g.raw(endOfEvent)
		g.flow("f", g.gpu)
		g.gpu += took
	}
}

func (g *generator) flow(phase string, at int64) {
	g.raw("  {\n    \"ph\": \"" + phase + "\", \"id\": ")
	g.number(g.correlation)
	g.raw(", \"pid\": 0, \"tid\": 7, \"ts\": ")
	g.micros(at)
	g.raw(",\n    \"cat\": \"ac2g\", \"name\": \"ac2g\", \"bp\": \"e\"\n  },\n")
	g.events++
}

var kernelNames = []string{
	"nvjet_tst_128x64_64x8_2x1_v_bz_TNT",
	"void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, cutlass::bfloat16_t, Flash_kernel_traits<128, 64, 128, 4, cutlass::bfloat16_t> >, true, false, false, false, true, true, false, false>(flash::Flash_fwd_params)",
	"void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*, c10::BFloat16 const*, long, c10::BFloat16 const*, float, int, int)",
	"void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(c10::BFloat16 const&)), true>(c10::BFloat16*, c10::BFloat16 const*, int)",
	"void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, __nv_bfloat16, (vllm::Fp8KVCacheDataType)0>(__nv_bfloat16 const*, __nv_bfloat16 const*, __nv_bfloat16*, __nv_bfloat16*, long const*, long, long, long, long, long, int, int, int, float const*, float const*)",
	"void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul>)",
	"triton_red_fused_add_mean_mul_pow_rsqrt_0",
}
