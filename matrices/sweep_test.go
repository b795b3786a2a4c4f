package matrices

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// seedCombos is the example of the kit's guide.
const seedCombos = `model: "microsoft/DialoGPT-medium"
base_url: "http://localhost:8000"
tokenizer: "microsoft/DialoGPT-medium"

# 测试不同的输入输出长度组合
input_output:
  - [256, 128]    # 短对话
  - [512, 256]    # 中等对话
  - [1024, 512]   # 长对话
  - [2048, 1024]  # 超长对话

# 测试不同的并发级别
concurrency_prompts:
  - [1, 20]       # 单用户
  - [4, 80]       # 小团队
  - [8, 160]      # 中等负载
  - [16, 320]     # 高负载
  - [32, 640]     # 极限负载
`

func sweepOf(t *testing.T, text string) lab.Sweep {
	t.Helper()
	f, err := ParseSweep("/x/combos.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.Sweep
}

func cellNames(s lab.Sweep) []string {
	var names []string
	for _, c := range s.Cells {
		names = append(names, c.Name)
	}
	return names
}

func TestTheKitsFileMakesACellOfEveryPairOfPairsWithTheKitsFileName(t *testing.T) {
	s := sweepOf(t, seedCombos)
	if !s.Kit || s.Repeats != 1 || s.Name != "combos" || s.File != "/x/combos.yaml" || len(s.Cells) != 20 {
		t.Fatalf("%d cells, %+v", len(s.Cells), s)
	}
	c := s.Cells[7]
	if c.Name != "io512x256_mc8_np160" || c.ResultName(1) != "bench_io512x256_mc8_np160.json" || c.ResultName(2) != "bench_io512x256_mc8_np160_r2.json" {
		t.Errorf("cell 8 is %s, its results %s and %s", c.Name, c.ResultName(1), c.ResultName(2))
	}
	e := c.Experiment
	l := e.Phases[0].Load
	if e.Server.BaseURL != "http://localhost:8000" || e.Server.Model != "microsoft/DialoGPT-medium" || l.Rate.String() != "inf" ||
		l.Concurrency != 8 || l.Requests != 160 || l.Warmup != 0 || l.API != "completions" || l.Body["ignore_eos"] != true {
		t.Errorf("experiment %+v", e)
	}
	want := lab.Dataset{Kind: "random", InputTokens: 512, OutputTokens: 256, Tokenizer: "microsoft/DialoGPT-medium"}
	if diff := cmp.Diff(want, l.Dataset); diff != "" {
		t.Error(diff)
	}
}

func TestTheKitsOlderFormPairsItsColumns(t *testing.T) {
	flat := sweepOf(t, "model: m\nbase_url: http://h:1\ninput_len: [256, 512]\noutput_len: [128, 256]\nconcurrency: [1, 4]\nprompt: [20, 80]\n")
	pairs := sweepOf(t, "model: m\nbase_url: http://h:1\ninput_output: [[256, 128], [512, 256]]\nconcurrency_prompts: [[1, 20], [4, 80]]\n")
	if diff := cmp.Diff(pairs, flat); diff != "" || len(flat.Cells) != 4 {
		t.Errorf("%d cells; pairs (-) against columns (+): %s", len(flat.Cells), diff)
	}
}

func TestAMatrixIsEveryCombinationOfItsGroupsWithoutWhatIsLeftOut(t *testing.T) {
	s := sweepOf(t, `
name: batch
server: {model: m}
load: {requests: 10}
sweep:
  server.max_num_seqs: [8, 16]
  load.concurrency: [1, 4]
  server.args.block-size: [16, 32]
  link: [[server.max_num_seqs, server.args.block-size]]
  exclude: [{server.max_num_seqs: 16, load.concurrency: [4]}]
  repeats: 3
`)
	want := []string{"max_num_seqs=8 concurrency=1 block-size=16", "max_num_seqs=8 concurrency=4 block-size=16", "max_num_seqs=16 concurrency=1 block-size=32"}
	if diff := cmp.Diff(want, cellNames(s)); diff != "" || s.Repeats != 3 || s.Name != "batch" || s.Kit {
		t.Errorf("%+v %s", s, diff)
	}
	c := s.Cells[2]
	e := c.Experiment
	if *e.Server.MaxNumSeqs != 16 || e.Server.Args["block-size"] != 32.0 || e.Phases[0].Load.Concurrency != 1 || e.Name != "batch "+c.Name {
		t.Errorf("experiment %+v", e)
	}
	if got := c.ResultName(1); got != "bench_io512x128_mc1_np10_max_num_seqs-16_block-size-32.json" {
		t.Errorf("result file %s", got)
	}
	if a, b := s.Cells[0].Experiment.Server.Key(), s.Cells[1].Experiment.Server.Key(); a != b {
		t.Error("two cells of one server have different keys of it")
	}
	if s.Cells[0].Experiment.Server.Key() == e.Server.Key() {
		t.Error("different servers have one key")
	}
}

func TestAValueOfAnyKindCanVaryAndNullLeavesItsKeyOut(t *testing.T) {
	s := sweepOf(t, `
server: {model: m, dtype: half}
load: [{concurrency: 2, requests: 10}]
sweep:
  server.speculative: [null, {method: ngram, num_speculative_tokens: 4}]
  server.dtype: [~, 'bfloat16']
  load.dataset: [{input_tokens: 7, output_tokens: 8}]
`)
	if len(s.Cells) != 4 {
		t.Fatal(cellNames(s))
	}
	first, last := s.Cells[0].Experiment, s.Cells[3].Experiment
	if first.Server.Speculative != nil || first.Server.Dtype != "" || last.Server.Dtype != "bfloat16" || last.Server.Speculative["method"] != "ngram" ||
		last.Phases[0].Load.Dataset.InputTokens != 7 {
		t.Errorf("first %+v\nlast %+v", first, last)
	}
	if name := s.Cells[3].Name; name != `speculative={"method":"ngram","num_speculative_tokens":4} dtype=bfloat16 dataset={"input_tokens":7,"output_tokens":8}` {
		t.Errorf("name %s", name)
	}
	seen := map[string]bool{}
	for _, c := range s.Cells {
		if seen[c.Result] || strings.ContainsAny(c.Result, `/\{}" :`) {
			t.Errorf("result file %s", c.Result)
		}
		seen[c.Result] = true
	}
}

func TestEveryFaultOfASweepIsToldWithItsPlace(t *testing.T) {
	files, _ := filepath.Glob("testdata/sweeps/*.yaml")
	if len(files) < 5 {
		t.Fatalf("found %d files", len(files))
	}
	for _, name := range files {
		_, err := LoadSweep(name)
		if err == nil {
			t.Errorf("%s: no fault was found", name)
			continue
		}
		golden := strings.TrimSuffix(name, ".yaml") + ".golden"
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestASweepIsNoSingleExperiment(t *testing.T) {
	text := []byte("server: {model: m}\nload: {requests: 10}\nsweep: {load.concurrency: [1, 2]}\n")
	if _, err := Parse("x.yaml", text); err == nil || !strings.Contains(err.Error(), "x.yaml:3:9: sweep: this file is a matrix of experiments, which `lab sweep` runs") || !strings.HasSuffix(err.Error(), "1 error") {
		t.Error(err)
	}
	if err := againstSchema(t, schema(t), text); err != nil {
		t.Error(err)
	}
}

func TestEveryRunOfASweepHasSeedsOfItsOwnThatFollowFromItsPlace(t *testing.T) {
	s := sweepOf(t, "server: {model: m}\nload: [{concurrency: 1, requests: 3}, {concurrency: 2, requests: 3}]\nsweep: {server.max_num_seqs: [1, 2, 3]}\n")
	seeds := map[uint64]bool{}
	for cell := range s.Cells {
		for repeat := 1; repeat <= 2; repeat++ {
			e := s.Experiment(cell, repeat)
			for i, p := range e.Phases {
				if seeds[p.Load.Seed] || p.Load.Seed > 1<<53 {
					t.Errorf("seed %d again, or too large", p.Load.Seed)
				}
				seeds[p.Load.Seed] = true
				if again := s.Experiment(cell, repeat).Phases[i].Load.Seed; again != p.Load.Seed {
					t.Error("the seed of a place changes")
				}
			}
			if s.Cells[cell].Experiment.Phases[0].Load.Seed != 1 {
				t.Error("the cell itself was changed")
			}
		}
	}
}

func TestAChangedSweepIsToldCellByCell(t *testing.T) {
	const base = "model: m\nbase_url: http://h:1\ninput_output: [[256, 128]]\nconcurrency_prompts: "
	was := sweepOf(t, base+"[[1, 20], [4, 80], [8, 160]]\n")
	if diff := lab.DiffSweeps(was, was); diff != nil {
		t.Error(diff)
	}
	swapped := sweepOf(t, base+"[[4, 80], [1, 20], [8, 160]]\n")
	if diff := lab.DiffSweeps(was, swapped); len(diff) != 2 || !strings.Contains(diff[0], "number 1 and is number 2") {
		t.Error(diff)
	}
	is := sweepOf(t, strings.Replace(base, "h:1", "h:2", 1)+"[[1, 20], [16, 320]]\n")
	want := []string{
		"cell io256x128_mc1_np20: server.base_url was http://h:1 and is http://h:2",
		"cell io256x128_mc4_np80 is gone", "cell io256x128_mc8_np160 is gone", "cell io256x128_mc16_np320 is new",
	}
	if diff := cmp.Diff(want, lab.DiffSweeps(was, is)); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseSweep(f *testing.F) {
	f.Add([]byte(seedCombos))
	for _, dir := range []string{"testdata/sweeps/*.yaml", "*.yaml"} {
		files, _ := filepath.Glob(dir)
		for _, name := range files {
			text, _ := os.ReadFile(name)
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "extends") {
			return // it would read files
		}
		s, err := ParseSweep("x.yaml", text)
		if err == nil {
			names := map[string]bool{}
			for i, c := range s.Sweep.Cells {
				if names[c.Result] || len(c.Result) > 230 {
					t.Errorf("result file %q again, or too long", c.Result)
				}
				names[c.Result] = true
				s.Locate(i, lab.Faults{{Path: "server.max_num_seqs", Problem: "x"}})
			}
			return
		}
		for _, p := range err.(*Error).Problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" || p.Excerpt == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}
