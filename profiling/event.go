package profiling

import "bytes"

// event is one entry of a trace. Its slices point into the window and hold until the next one is read.
type event struct {
	phase       byte
	cat, name   []byte // as in the file: escapes are not undone. nil where it is absent or no string
	start, took int64  // ns
	timed       bool   // both times can be read; without a duration it is zero
	pid, tid    int64
	correlation int64 // 0: none
	graph       int64 // id of the CUDA graph, 0: none
}

// parse reads the event whose { is b[0]. It gives its length, more or broken.
func (e *event) parse(b []byte) int {
	*e = event{}
	var started, badDuration bool
	i := 1
	for {
		i = blanks(b, i)
		key, value, next := member(b, i)
		if next <= 0 {
			if next == 0 {
				e.timed = started && !badDuration
				return i + 1
			}
			return next
		}
		if len(key) == 4 && string(key) == "args" {
			next = e.arguments(b, value)
			if next < 0 {
				return next
			}
		} else {
			end := valueEnd(b, value)
			if end < 0 {
				return end
			}
			raw := b[value:end]
			switch string(key) {
			case "ph":
				e.phase = 0
				if len(raw) == 3 && raw[0] == '"' {
					e.phase = raw[1]
				}
			case "cat":
				e.cat = words(raw)
			case "name":
				e.name = words(raw)
			case "ts":
				e.start, started = decimal(raw, 3)
			case "dur":
				var read bool
				e.took, read = decimal(raw, 3)
				badDuration = !read || e.took < 0
			case "pid":
				e.pid = identity(raw)
			case "tid":
				e.tid = identity(raw)
			}
			next = end
		}
		if i = separator(b, next); i < 0 {
			return i
		}
	}
}

// member finds key and value of the member that begins at b[i]; next is 0 at the end of the object.
func member(b []byte, i int) (key []byte, value, next int) {
	if i >= len(b) {
		return nil, 0, more
	}
	if b[i] == '}' {
		return nil, 0, 0
	}
	if b[i] != '"' {
		return nil, 0, broken
	}
	end := shortStringEnd(b, i+1)
	if end < 0 {
		return nil, 0, end
	}
	key = b[i+1 : end-1]
	if bytes.IndexByte(key, '\\') >= 0 {
		key = []byte(text(b[i:end]))
	}
	value = blanks(b, end)
	if value >= len(b) {
		return nil, 0, more
	}
	if b[value] != ':' {
		return nil, 0, broken
	}
	value = blanks(b, value+1)
	if value >= len(b) {
		return nil, 0, more
	}
	return key, value, value
}

// separator passes what stands behind a value: a comma, or nothing before the end of the object. That nothing else may
// stand there is what finds a quote that somebody forgot to escape.
func separator(b []byte, i int) int {
	i = blanks(b, i)
	switch {
	case i >= len(b):
		return more
	case b[i] == ',':
		return i + 1
	case b[i] == '}':
		return i
	}
	return broken
}

// arguments reads the few that matter of those at b[i], and none where the category, which Kineto writes before them, says
// that none does.
func (e *event) arguments(b []byte, i int) int {
	e.correlation, e.graph = 0, 0
	if b[i] != '{' || e.cat != nil && !kindOf(e.cat).linked() {
		return valueEnd(b, i)
	}
	i++
	for {
		i = blanks(b, i)
		key, value, next := member(b, i)
		if next <= 0 {
			if next == 0 {
				return i + 1
			}
			return next
		}
		end := valueEnd(b, value)
		if end < 0 {
			return end
		}
		switch string(key) {
		case "correlation":
			e.correlation, _ = decimal(b[value:end], 0)
		case "graph id":
			e.graph, _ = decimal(b[value:end], 0)
		}
		if i = separator(b, end); i < 0 {
			return i
		}
	}
}

// words is the content of a string value, nil for any other value.
func words(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	return raw[1 : len(raw)-1 : len(raw)-1]
}

// identity makes a number of a process or thread id, which may be a word ("Spans"): words get large negative ones.
func identity(raw []byte) int64 {
	if v, ok := decimal(raw, 0); ok {
		return v
	}
	hash := uint64(14695981039346656037) // FNV-1a
	for _, c := range raw {
		hash = (hash ^ uint64(c)) * 1099511628211
	}
	return int64(hash | 1<<63)
}

// kind is what an event is about.
type kind byte

const (
	otherKind  kind = iota
	operator        // an operator of the framework
	function        // a Python function
	annotation      // a span named by the program, such as a step
	call            // a call of the GPU's runtime or driver
	kernel
	memcpy
	memset
	overhead // of the profiler itself
	session  // the profiled window
)

// kindOf knows the names of today and the capitalised ones of very old traces.
func kindOf(cat []byte) kind {
	switch string(cat) {
	case "cpu_op", "Operator":
		return operator
	case "python_function":
		return function
	case "user_annotation":
		return annotation
	case "cuda_runtime", "cuda_driver", "Runtime", "Driver", "xpu_runtime", "xpu_driver", "privateuse1_runtime", "privateuse1_driver":
		return call
	case "kernel", "Kernel":
		return kernel
	case "gpu_memcpy", "Memcpy":
		return memcpy
	case "gpu_memset", "Memset":
		return memset
	case "overhead":
		return overhead
	case "Trace":
		return session
	}
	return otherKind
}

// onGPU is work that keeps a GPU busy.
func (k kind) onGPU() bool { return k >= kernel && k <= memset }

// linked kinds have a correlation, which joins GPU work to the call that launched it.
func (k kind) linked() bool { return k >= call && k <= memset }
