package sim

import (
	"embed"
	"fmt"
	"io"
	"strings"
)

//go:embed help/*.txt
var helpTexts embed.FS

// helpText is the list of every flag of a version, in argparse's shape.
func helpText(version string) string {
	text, err := helpTexts.ReadFile("help/" + version + ".txt")
	if err != nil {
		panic("read embedded help: " + err.Error()) // versions and files are one list, a test holds that
	}
	return string(text)
}

// flag is one of vllm's flags.
type flag struct {
	name     string
	spelled  string // all its spellings as argparse names it in errors, such as --x/--no-x
	value    bool
	optional bool // the value may be left out
	many     bool // several values
	choices  []string
}

// flagsOf reads the flags of a version out of its help text, by every spelling of theirs with its dashes.
func flagsOf(version string) map[string]flag {
	all := map[string]flag{}
	for line := range strings.Lines(helpText(version)) {
		option, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if !ok || !strings.HasPrefix(option, "-") {
			continue
		}
		option, _, _ = strings.Cut(option, "  ") // an explanation stands two blanks away
		f, spellings := readOption(option)
		for _, s := range spellings {
			if long, ok := strings.CutPrefix(s, "--"); ok {
				f.name = long
			} else {
				f.name = strings.TrimPrefix(spellings[0], "--") // a short name stands for the first long one
			}
			all[s] = f
		}
	}
	return all
}

// readOption reads one line such as "--dtype {auto,half}, -d {auto,half}".
func readOption(option string) (f flag, spellings []string) {
	for _, part := range splitTop(option) {
		spelling, value, _ := strings.Cut(part, " ")
		if !strings.HasPrefix(spelling, "-") {
			continue
		}
		spellings = append(spellings, spelling)
		f.value = f.value || value != ""
		f.many = f.many || strings.HasSuffix(value, "...]")
		f.optional = f.optional || strings.HasPrefix(value, "[") && !strings.HasPrefix(value, "['")
		if list, ok := strings.CutPrefix(value, "{"); ok && strings.HasSuffix(list, "}") {
			f.choices = strings.Split(strings.TrimSuffix(list, "}"), ",")
		}
	}
	f.spelled = strings.Join(spellings, "/")
	return f, spellings
}

// splitTop splits at commas that stand outside brackets.
func splitTop(text string) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range text {
		switch r {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(text[from:i]))
				from = i + 1
			}
		}
	}
	return append(parts, strings.TrimSpace(text[from:]))
}

// printHelp answers `serve --help` and `serve --help=WORD`.
func (c *command) printHelp(w io.Writer) error {
	text := helpText(c.t.version)
	switch word := strings.ToLower(c.helpWord); {
	case c.t.minor < 10 && word != "":
		return c.refuse("-h/--help", "ignored explicit argument '%s'", c.helpWord)
	case c.t.minor < 10 || word == "all":
		fmt.Fprint(w, text)
	case word == "" || word == "listgroup":
		head, _, _ := strings.Cut(text, "positional arguments:")
		fmt.Fprintf(w, "%sConfig Groups:\n  positional arguments\n  options\n", head)
		for line := range strings.Lines(text) {
			if group, ok := groupName(line); ok {
				fmt.Fprintf(w, "  %s\n", group)
			}
		}
		fmt.Fprint(w, "\nFor full list:            vllm serve --help=all\nFor a section:            vllm serve --help=ModelConfig    (case-insensitive)\n")
	default:
		c.printSection(w, text, word)
	}
	return nil
}

// printSection prints the group of this name, or the flags that contain the word.
func (c *command) printSection(w io.Writer, text, word string) {
	inside, found := false, false
	for line := range strings.Lines(text) {
		if group, ok := groupName(line); ok {
			inside = strings.ToLower(group) == word
		}
		option := strings.HasPrefix(line, "  -")
		if inside || option && strings.Contains(line, strings.ReplaceAll(word, "_", "-")) {
			fmt.Fprint(w, line)
			found = true
		}
	}
	if !found {
		fmt.Fprintf(w, "No group or parameter matching '%s'. Use `--help=listgroup` to see the groups.\n", c.helpWord)
	}
}

// groupName reads a line such as "ModelConfig:".
func groupName(line string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimRight(line, "\n"), ":")
	return name, ok && name != "" && name[0] >= 'A' && name[0] <= 'Z' && !strings.Contains(name, " ")
}
