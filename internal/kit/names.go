package kit

import (
	"regexp"
	"strings"
)

// chineseName is what a column of the aggregate is called for Chinese readers; a key that nobody knows keeps its name.
func chineseName(column string) string {
	if name, known := chineseNames[column]; known {
		return name
	}
	statistic := regexp.MustCompile(`^(mean|median|std|p[0-9.]+)_(.+)_ms$`).FindStringSubmatch(column)
	if statistic == nil {
		return column
	}
	quantity, known := chineseQuantities[statistic[2]]
	if !known {
		return column
	}
	which, known := chineseStatistics[statistic[1]]
	if !known {
		which = strings.ToUpper(statistic[1])
	}
	return which + " " + quantity + " (ms)"
}

// EnglishName is the key behind the name of a column of the aggregate, in whichever language the table has it.
func EnglishName(column string) string {
	if column == chineseNames["total_input_tokens"] { // an older key has the same name
		return "total_input_tokens"
	}
	for name, chinese := range chineseNames {
		if chinese == column {
			return name
		}
	}
	which, rest, _ := strings.Cut(column, " ")
	rest, inTime := strings.CutSuffix(rest, " (ms)")
	if !inTime {
		return column
	}
	for name, chinese := range chineseStatistics {
		if chinese == which {
			which = name
		}
	}
	for quantity, chinese := range chineseQuantities {
		if chinese == rest {
			return strings.ToLower(which) + "_" + quantity + "_ms"
		}
	}
	return column
}

var chineseStatistics = map[string]string{"mean": "平均", "median": "中位", "std": "标准差"}

var chineseQuantities = map[string]string{
	"ttft":                        "首 token 延迟 TTFT",
	"tpot":                        "每 token 时间 TPOT",
	"itl":                         "token 间延迟 ITL",
	"e2el":                        "端到端延迟 E2EL",
	"client_queue_time":           "客户端排队时间",
	"e2el_including_client_queue": "含排队端到端延迟",
}

var chineseNames = map[string]string{
	"date":              "测试时间",
	"endpoint_type":     "端点类型",
	"backend":           "后端",
	"label":             "标签",
	"model_id":          "模型",
	"tokenizer_id":      "分词器",
	"best_of":           "best_of 候选数",
	"use_beam_search":   "是否束搜索",
	"num_prompts":       "请求总数",
	"request_rate":      "请求速率 (req/s)",
	"burstiness":        "突发性",
	"max_concurrency":   "最大并发数",
	"ramp_up_strategy":  "升速方式",
	"ramp_up_start_rps": "升速起始速率 (req/s)",
	"ramp_up_end_rps":   "升速终止速率 (req/s)",

	"duration":                  "测试时长 (s)",
	"completed":                 "成功请求数",
	"failed":                    "失败请求数",
	"total_input_tokens":        "输入 token 总数",
	"total_input":               "输入 token 总数",
	"total_input_sequences":     "输入序列总数",
	"total_output_tokens":       "输出 token 总数",
	"request_throughput":        "请求吞吐量 (req/s)",
	"request_goodput":           "有效请求吞吐量 (req/s)",
	"input_throughput":          "输入吞吐量 (tok/s)",
	"input_sequence_throughput": "输入序列吞吐量 (seq/s)",
	"output_throughput":         "输出吞吐量 (tok/s)",
	"total_token_throughput":    "总吞吐量 (tok/s)",
	"max_output_tokens_per_s":   "峰值输出吞吐量 (tok/s)",
	"max_concurrent_requests":   "峰值并发请求数",
	"rtfx":                      "逆实时率 RTFx",

	"probe_completed":      "探测成功数",
	"probe_failed":         "探测失败数",
	"probe_median_e2el_ms": "探测中位端到端延迟 (ms)",
	"probe_p99_e2el_ms":    "探测 P99 端到端延迟 (ms)",
	"probe_max_e2el_ms":    "探测最大端到端延迟 (ms)",

	"spec_decode_acceptance_rate":   "投机解码接受率 (%)",
	"spec_decode_acceptance_length": "投机解码接受长度",
	"spec_decode_num_drafts":        "投机解码草稿数",
	"spec_decode_draft_tokens":      "投机解码草稿 token 数",
	"spec_decode_accepted_tokens":   "投机解码接受 token 数",

	"diffusion_committed_throughput": "扩散提交吞吐量 (tok/s)",
	"diffusion_steps_per_canvas":     "扩散每画布步数",
	"diffusion_committed_per_step":   "扩散每步提交数",
	"diffusion_committed_tokens":     "扩散提交 token 数",
	"diffusion_denoising_steps":      "扩散去噪步数",
	"diffusion_canvas_positions":     "扩散画布位置数",

	inputColumn:  "输入长度 (tokens)",
	outputColumn: "输出长度 (tokens)",
	fileColumn:   "文件名",
}
