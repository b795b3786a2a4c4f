// Package house holds the rules of the house as tests: who may import whom, who owns which heavy dependency, how files
// and packages look. docs/architecture.md says why; here the rules bite.
package house
