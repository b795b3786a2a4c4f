package profiling

import (
	"regexp"
	"strings"
	"sync"
)

// rule sorts names into a category. The first that matches decides, so that a name with two marks falls on the one that says
// more: an all-reduce is communication although its name has "reduce".
type rule struct {
	category string
	names    *regexp.Regexp
}

const (
	otherCategory   = "other"
	pythonCategory  = "python"
	unnamedCategory = "in no operator" // CPU time of steps and other marked spans
)

// rules are compiled when the first name is sorted: that takes half a millisecond, which every start of lab would pay.
func rules(pairs ...string) func() []rule {
	return sync.OnceValue(func() []rule {
		var all []rule
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, rule{pairs[i], regexp.MustCompile("(?i)" + pairs[i+1])})
		}
		return all
	})
}

var kernelRules = rules(
	"communication", `nccl|rccl|cross_device_reduce|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|multimem|one_?shot|two_?shot|deep_?ep|nvshmem|custom_ar`,
	"memcpy", `^memcpy|CopyKernel$|^copy_?buffer`,
	"memset", `^memset`,
	"moe", `fused_moe|moe|topk_?(gating|softmax|sigmoid)|grouped_?gemm|group_?gemm|expert`,
	"kv-cache", `reshape_and_cache|concat_and_cache|copy_blocks|swap_blocks|kv_?cache|gather_cache`,
	"attention", `flash|fmha|attention|attn|paged_?att|mla_|splitkv|split_kv|merge_state|BatchDecodeWith|BatchPrefillWith|unified_att`,
	"sampling", `sampl|top_?k|top_?p|argmax|multinomial|logits|penalt|gumbel|rejection|radixsort|bitonicSort|DeviceRadix|DeviceSegmented|cumsum|exponential|softmax`,
	"quantization", `quant|cvt_fp|_fp8_cast|scaled_fp|per_token_group`,
	"gemm", `gemm|gemv|nvjet|cutlass|cublas|matmul|_mm_|\bmm\b|splitKreduce|marlin|machete|tensile|^Cijk_|xmma|dot_kernel|wgmma|conv(olution|2d|3d)?_|cudnn|wgrad|dgrad|implicit_con`,
	"norm", `norm|rsqrt`,
	"rope", `rotary|rope|cos_sin`,
	"activation", `silu|gelu|relu|swiglu|act_and_mul|sigmoid|tanh`,
	"embedding", `embedding|index_?select|gather`,
)

// fusedRules read the operators that a kernel of torch.compile names: triton_red_fused_add_mean_mul_pow_rsqrt_0.
var fusedRules = rules(
	"quantization", `quant|float8|fp8`,
	"norm", `rsqrt|norm|mean_.*pow|pow_.*mean`,
	"rope", `cos|sin|rotary`,
	"activation", `silu|gelu|relu|sigmoid|tanh`,
	"sampling", `softmax|argmax|exponential`,
	"embedding", `embedding|index_select`,
)

// plainRules come last: what is none of the above, but known to be small work on each element.
var plainRules = rules("elementwise", `elementwise|reduce|cat_?array|fill|copy|index|scatter|where|arange|triton_|fused|\bcast|unrolled|vectorized`)

var operatorRules = rules(
	"communication", `all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|broadcast$|nccl|gloo|c10d`,
	"moe", `moe|expert`,
	"kv-cache", `kv_cache_update|reshape_and_cache|copy_blocks|swap_blocks`,
	"attention", `attention|attn|flash`,
	"sampling", `sampl|top_?k|top_?p|argmax|multinomial|exponential|penalt|softmax|sort|cumsum`,
	"quantization", `quant|scaled_mm`,
	"gemm", `::(add|b|batch_)?mm(_out)?$|::baddbmm|::addmv|::matmul|::linear|gemm|::conv|mkldnn_linear|onednn|wna16|::einsum|::dot$`,
	"norm", `norm|rsqrt`,
	"rope", `rotary|rope`,
	"activation", `silu|gelu|relu|swiglu|act_and_mul|sigmoid|tanh`,
	"embedding", `embedding|index_select`,
	"copy", `::copy_|::_to_copy|::to$|::_local_scalar_dense|::item$|::is_nonzero|::clone|::contiguous|::cat$|::stack$|pin_memory|::detach`,
	"view and allocation", `::(view|slice|select|as_strided|reshape|_reshape_alias|_unsafe_view|expand|t|transpose|permute|unsqueeze|squeeze|split|split_with_sizes|narrow|unbind|chunk|alias|empty|empty_like|empty_strided|new_empty|resize_|set_|unflatten|flatten|lift_fresh|result_type|resolve_conj|resolve_neg|numpy_T|view_as)$`,
	"elementwise", `^aten::|^prims::`,
)

func kernelCategory(k kind, name string) string {
	switch k {
	case memcpy:
		return "memcpy"
	case memset:
		return "memset"
	}
	all := kernelRules
	if strings.HasPrefix(name, "triton_") && strings.Contains(name, "_fused_") {
		all = fusedRules
	}
	if c := first(all(), name); c != otherCategory {
		return c
	}
	return first(plainRules(), name)
}

func operatorCategory(name string) string { return first(operatorRules(), name) }

func first(all []rule, name string) string {
	for _, r := range all {
		if r.names.MatchString(name) {
			return r.category
		}
	}
	return otherCategory
}
