// Package sim is a server that speaks vLLM's HTTP and behaves like continuous batching, with a simulated GPU beside it,
// for demos and tests. It takes vLLM's command line and can be told to fail.
package sim
