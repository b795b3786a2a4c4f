package supervisor

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"lab/internal/lab"
)

const (
	quoteLines = 8   // of the log, in a failure
	lookBack   = 400 // lines before the end in which the cause of a death while serving is looked for
)

// logPrefix is what vllm puts before a line: "(Worker pid=7) ERROR 11-25 04:05:35 [file.py:9] ". Its first group is
// the process.
var logPrefix = regexp.MustCompile(`^(?:\((\w+)[^)]*\) )?(?:(?:INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?`)

// exception is the last line of a Python traceback: the class, and mostly a text.
var exception = regexp.MustCompile(`^(?:[a-zA-Z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Interrupt|Exit|NotFound|Failure))(?:: ?(.*))?$`)

// usage is how argparse refuses an argument.
var usage = regexp.MustCompile(`^[\w./ -]+: error: (.*)$`)

// generic are exceptions that only say that another process failed; the cause stands elsewhere.
var generic = []string{
	"Engine core initialization failed", "WorkerProc initialization failed", "EngineCore encountered an issue",
	"Engine process failed to start", "Executor failed", "cancelled", "KeyboardInterrupt", "SystemExit", "CancelledError",
	"See stack trace", "BrokenPipeError", "EngineDeadError", "MQEngineDeadError",
}

// deaths are the lines that say that the engine or a worker is gone, the telling ones first.
var deaths = []string{
	"died unexpectedly", "engine core exited unexpectedly", "EngineCore encountered a fatal error",
	"died with exit code", "Got fatal signal from worker", "EngineDeadError", "AsyncLLM output_handler failed",
}

// starts are the lines with which an engine gives up before it is ready.
var starts = []string{"EngineCore failed to start", "WorkerProc failed to start", "Engine core initialization failed", "Engine process failed to start"}

func startFailed(text string) bool { return containsAny(text, starts) }

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// causeKind gives the class of a cause by its words.
type causeKind struct {
	class string
	words *regexp.Regexp
	hint  string
}

// kinds are in order: the first that fits counts. They are compiled when a server has failed, and not at each start of lab.
var kinds = sync.OnceValue(func() []causeKind {
	return []causeKind{
		{lab.FailPort, regexp.MustCompile(`Address already in use`), "the port was taken"},
		{lab.FailMemory, regexp.MustCompile(`OutOfMemoryError|out of memory|No available memory for the cache blocks|less than desired|KV cache is needed, which is larger|larger than the maximum number of tokens that can be stored in KV cache|Too large swap space|MemoryError|Cannot allocate memory|exit code -9`), "not enough memory"},
		{lab.FailModel, regexp.MustCompile(`HFValidationError|LocalEntryNotFoundError|RepositoryNotFoundError|GatedRepoError|EntryNotFoundError|not a local folder|Cannot find any model weights|Can't load|Error no file named|SafetensorError|is not a valid model identifier|Error retrieving file list|does not appear to have a file named`), "the model cannot be read"},
		{lab.FailEnviron, regexp.MustCompile(`Failed to infer device type|No CUDA GPUs|CUDA driver|NVIDIA driver|libcuda|ImportError|ModuleNotFoundError|cannot open shared object|not compiled with CUDA|NCCL error|not supported with device type|no kernel image|CUDA error: invalid device ordinal`), "the environment lacks something"},
		{lab.FailConfig, regexp.MustCompile(`ValidationError|^ValueError|^NotImplementedError|^TypeError|^AssertionError`), "vllm refused the combination of values"},
	}
})

// line is one line of the log, taken apart.
type line struct {
	index int
	rank  int // 3 a worker, 2 the engine, 1 the API server or nobody in particular
	text  string
}

func takeApart(lines []lab.LogLine) []line {
	parts := make([]line, len(lines))
	for i, l := range lines {
		m := logPrefix.FindStringSubmatch(l.Text)
		rank := 1
		switch who := m[1]; {
		case strings.Contains(who, "Worker"):
			rank = 3
		case strings.HasPrefix(who, "EngineCore"):
			rank = 2
		}
		parts[i] = line{index: i, rank: rank, text: l.Text[len(m[0]):]}
	}
	return parts
}

