package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"lab/internal/lab"
)

// Flags is what `vllm serve` accepts, by long name without dashes.
type Flags struct{ byName map[string]Flag }

// Flag is one option of `vllm serve`.
type Flag struct {
	Name     string
	Value    bool // takes a value
	Optional bool // the value may be left out
	Many     bool // takes several values
	Twin     bool // --no-NAME exists and switches it off
}

// Has says whether the long flag of exactly this name exists; dashes and underscores are the same.
func (f Flags) Has(name string) bool {
	_, ok := f.Get(name)
	return ok
}

// Get returns the flag of exactly this name.
func (f Flags) Get(name string) (Flag, bool) {
	flag, ok := f.byName[strings.ReplaceAll(name, "_", "-")]
	return flag, ok
}

// Suggest returns the flag that was probably meant, or "".
func (f Flags) Suggest(name string) string {
	name = strings.ReplaceAll(name, "_", "-")
	names := make([]string, 0, len(f.byName))
	for candidate := range f.byName {
		names = append(names, candidate)
	}
	sort.Strings(names)
	best, bestDistance := "", len(name)/3+1
	for _, candidate := range names { // a name that was not written to its end
		if strings.HasPrefix(candidate, name) && len(name) >= 5 && (best == "" || len(candidate) < len(best)) {
			best = candidate
		}
	}
	if best != "" {
		return best
	}
	for _, candidate := range names {
		if d := lab.Edits(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(name) < 5 {
		return best
	}
	// A part of a name, such as batched-tokens: the shortest flag that contains it.
	for _, candidate := range names {
		if strings.Contains(candidate, name) && (best == "" || len(candidate) < len(best)) {
			best = candidate
		}
	}
	return best
}

// parseHelp reads the options out of a help text of argparse. An option stands two columns in and its explanation, if
// on the same line, is at least two blanks away.
func parseHelp(text string) Flags {
	flags := Flags{byName: map[string]Flag{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		option, ok := strings.CutPrefix(line, "  ")
		if !ok || !strings.HasPrefix(option, "-") {
			continue
		}
		if i := strings.Index(option, "  "); i >= 0 {
			option = option[:i]
		}
		flags.add(splitTop(option, ", "))
	}
	return flags
}

// add enters the spellings of one option: long names, the --no- form, short names (which lab never uses).
func (f Flags) add(spellings []string) {
	var names, negatives []string
	var flag Flag
	for _, spelling := range spellings {
		spelling, value, _ := strings.Cut(spelling, " ")
		if value != "" {
			flag.Value = true
			flag.Many = flag.Many || strings.Contains(value, "...")
			flag.Optional = flag.Optional || strings.HasPrefix(value, "[") && !strings.HasPrefix(value, "['")
		}
		long, ok := strings.CutPrefix(spelling, "--")
		if !ok || long == "help" || !flagName(long) {
			continue
		}
		if positive, negative := strings.CutPrefix(long, "no-"); negative && len(names) > 0 {
			negatives = append(negatives, positive)
			continue
		}
		names = append(names, long)
	}
	for _, name := range names {
		one := flag
		one.Name = name
		for _, negative := range negatives {
			one.Twin = one.Twin || negative == name
		}
		f.byName[name] = one
	}
}

func flagName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// splitTop splits at a separator that stands outside brackets and quotes.
func splitTop(text, separator string) []string {
	var parts []string
	depth, start, quote := 0, 0, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte("([{<", c) >= 0:
			depth++
		case strings.IndexByte(")]}>", c) >= 0:
			depth = max(0, depth-1)
		case depth == 0 && strings.HasPrefix(text[i:], separator):
			parts = append(parts, text[start:i])
			start = i + len(separator)
			i = start - 1
		}
	}
	return append(parts, text[start:])
}

// helpForms are the ways to ask for every flag. From 0.11.1 on it is `all`; up to 0.9.1 the plain help is complete;
// in between the value is a word that flags are searched for, which two dashes match everywhere.
var helpForms = []string{"--help=all", "--help", "--help=--"}

// Flags asks vllm once for its own help and keeps the answer under cacheDir; a changed installation is asked again.
func (i Installation) Flags(ctx context.Context, cacheDir string) (Flags, error) {
	file, err := i.helpFile(cacheDir)
	if err != nil {
		return Flags{}, err
	}
	if text, err := os.ReadFile(file); err == nil {
		if flags := parseHelp(string(text)); flags.complete() {
			return flags, nil
		}
	}
	text, err := i.askHelp(ctx)
	if err != nil {
		return Flags{}, err
	}
	if err := writeFile(file, []byte(text)); err != nil {
		return Flags{}, fmt.Errorf("keep help of vllm: %w", err)
	}
	return parseHelp(text), nil
}

// complete says whether this is the whole list and not a page of it.
func (f Flags) complete() bool {
	return f.Has("port") && f.Has("served-model-name") && f.Has("max-model-len") && f.Has("max-num-seqs")
}

func (i Installation) askHelp(ctx context.Context) (string, error) {
	var last error
	for _, form := range helpForms {
		stdout, _, err := ask(ctx, append(append([]string{}, i.Argv...), "serve", form))
		if flags := parseHelp(stdout); err == nil && flags.complete() {
			return stdout, nil
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("ask %s for its flags: %w", i.Path, context.Cause(ctx))
		}
		if err == nil {
			err = fmt.Errorf("`serve %s` lists no flags", form)
		}
		last = err
	}
	return "", fmt.Errorf("ask %s for its flags: %w", i.Path, last)
}

func (i Installation) helpFile(cacheDir string) (string, error) {
	info, err := os.Stat(i.Path)
	if err != nil {
		return "", fmt.Errorf("look at vllm: %w", err)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", i.Path, i.Version, info.ModTime().UnixNano(), info.Size()))
	return filepath.Join(cacheDir, "vllm-help-"+hex.EncodeToString(key[:8])+".txt"), nil
}

// writeFile replaces a file whole, so that nobody reads half of it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
