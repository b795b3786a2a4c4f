package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lab/internal/lab"
)

// openHub takes a local copy of a data set of the hub. What a row means follows from its columns.
func openHub(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	d := l.Dataset
	names, err := hubFiles(d)
	if err != nil {
		return nil, err
	}
	t, err := openTables(names)
	if err != nil {
		return nil, err
	}
	defer t.close()
	u, err := understand(t.columns(), d)
	if err != nil {
		return nil, fmt.Errorf("open data set %s: %w", d.File, err)
	}
	if u.pictured && l.API != "chat" {
		return nil, fmt.Errorf("open data set %s: it has images, which only the chat endpoint takes: use api: chat", d.File)
	}
	if u.talk && d.OutputTokens == 0 && env.words() == nil {
		return nil, fmt.Errorf("choose conversations by their length: %w", ErrNoTokenizer)
	}
	entries, err := u.sample(ctx, t, l, env)
	if err != nil {
		return nil, fmt.Errorf("read data set %s: %w", d.File, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("read data set %s: none of %d rows serves (%s)", d.File, t.rows(), u.rule())
	}
	return newList(entries, l, env), nil
}

// sample goes through the rows in order until enough of them serve. They are read in the order of the file, many at a
// time, because a row of a Parquet file is only reached through those before it.
func (u layout) sample(ctx context.Context, t tables, l lab.Load, env Env) ([]entry, error) {
	n, _ := wanted(l, env)
	order := arrange(hubOrder(t.rows(), l), env.Pool)
	var taken []entry
	for len(order) > 0 && len(taken) < n {
		batch := order[:min(len(order), n-len(taken))]
		order = order[len(batch):]
		rows, err := t.read(ctx, batch)
		if err != nil {
			return nil, err
		}
		more, err := take(ctx, rows, len(rows), env.workers(), func(ctx context.Context, r row) (entry, bool, error) {
			return u.prompt(ctx, r, l, env)
		})
		if err != nil {
			return nil, err
		}
		taken = append(taken, more...)
	}
	return taken, nil
}

// hubOrder shuffles rows as the hub's library does while it streams: through a window, so that a load reads the
// beginning of a large data set only. The draws are Python's: that library's order changes from version to version.
func hubOrder(n int, l lab.Load) []int {
	const window = 1000
	order := make([]int, 0, n)
	if l.Dataset.NoShuffle {
		for i := range n {
			order = append(order, i)
		}
		return order
	}
	random := seedPython(l.Seed)
	var held []int
	for i := range n {
		if len(held) < window {
			held = append(held, i)
			continue
		}
		k := random.below(window)
		order = append(order, held[k])
		held[k] = i
	}
	shuffle(random, held)
	return append(order, held...)
}

// hubSet is what vLLM takes of a data set where nothing is said.
type hubSet struct{ subset, split string }

// hubSets are the names that vLLM knows and whose columns lab understands.
var hubSets = map[string]hubSet{
	"lmarena-ai/VisionArena-Chat":        {split: "train"},
	"lmarena-ai/vision-arena-bench-v0.1": {split: "train"},
	"likaixin/InstructCoder":             {split: "train"},
	"philschmid/mt-bench":                {split: "train"},
	"openai/openai_humaneval":            {split: "test"},
	"openai/gsm8k":                       {subset: "main", split: "test"},
	"Lin-Chen/MMStar":                    {split: "val"},
	"lmms-lab/LLaVA-OneVision-Data":      {},
	"Aeala/ShareGPT_Vicuna_unfiltered":   {},
}

// hubFiles are the files of the split, in the order of their names.
func hubFiles(d lab.Dataset) ([]string, error) {
	info, err := os.Stat(d.File)
	if err != nil {
		return nil, notThere(d, err)
	}
	if !info.IsDir() {
		return []string{d.File}, nil
	}
	usual := hubSets[d.Name]
	subset, split := d.Subset, d.Split
	if subset == "" {
		subset = usual.subset
	}
	if split == "" {
		split = usual.split
	}
	found := dataFiles(d.File, subset)
	if len(found) == 0 {
		return nil, fmt.Errorf("open data set %s: the folder holds no .parquet, .json or .jsonl file (also looked in %s)", d.File, strings.Join(dataFolders(subset)[1:], ", "))
	}
	return chooseSplit(d.File, found, split)
}

// dataFolders are where files of a data set lie below its folder.
func dataFolders(subset string) []string {
	if subset == "" {
		return []string{".", "data"}
	}
	return []string{subset, filepath.Join("data", subset), ".", "data"}
}

// dataFiles are the files of the first folder that has any.
func dataFiles(folder, subset string) []string {
	for _, sub := range dataFolders(subset) {
		var found []string
		for _, end := range []string{"parquet", "jsonl", "json"} {
			names, _ := filepath.Glob(filepath.Join(escapeGlob(filepath.Join(folder, sub)), "*."+end))
			found = append(found, names...)
		}
		found = slices.DeleteFunc(found, func(name string) bool { return bookkeeping[filepath.Base(name)] })
		if len(found) > 0 {
			slices.Sort(found)
			return found
		}
	}
	return nil
}

// bookkeeping are files of the hub's tools that hold no rows.
var bookkeeping = map[string]bool{"dataset_infos.json": true, "dataset_info.json": true, "state.json": true}

func escapeGlob(name string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(name, `\$0`)
}

// chooseSplit keeps the files of a split: train-00000-of-00004.parquet, train.jsonl.
func chooseSplit(folder string, found []string, split string) ([]string, error) {
	splits := map[string][]string{}
	var names []string
	for _, file := range found {
		base := filepath.Base(file)
		name := regexp.MustCompile(`^(.+?)(-\d{5}-of-\d{5}.*)?\.[a-z]+$`).ReplaceAllString(base, "$1")
		if splits[name] == nil {
			names = append(names, name)
		}
		splits[name] = append(splits[name], file)
	}
	if split != "" && splits[split] != nil {
		return splits[split], nil
	}
	for _, known := range []string{"train", "test", "validation", "val"} {
		if splits[known] == nil {
			continue
		}
		if split == "" && len(names) == 1 {
			break
		}
		return nil, fmt.Errorf("open data set %s: say which split: it has %s", folder, strings.Join(names, ", "))
	}
	return found, nil // files that are named for no split belong to the only one
}

// notThere explains a path that does not exist; most often it is a name of the hub.
func notThere(d lab.Dataset, err error) error {
	const place = "place its .parquet, .json or .jsonl files in a folder and name that: --dataset-path FOLDER --hf-name %s (in an experiment dataset: {kind: hf, file: FOLDER, name: %[1]s})"
	name, ok := hubName(d.File)
	if !ok {
		return fmt.Errorf("open data set: %w", err)
	}
	if _, known := hubSets[name]; known {
		return fmt.Errorf("open data set %s: there is no such file or folder, and lab never downloads: "+place, d.File, name)
	}
	if strings.HasSuffix(name, "/VisionArena") { // as the kit's guide writes it
		return fmt.Errorf("open data set %s: there is no such file or folder, lab never downloads, and vLLM does not accept this name: the data set is lmarena-ai/VisionArena-Chat: "+place,
			d.File, "lmarena-ai/VisionArena-Chat")
	}
	return fmt.Errorf("open data set %s: there is no such file or folder, and lab never downloads: "+place, d.File, name)
}

// hubName is the name of the hub that a path spells: OWNER/NAME, also below a folder in which a relative path was looked
// up. A path into a folder that exists, or one with the ending of a data file, is none.
func hubName(path string) (string, bool) {
	if slices.Contains([]string{".parquet", ".json", ".jsonl", ".csv"}, filepath.Ext(path)) {
		return "", false
	}
	owner, name := filepath.Split(filepath.Clean(path))
	owner = filepath.Clean(owner)
	if _, err := os.Stat(owner); err == nil || owner == "." {
		return "", false
	}
	full := filepath.Base(owner) + "/" + name
	return full, regexp.MustCompile(`^[\w.-]+/[\w.-]+$`).MatchString(full)
}
