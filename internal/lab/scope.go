package lab

// Scope says where a verdict was found: it holds for this box, these servers and this model only. Taken from the runs
// that count; what they differ in among themselves is a warning beside it.
type Scope struct {
	Box    string   `json:"box"`
	GPUs   []string `json:"gpus,omitempty"` // name and UUID of each
	Locked bool     `json:"clocks_locked,omitempty"`
	A      string   `json:"server_a"` // "vllm 0.32.0"
	B      string   `json:"server_b"`
	Model  string   `json:"model,omitempty"` // of B
}
