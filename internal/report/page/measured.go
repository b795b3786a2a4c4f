package page

import (
	"maps"
	"slices"
	"strings"

	"lab/internal/lab"
	"lab/internal/report"
)

// measured is what was asked, of what, on which machine.
func (p runPage) measured(b *Body) {
	b.Parts(p.Say("The run", "测试"), report.Of(p.parts, report.OfFacts))
	for _, part := range report.Of(p.parts, report.OfLoad) {
		b.Parts("", []report.Part{part})
	}
	if v := p.Against; v != nil {
		b.differences(p.Say("What differs from the baseline", "与基线的差异"), p.Say("baseline", "基线"), p.Say("this run", "本次"), v.Different)
	}
	b.commands([]lab.Run{p.Sealed.Run})
	b.Details(p.Say("Configuration", "配置"), func(b *Body) { b.configuration(p.Sealed.Run.Experiment) })
	b.Details(p.Say("What the server settled on", "服务端实际取值"), func(b *Body) { b.settled(p.Sealed.Run) })
	b.Details(p.Say("Versions and fingerprint of the machine", "版本与机器指纹"), func(b *Body) { b.fingerprint(p.Sealed.Run) })
}

// commands are the exact command lines.
func (b *Body) commands(runs []lab.Run) {
	for _, r := range runs {
		arm := ""
		if len(runs) > 1 {
			arm = r.Arm + ": "
		}
		if r.Command != "" && r.Arm != "B" {
			b.Code(b.Say("What was typed", "输入的命令"), r.Command)
		}
		if len(r.Server.Argv) > 0 {
			b.Code(arm+b.Say("The server's command line", "服务端命令行"), commandLine(r.Server))
		}
	}
}

// commandLine is a command as a shell takes it, with what lab set in its environment.
func commandLine(s lab.ServerFacts) string {
	var words []string
	var unset []string
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if s.Env[name] == "" {
			unset = append(unset, "-u "+name)
			continue
		}
		words = append(words, name+"="+shell(s.Env[name]))
	}
	if len(unset) > 0 {
		words = append([]string{"env " + strings.Join(unset, " ")}, words...)
	}
	for _, arg := range s.Argv {
		words = append(words, shell(arg))
	}
	return strings.Join(words, " ")
}

// shell quotes a word where a shell would not take it as it is.
func shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (b *Body) differences(caption, a, second string, all []lab.Difference) {
	t := report.Table{Head: []string{b.Say("key", "键"), a, second}}
	for _, d := range all {
		t.Rows = append(t.Rows, []string{d.Path, orUnset(b, d.A), orUnset(b, d.B)})
	}
	b.Table(caption, t)
}

func orUnset(b *Body, text string) string {
	if text == "" {
		return b.Say("(not set)", "（未设）")
	}
	return text
}

// configuration lists what an experiment sets, by the paths of its file.
func (b *Body) configuration(e lab.Experiment) {
	t := report.Table{Head: []string{b.Say("key", "键"), b.Say("value", "值")}}
	for _, d := range lab.Diff(e, lab.Experiment{}) {
		if d.A != "" {
			t.Rows = append(t.Rows, []string{d.Path, d.A})
		}
	}
	b.Table(b.Say("What the experiment sets", "实验设定"), t)
}

func (b *Body) settled(r lab.Run) {
	t := report.Table{Head: []string{b.Say("setting", "设置"), b.Say("value", "值")}}
	for _, name := range slices.Sorted(maps.Keys(r.Server.Resolved)) {
		t.Rows = append(t.Rows, []string{name, r.Server.Resolved[name]})
	}
	b.Table(b.Say("Values that the server itself gave", "服务端自报的值"), t)
}

// fingerprint lists what must be alike in runs that are set beside each other, and the versions.
func (b *Body) fingerprint(r lab.Run) {
	t := report.Table{Head: []string{b.Say("what", "项目"), b.Say("value", "值")}}
	add := func(name, value string) {
		if value != "" {
			t.Rows = append(t.Rows, []string{name, value})
		}
	}
	add("lab", r.Lab)
	add("vllm", r.Server.Version)
	add("vllm package", r.Server.Package)
	add("executable", r.Server.Executable)
	add("CUDA", r.Host.CUDA)
	add("experiment key", r.Key)
	facts := r.Host.Fingerprint()
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		add(name, facts[name])
	}
	b.Table(b.Say("Versions and machine", "版本与机器"), t)
}
