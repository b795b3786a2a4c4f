package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lab/internal/lab"
)

// patience is how long a busy machine may need for what should take a moment.
const patience = time.Minute

// simulate ARG... starts `lab sim ARG...` on a free port for the rest of the script and sets URL. It waits until the
// server answers, unless the first word is -later.
func simulate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: simulate [-later] MODEL [FLAG...]")
	}
	later := args[0] == "-later"
	if later {
		args = args[1:]
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := listener.Addr().String()
	ts.Check(listener.Close())
	_, port, err := net.SplitHostPort(address)
	ts.Check(err)

	log, err := os.OpenFile(ts.MkAbs("sim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	ts.Check(err)
	cmd := scriptCommand(ts, append(append([]string{"lab", "sim"}, args...), "--port", port))
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed by the script's end, or dead on the script's wish
		log.Close()
		close(ended)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	})
	url := "http://" + address
	ts.Setenv("URL", url)
	for end := time.Now().Add(patience); !later && !answers(url+"/health"); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			ts.Fatalf("the simulator ended:\n%s", ts.ReadFile("sim.log"))
		default:
		}
		if time.Now().After(end) {
			ts.Fatalf("the simulator never answered")
		}
	}
}

// envFrom NAME FILE sets a variable to what a file holds.
func envFrom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envfrom NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func answers(url string) bool {
	r, err := http.Get(url)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// measures COMMAND... runs a command that loads a server on time. It must exit 0; on a busy machine also 6, where the
// only complaint is that the client was late: what was sent and counted is the same. Complaints are the lines of stderr
// and the findings of a run in JSON.
func measures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: measures COMMAND [ARG...]")
	}
	code := exitCodeOf(ts, args)
	var faults []string
	for line := range strings.Lines(ts.ReadFile("err")) {
		complaint := strings.HasPrefix(line, "invalid: ") || strings.HasPrefix(line, "cell ") && strings.Contains(line, " is invalid: ")
		if complaint && !strings.Contains(line, "the client was the limit") {
			faults = append(faults, line)
		}
	}
	for _, f := range runFindings(ts) {
		if f.Level == lab.Invalid && !strings.HasPrefix(f.Code, "client-") {
			faults = append(faults, f.Detail)
		}
	}
	if len(faults) > 0 || code != exitOK && code != exitInvalid {
		ts.Fatalf("exit code %d, faults %q", code, faults)
	}
}

// runFindings are those of the run whose JSON a command has printed; none where it printed something else.
func runFindings(ts *testscript.TestScript) []lab.Finding {
	var printed struct {
		Run struct {
			Findings []lab.Finding `json:"findings"`
		} `json:"run"`
	}
	if json.Unmarshal([]byte(ts.ReadFile("out")), &printed) != nil {
		return nil
	}
	return printed.Run.Findings
}

// counted URL NAME TERM... wants a counter in a server's /metrics, summed over its labels, to be the sum of the terms: each
// a number, or FILE:KEY of a result. A server may need a moment to book what it has answered.
func counted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: counted URL NAME TERM...")
	}
	want := 0.0
	for _, term := range args[2:] {
		want += termValue(ts, term)
	}
	var got float64
	var err error
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err = counter(args[0], args[1])
		if err == nil && got == want {
			return
		}
		if time.Now().After(end) {
			ts.Check(err)
			ts.Fatalf("%s is %g, want %g", args[1], got, want)
		}
	}
}

// termValue is a number, or the one under KEY in the JSON file FILE.
func termValue(ts *testscript.TestScript, term string) float64 {
	name, key, named := strings.Cut(term, ":")
	if !named {
		v, err := strconv.ParseFloat(term, 64)
		ts.Check(err)
		return v
	}
	var result map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(name)), &result))
	v, ok := result[key].(float64)
	if !ok {
		ts.Fatalf("%s has no number %s", name, key)
	}
	return v
}

// counter sums the samples of one metric.
func counter(url, name string) (float64, error) {
	r, err := http.Get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	samples := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(?:\{.*\})? (\S+)$`).FindAllSubmatch(text, -1)
	if len(samples) == 0 {
		return 0, fmt.Errorf("%s/metrics has no %s", url, name)
	}
	sum := 0.0
	for _, s := range samples {
		v, err := strconv.ParseFloat(string(s[1]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// talks FILE N writes a ShareGPT file of N conversations; for the simulator, to which a byte is a token, each has a
// prompt of 40 tokens and an answer of 24, which the model may end earlier.
func talks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: talks FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	type turn struct {
		From  string `json:"from"`
		Value string `json:"value"`
	}
	type talk struct {
		ID            string `json:"id"`
		Conversations []turn `json:"conversations"`
	}
	var all []talk
	for i := range n {
		all = append(all, talk{strconv.Itoa(i), []turn{
			{"human", fmt.Sprintf("%04d: tell me something about this number", i)[:40]},
			{"gpt", fmt.Sprintf("%04d is a number, I think", i)[:24]},
		}})
	}
	text, err := json.Marshal(all)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}
