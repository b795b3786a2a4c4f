package profiling

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drawing makes a trace of a few words a line: kind name start length [correlation].
func drawing(lines string) string {
	var events []string
	for line := range strings.Lines(lines) {
		var cat, name string
		var start, took float64
		var correlation int
		if n, _ := fmt.Sscan(line, &cat, &name, &start, &took, &correlation); n < 4 {
			continue
		}
		name = strings.ReplaceAll(name, "~", " ")
		events = append(events, fmt.Sprintf(`{"ph": "X", "cat": %q, "name": %q, "pid": 0, "tid": 7, "ts": %.3f, "dur": %.3f, "args": {"correlation": %d}}`, cat, name, start, took, correlation))
	}
	return `{"traceEvents": [` + strings.Join(events, ",\n") + `]}`
}

func TestEachGapHasItsCause(t *testing.T) {
	s := sumUp(t, drawing(`
		cuda_runtime cudaLaunchKernel 1 2 11
		kernel gemm 10 10 11
		cuda_runtime cudaLaunchKernel 25 2 12
		kernel host_bound 30 10 12
		cuda_runtime cudaLaunchKernel 32 2 13
		kernel in_time 43 7 13
		cuda_runtime cudaStreamSynchronize 48 5
		cuda_runtime cudaLaunchKernel 55 2 14
		kernel after_wait 60 10 14
		cuda_runtime cudaGraphLaunch 62 2 15
		kernel graph_a 70 10 15
		kernel graph_b 81 9 15
		kernel nobody_launched 95 5 99
		gpu_memcpy Memcpy~DtoH~(Device~->~Pinned) 100 10 99
		cuda_runtime cudaLaunchKernel 112 2 16
		kernel after_copy 120 10 16
	`))
	g := s.GPUs[0]
	got := map[Cause]time.Duration{}
	total := time.Duration(0)
	for _, gap := range g.Gaps {
		got[gap.Cause] = gap.Idle
		total += gap.Idle
	}
	want := map[Cause]time.Duration{HostCause: 10000, SyncCause: 20000, DeviceCause: 3000, GraphCause: 1000, UnknownCause: 5000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if total != g.Idle || g.Busy+g.Idle != g.Span || g.Span != 120000 {
		t.Errorf("gaps %v, idle %v, busy %v, span %v", total, g.Idle, g.Busy, g.Span)
	}
	if *g.LaunchBound != 0.25 || s.Graphs.Replays != 1 || s.Graphs.Activities != 2 || g.Unlinked != 2 {
		t.Errorf("launch bound %v, graphs %+v, unlinked %d", *g.LaunchBound, s.Graphs, g.Unlinked)
	}
}

func TestWorkBelongsToTheStepThatLaunchedIt(t *testing.T) {
	s := sumUp(t, drawing(`
		user_annotation execute_context_1(512)_generation_0(0) 100 50
		user_annotation execute_context_0(0)_generation_4(4) 200 20
		cuda_runtime cudaLaunchKernel 50 2 1
		cuda_runtime cudaLaunchKernel 110 2 2
		cuda_runtime cudaLaunchKernel 160 2 3
		cuda_runtime cudaLaunchKernel 210 2 4
		kernel before 60 10 1
		kernel gemm 120 100 2
		kernel sample_after_the_span 230 10 3
		kernel ncclDevKernel_AllReduce 235 15 4
	`))
	p, d := s.Steps.Kinds[0], s.Steps.Kinds[1]
	if p.Kind != Prefill || p.GPU.P50 != 110*time.Microsecond || p.Period.P50 != 100*time.Microsecond || p.CPU.P50 != 50*time.Microsecond || *p.Work != 2 {
		t.Errorf("prefill %+v", p)
	}
	if d.Kind != Decode || d.GPU.P50 != 10*time.Microsecond || d.Period != nil || d.Load.DecodeTokens != 4 {
		t.Errorf("decode %+v", d)
	}
	if g := s.GPUs[0]; g.ExposedComm != 10*time.Microsecond || g.Comm != 15*time.Microsecond || p.HostGap.Mean != 20*time.Microsecond {
		t.Errorf("gpu %+v, host gap %+v", g, p.HostGap)
	}
	if want := 120.0 / 130; *s.Steps.Coverage != want {
		t.Errorf("coverage %v, want %v", *s.Steps.Coverage, want)
	}
}

func TestTheMarkersOfEachVersionOfVLLMAreSteps(t *testing.T) {
	for name, want := range map[string]*marker{
		"execute_context_1(22)_generation_0(0)":  {kind: 0, counted: true, prefills: 1, prompt: 22, form: formContext},
		"execute_context_2(40)_generation_3(3)":  {kind: 1, counted: true, prefills: 2, prompt: 40, decodes: 3, produced: 3, form: formContext},
		"execute_context_0(0)_generation_8(16)":  {kind: 2, counted: true, decodes: 8, produced: 16, form: formContext},
		"execute_context_0(0)_generation_0(0)":   {kind: 3, counted: true, form: formContext},
		"execute_new_2_cached_0":                 {kind: 0, form: formNew},
		"execute_new_1_cached_7":                 {kind: 1, form: formNew},
		"execute_new_0_cached_7":                 {kind: 2, form: formNew},
		"ProfilerStep#12":                        {kind: 4, form: formProfiler},
		"execute_context_1(22)_generation_0":     nil,
		"execute_context_1(22)_generation_0(0)x": nil,
		"execute_new_x_cached_0":                 nil,
		"execute_model":                          nil,
		"execute_26_context_1(sq22sk90sqsq484sqsk1980)_generation_4(sq4sk800sqsq4sqsk800)": {kind: 1, counted: true, prefills: 1, prompt: 22, decodes: 4, produced: 4, form: formDetailed},
	} {
		got, ok := stepOf([]byte(name))
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%s: %t %+v", name, ok, got)
		}
	}
}

