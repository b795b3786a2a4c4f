// Package selftest proves lab's own measuring on the machine it runs on: the load client against a server whose timing is known
// because it keeps its own stamps, beside other clients that are measured in the same way.
package selftest
