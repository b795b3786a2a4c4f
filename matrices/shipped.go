package matrices

import (
	"embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:embed *.yaml
var shipped embed.FS

// Shipped gives the text of one of the files that come with lab.
func Shipped(name string) ([]byte, error) {
	text, err := shipped.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("no shipped file %q: there are %s", name, strings.Join(Names(), ", "))
	}
	return text, nil
}

// Names lists the shipped files.
func Names() []string {
	entries, err := shipped.ReadDir(".")
	if err != nil {
		panic("read embedded files: " + err.Error()) // the folder is part of the binary
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// scaffoldModel is the model of the commented file, in its place.
const scaffoldModel = "meta-llama/Llama-3.1-8B-Instruct     #"

// unquoted are the names that YAML takes as they are.
var unquoted = regexp.MustCompile(`^[\w.~-]*/[\w./-]+$`)

// Scaffold is the commented file that `lab init` writes, for a model.
func Scaffold(model string) []byte {
	text, err := shipped.ReadFile("scaffold.yaml")
	if err != nil {
		panic("read embedded file: " + err.Error())
	}
	if model == "" {
		return text
	}
	if !unquoted.MatchString(model) {
		model = strconv.Quote(model)
	}
	pad := max(1, len(scaffoldModel)-1-len(model))
	return []byte(strings.Replace(string(text), scaffoldModel, model+strings.Repeat(" ", pad)+"#", 1))
}
