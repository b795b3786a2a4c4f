// Package supervisor looks after one vLLM server process: it finds vllm, asks it what it accepts, builds the command
// line, starts it, waits until it really serves, watches it, keeps its log, says why it failed, stops it, and cleans
// up after a lab that was killed.
//
// What the installed vllm can do is asked of that vllm (its package metadata, its help text). The log is used for
// progress and diagnosis only: whether the server lives is decided by the process, by /health and by a completed
// request, since a real vllm can die with exit code 0 and can answer /health while its engine stands still.
package supervisor
