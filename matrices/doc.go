// Package matrices reads experiment files: YAML with written units, one file an experiment, with every fault told at
// once by file, line and column; and matrices of them, for sweeps. It also has the shipped files and the JSON Schema that
// editors use.
package matrices
