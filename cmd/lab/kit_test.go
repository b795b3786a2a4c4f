package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// benchboth FILE-WITH-URL [FLAG...] runs `vllm bench serve` and `lab bench` with the same flags against the same server, and wants
// the same rows on both consoles, the same keys in the same order in both results, and in each the tokens that the
// server counted meanwhile. The results are left in real.json and ours.json.
func benchBoth(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: benchboth FILE-WITH-URL [FLAG...]")
	}
	url := strings.TrimSpace(ts.ReadFile(args[0]))
	flags := append([]string{"--base-url", url, "--model", firstModel(ts, url), "--tokenizer", ts.Getenv("MODEL"),
		"--save-result", "--save-detailed", "--result-dir", ts.Getenv("WORK")}, args[1:]...)
	vllm := filepath.Join(ts.Getenv("VENV"), "bin", "vllm")
	real := benchOne(ts, url, "real.json", append([]string{vllm, "bench", "serve"}, flags...))
	ours := benchOne(ts, url, "ours.json", append([]string{"lab", "bench"}, flags...))
	if !slices.Equal(real.rows, ours.rows) {
		ts.Fatalf("rows of vllm:\n%s\nrows of lab:\n%s", strings.Join(real.rows, "\n"), strings.Join(ours.rows, "\n"))
	}
	if !slices.Equal(real.keys, ours.keys) {
		ts.Fatalf("keys of vllm: %q\nkeys of lab: %q", real.keys, ours.keys)
	}
}

// samecounts wants real.json and ours.json to tell of the same requests: as many, of the same lengths.
func sameCounts(ts *testscript.TestScript, neg bool, args []string) {
	var both [2]struct {
		Completed int
		Inputs    []int `json:"input_lens"`
		Outputs   []int `json:"output_lens"`
	}
	for i, file := range []string{"real.json", "ours.json"} {
		text := strings.ReplaceAll(ts.ReadFile(file), "Infinity", "null")
		ts.Check(json.Unmarshal([]byte(text), &both[i]))
	}
	if d := cmp.Diff(both[0], both[1]); d != "" {
		ts.Fatalf("vllm (-) and lab (+) sent other requests:\n%s", d)
	}
}

// benched is the form of one result.
type benched struct{ rows, keys []string }

func benchOne(ts *testscript.TestScript, url, file string, command []string) benched {
	before := tokenCounts(ts, url)
	cmd := exec.Command(command[0], append(command[1:], "--result-filename", file)...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), append(scriptEnv(ts), "HF_HUB_OFFLINE=1")
	if command[0] == "lab" {
		cmd.Path = filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "lab")
		cmd.Err = nil
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	// On a busy machine lab finds that it sent late, and says so with exit 6: the result is written all the same.
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != exitInvalid {
		ts.Fatalf("%s: %v\n%s%s", command, err, out.String(), errOut.String())
	}
	after := tokenCounts(ts, url)
	text, err := os.ReadFile(ts.MkAbs(file))
	ts.Check(err)
	var result struct {
		Input  int `json:"total_input_tokens"`
		Output int `json:"total_output_tokens"`
	}
	plain := bytes.ReplaceAll(text, []byte("Infinity"), []byte("null"))
	ts.Check(json.Unmarshal(plain, &result))
	extraInput, extraOutput := 0, 0
	if command[0] == "lab" { // lab asks a server that already runs for one token of a prompt of three
		extraInput, extraOutput = 3, 1
	}
	if in, out := after.input-before.input-extraInput, after.output-before.output-extraOutput; in != result.Input || out != result.Output {
		ts.Fatalf("%s says %d tokens in and %d out, the server counted %d and %d", file, result.Input, result.Output, in, out)
	}
	return benched{rows: rowLabels(out.String()), keys: topKeys(ts, plain)}
}

// rowLabels are the lines of a result block without their numbers.
func rowLabels(console string) []string {
	_, block, _ := strings.Cut(console, "============ Serving Benchmark Result")
	var rows []string
	for line := range strings.Lines(block) {
		rows = append(rows, regexp.MustCompile(`[0-9.]+ *\n$`).ReplaceAllStringFunc(line, func(number string) string {
			form := "N"
			if strings.Contains(number, ".") {
				form = "N.NN"
			}
			return form + fmt.Sprintf(" (%d wide)", len(number)-1)
		}))
	}
	return rows
}

func topKeys(ts *testscript.TestScript, document []byte) []string {
	decoder := json.NewDecoder(bytes.NewReader(document))
	_, err := decoder.Token()
	ts.Check(err)
	var keys []string
	for decoder.More() {
		key, err := decoder.Token()
		ts.Check(err)
		keys = append(keys, key.(string))
		var value json.RawMessage
		ts.Check(decoder.Decode(&value))
	}
	return keys
}

type counts struct{ input, output int }

// tokenCounts reads the server's own counters.
func tokenCounts(ts *testscript.TestScript, url string) counts {
	text := fetch(ts, url+"/metrics")
	sum := func(name string) int {
		total := 0.0
		for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^\n]*\})? ([0-9.e+]+)$`).FindAllStringSubmatch(text, -1) {
			v, err := strconv.ParseFloat(m[1], 64)
			ts.Check(err)
			total += v
		}
		return int(total)
	}
	return counts{sum("vllm:prompt_tokens_total"), sum("vllm:generation_tokens_total")}
}

func firstModel(ts *testscript.TestScript, url string) string {
	var models struct{ Data []struct{ ID string } }
	ts.Check(json.Unmarshal([]byte(fetch(ts, url+"/v1/models")), &models))
	if len(models.Data) == 0 {
		ts.Fatalf("%s serves no model", url)
	}
	return models.Data[0].ID
}

func fetch(ts *testscript.TestScript, url string) string {
	resp, err := http.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return string(text)
}