// Classify turns a log and an exit into a failure. An end that lab asked for is none; any other end is one, whatever
// the exit code, since an engine that dies takes its server down with exit code 0.
//
// The cause is looked for from the inside out: what a worker raised explains what the engine says, and that explains
// what the API server says. It stands on stdout, while the tracebacks on stderr mostly tell the generic end.
func Classify(lines []lab.LogLine, exit Exit, requested bool, phase string) *lab.Failure {
	if requested {
		return nil
	}
	parts := takeApart(lines)
	f := &lab.Failure{Class: lab.FailUnknown, Exit: exit.String(), Phase: phase}
	switch {
	case refused(f, parts, exit):
	case phase == serving:
		died(f, parts, exit)
	default:
		notStarted(f, parts, exit)
	}
	if len(f.Quote) == 0 {
		f.Quote = lastWords(lines, quoteLines)
	}
	return f
}

// refused fills in the failure if vllm did not take its arguments.
func refused(f *lab.Failure, parts []line, exit Exit) bool {
	if exit.Exited && exit.Code != 2 {
		return false
	}
	for i := len(parts) - 1; i >= 0; i-- {
		m := usage.FindStringSubmatch(parts[i].text)
		if m == nil {
			continue
		}
		f.Class = lab.FailArguments
		f.Quote = texts(parts[i:], quoteLines)
		if flags, ok := strings.CutPrefix(m[1], "unrecognized arguments: "); ok {
			f.Reason = "vllm does not know " + flags
		} else {
			f.Reason = "vllm refused an argument: " + strings.TrimPrefix(joined(m[1], parts[i+1:]), "argument ")
		}
		return true
	}
	return false
}

// notStarted fills in why a server never became ready.
func notStarted(f *lab.Failure, parts []line, exit Exit) {
	if cause, ok := rootCause(parts); ok {
		f.Class, f.Reason, f.Quote = describe(cause, parts)
		return
	}
	for _, p := range parts {
		if startFailed(p.text) {
			f.Class = lab.FailEngine
			f.Reason = "the engine did not start, and its log does not say why"
			f.Quote = texts(parts[p.index:], 1)
			return
		}
	}
	f.Class, f.Reason = lab.FailExit, ended(exit)+" before it was ready"
}

// died fills in why a server that was ready is gone. Exceptions of single requests may stand in the log of a healthy
// server, so the cause is looked for in workers and the engine only, near the end, and only if one of them died.
func died(f *lab.Failure, parts []line, exit Exit) {
	if len(parts) > lookBack {
		parts = parts[len(parts)-lookBack:]
	}
	mark, found := firstDeath(parts)
	if !found {
		f.Class, f.Reason = lab.FailExit, ended(exit)+", and lab had not asked for it"
		return
	}
	f.Class = lab.FailEngine
	f.Reason = "the engine died: " + mark.text
	f.Quote = []string{mark.text}
	// Where others noticed a silent death, what came after it are its consequences.
	noticed := strings.Contains(mark.text, "unexpectedly")
	var inner []line
	for _, p := range parts {
		if p.rank > 1 && (!noticed || p.index < mark.index) {
			inner = append(inner, p)
		}
	}
	if cause, ok := rootCause(inner); ok {
		class, reason, quote := describe(cause, parts)
		f.Reason, f.Quote = "the engine died: "+reason, append(f.Quote, quote...)
		if class == lab.FailMemory {
			f.Class = class
		}
	}
	if exit.Exited {
		f.Reason += " (the server then ended, " + exit.String() + ")"
	}
}

func firstDeath(parts []line) (line, bool) {
	for _, mark := range deaths {
		for _, p := range parts {
			if strings.Contains(p.text, mark) {
				return p, true
			}
		}
	}
	return line{}, false
}

