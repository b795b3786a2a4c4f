package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// scalar writes a value of an experiment as vllm's parser reads it. Numbers may have passed through JSON and be
// floats by now: 4096 must not become 4.096e+03.
func scalar(value any) string {
	f, ok := value.(float64)
	switch {
	case !ok:
		return fmt.Sprint(value)
	case math.Abs(f) < 1e15:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// jsonText writes compact JSON with sorted keys, and leaves < > & as they are, since people read command lines.
func jsonText(value any) (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
