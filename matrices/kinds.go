package matrices

import (
	"slices"
	"strings"
)

// kindKeys says which keys of a data set go with a kind; `kind` itself goes with all. The reader's own refusals are
// lab's (Experiment.Validate); this table is what people and editors are told, and a test holds it to those refusals.
type kindKeys struct {
	kind  string
	needs []string // without these the kind says nothing
	takes []string
}

var kinds = []kindKeys{
	{"random", nil, []string{"input_tokens", "output_tokens", "range_ratio", "output_range_ratio", "prefix_tokens", "vocab", "tokenizer"}},
	{"prompts", []string{"file"}, []string{"output_tokens", "no_oversample"}},
	{"custom", []string{"file"}, []string{"output_tokens", "fixed_output", "no_shuffle", "no_oversample", "no_chat_template", "tokenizer"}},
	{"sharegpt", []string{"file"}, []string{"output_tokens", "fixed_output", "no_shuffle", "no_oversample", "tokenizer"}},
	{"prefix_repetition", nil, []string{"prefixes", "prefix_tokens", "input_tokens", "output_tokens", "no_shuffle", "vocab", "tokenizer"}},
	{"timed_trace", []string{"file"}, []string{"trace", "vocab", "tokenizer"}},
	{"random-mm", nil, []string{"input_tokens", "output_tokens", "range_ratio", "output_range_ratio", "prefix_tokens", "images", "vocab", "tokenizer"}},
	{"hf", []string{"file"}, []string{"name", "subset", "split", "output_tokens", "fixed_output", "no_shuffle", "no_oversample", "no_chat_template", "tokenizer"}},
}

// kindNames lists the kinds.
func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.kind)
	}
	return names
}

// keysOfKind are the keys that a data set of a kind may have; nil for a kind that is not known.
func keysOfKind(kind string) []string {
	for _, k := range kinds {
		if k.kind == kind {
			return slices.Concat([]string{"kind"}, k.needs, k.takes)
		}
	}
	return nil
}

// kindOf is the kind that a data set has in writing, or by default.
func kindOf(dataset *node) string {
	switch kind, file := dataset.get("kind"), dataset.get("file"); {
	case kind != nil && kind.kind == scalar:
		return kind.text
	case file != nil:
		return "prompts"
	}
	return "random"
}

// fittingKeys names the keys that fit the kind of a data set, for somebody who wrote one that nobody knows.
func fittingKeys(kind string) string {
	known := keysOfKind(kind)
	if known == nil {
		return ""
	}
	return " (kind " + kind + " takes " + strings.Join(known[1:], ", ") + ")"
}

// kindSchemas are the rules between the kind of a data set and its other keys. A key set to null counts as left out.
func kindSchemas(all []string) []object {
	var rules []object
	for _, k := range kinds {
		is := object{"required": []string{"kind"}, "properties": object{"kind": object{"const": k.kind}}}
		if k.kind == "random" { // also where neither kind nor file is written
			is = object{"anyOf": []object{is, {"not": object{"anyOf": []object{{"required": []string{"kind"}}, {"required": []string{"file"}}}}}}}
		}
		if k.kind == "prompts" {
			is = object{"anyOf": []object{is, {"required": []string{"file"}, "not": object{"required": []string{"kind"}}}}}
		}
		others := object{}
		for _, name := range all {
			if !slices.Contains(keysOfKind(k.kind), name) {
				others[name] = object{"type": "null"}
			}
		}
		then := object{"properties": others}
		if k.kind == "sharegpt" { // the answers in the file say how many tokens to generate, unless that is turned off
			set := object{"required": []string{"output_tokens"}, "properties": object{"output_tokens": object{"type": "integer"}}}
			fixed := object{"required": []string{"fixed_output"}, "properties": object{"fixed_output": object{"const": true}}}
			then["if"], then["then"] = set, fixed
		}
		if len(k.needs) > 0 {
			then["required"] = k.needs
		}
		rules = append(rules, object{"if": is, "then": then})
	}
	return rules
}