// rootCause finds the exception that explains most: of the innermost process that has one, the first that lab knows
// how to read, else the first. Of a chain of exceptions the first is the cause and the rest is its handling.
func rootCause(parts []line) (line, bool) {
	var best line
	bestWeight := 0
	for _, p := range parts {
		if !exception.MatchString(p.text) || containsAny(p.text, generic) {
			continue
		}
		weight := 2 * p.rank
		for _, kind := range kinds() {
			if kind.class != lab.FailConfig && kind.words.MatchString(p.text) {
				weight++
				break
			}
		}
		if weight > bestWeight {
			best, bestWeight = p, weight
		}
	}
	return best, bestWeight > 0
}

// describe turns a cause into class, reason and quote.
func describe(cause line, parts []line) (class, reason string, quote []string) {
	m := exception.FindStringSubmatch(cause.text)
	var after []line
	for i, p := range parts {
		if p.index == cause.index {
			after = parts[i+1:]
		}
	}
	what := joined(m[2], after)
	class, hint := lab.FailEngine, ""
	if cause.rank == 1 {
		class = lab.FailUnknown
	}
	for _, kind := range kinds() {
		if kind.words.MatchString(cause.text) {
			class, hint = kind.class, kind.hint
			break
		}
	}
	quote = []string{cause.text}
	if strings.HasSuffix(m[1], "ValidationError") && strings.Contains(m[2], "validation error") {
		quote = texts(append([]line{cause}, detail(after)...), quoteLines)
	}
	switch {
	case what == "":
		what = m[1]
	case m[1] == "OSError" || m[1] == "RuntimeError" || m[1] == "ValueError" || m[1] == "ValidationError":
	default:
		what = m[1] + ": " + what
	}
	if hint != "" {
		return class, hint + ": " + what, quote
	}
	return class, what, quote
}

// joined adds to the head of a pydantic message the lines that say what is wrong.
func joined(head string, after []line) string {
	if !strings.Contains(head, "validation error") {
		return head
	}
	words := make([]string, 0, 2)
	for _, p := range detail(after) {
		text := strings.TrimPrefix(strings.TrimSpace(p.text), "Value error, ")
		if i := strings.Index(text, " [type="); i > 0 {
			text = text[:i]
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return head
	}
	if name, _, ok := strings.Cut(head, ": "); ok && strings.HasPrefix(head, "argument ") {
		return name + ": " + strings.Join(words, ": ")
	}
	return strings.Join(words, ": ")
}

// detail returns the lines of a pydantic message after its head: the field, if there is one, and the complaint.
func detail(after []line) []line {
	for i, p := range after {
		if strings.Contains(p.text, "For further information") || i == 4 {
			return after[:i]
		}
	}
	return nil
}

func ended(exit Exit) string {
	switch {
	case !exit.Exited:
		return "the server stopped working"
	case exit.Signal == syscall.SIGKILL:
		return "the server was killed by signal 9 (not by lab; perhaps by the kernel for want of memory)"
	}
	return fmt.Sprintf("the server ended (%s)", exit)
}

func texts(parts []line, n int) []string {
	var out []string
	for _, p := range parts[:min(n, len(parts))] {
		out = append(out, p.text)
	}
	return out
}

// lastWords are the last lines with something to say: errors if there are any, else whatever came last.
func lastWords(lines []lab.LogLine, n int) []string {
	var errors, all []string
	for i, p := range takeApart(lines) {
		if containsAny(p.text, []string{"resource_tracker", "warnings.warn(", `"GET /health `, `"GET /metrics `}) {
			continue
		}
		all = append(all, p.text)
		if strings.Contains(lines[i].Text, " ERROR ") || exception.MatchString(p.text) {
			errors = append(errors, p.text)
		}
	}
	if len(errors) > 0 {
		all = errors
	}
	return all[max(0, len(all)-n):]
}
