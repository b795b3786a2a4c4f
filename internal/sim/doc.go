// Package sim is a server that speaks vLLM's HTTP and behaves like continuous batching, with a simulated GPU beside it,
// for demos and tests. It takes vLLM's command line, plays the versions whose behaviour was recorded, and can be told
// to fail. Its tokenizer is a toy: one byte is one token, and the id is the byte's value plus 8.
package sim
