package loadgen

// textHash is a hash of what was generated (FNV-1a of 64 bits over the text as it stands between the quotes of the stream's
// JSON, its reasoning included): it says whether two answers are the same without keeping either. How the text was cut into
// events does not change it.
type textHash struct {
	sum  uint64
	some bool // there was text
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (a *textHash) add(text []byte) {
	if len(text) == 0 {
		return
	}
	sum := a.sum
	if !a.some {
		sum, a.some = fnvOffset, true
	}
	for _, c := range text {
		sum = (sum ^ uint64(c)) * fnvPrime
	}
	a.sum = sum
}

// hash is 0 where nothing was said, as by an answer that only calls tools.
func (a *textHash) hash() uint64 {
	if a.some && a.sum == 0 { // which means not known
		return 1
	}
	return a.sum
}