func TestKernelsFindTheirCategory(t *testing.T) {
	for name, want := range map[string]string{
		"ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)": "communication",
		"void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*)":   "communication",
		"nvjet_tst_128x64_64x8_2x1_v_bz_TNT":                                         "gemm",
		"ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn":                 "gemm",
		"void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64> >(x)": "attention",
		"kernel_unified_attention_2d":                                                "attention",
		"void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16>(x)":                "kv-cache",
		"fused_moe_kernel": "moe",
		"void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*)":              "norm",
		"void vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*)":       "norm",
		"void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)":         "rope",
		"void vllm::act_and_mul_kernel<c10::BFloat16, &(silu_kernel)>(c10::BFloat16*)": "activation",
		"void vllm::dynamic_scaled_fp8_quant_kernel<c10::BFloat16>(x)":                 "quantization",
		"void at::native::reduce_kernel<512, 1, ArgMaxOps<float> >(x)":                 "sampling",
		"_topk_topp_kernel":                         "sampling",
		"triton_red_fused_add_mean_mul_pow_rsqrt_0": "norm",
		"triton_poi_fused_mul_silu_slice_1":         "activation",
		"triton_poi_fused_add_cos_sin_0":            "rope",
		"triton_poi_fused_add_2":                    "elementwise",
		"void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float> >(x)": "elementwise",
		"void at::native::(anonymous namespace)::indexSelectSmallIndex<float, long>(x)":             "embedding",
		"my_kernel": "other",
	} {
		if got := kernelCategory(kernel, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Nothing of a large trace but its short records is kept, and the window passes over it as over a small one.
func TestALargeTraceIsReadAsASmallOne(t *testing.T) {
	r, w := io.Pipe()
	written := make(chan [2]int64, 1)
	go func() {
		n, events := generate(w, 40e6)
		w.Close()
		written <- [2]int64{n, events}
	}()
	s, err := summarise(context.Background(), r, "trace", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := <-written
	if !s.Complete || s.JSONBytes != want[0] || s.Events != want[1] || s.Resyncs+s.Unread+s.BadTimes+s.Unordered != 0 || s.GPUs[0].Unlinked != 0 {
		t.Errorf("complete %t, %d of %d bytes, %d of %d events, %d resyncs, %d bad times, %d out of order", s.Complete, s.JSONBytes, want[0], s.Events, want[1], s.Resyncs, s.BadTimes, s.Unordered)
	}
	if s.Graphs.Median != 300 || s.Graphs.Activities != 300*s.Graphs.Replays {
		t.Errorf("%+v", s.Graphs)
	}
}
