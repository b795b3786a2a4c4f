package lab

import (
	"strconv"
	"strings"
)

// Apart writes a value and the limit that it is over, or under, with the fewest decimals, and at least so many, at which
// the two do not look alike: "5.003" and "5.000", never "5.0 is over 5.0". Alike values come out alike.
func Apart(v, limit float64, decimals int) (value, bound string) {
	const most = 12
	for {
		value, bound = fixed(v, decimals), fixed(limit, decimals)
		if value != bound || v == limit || decimals >= most {
			return value, bound
		}
		decimals++
	}
}

// fixed writes a number with so many decimals, and what rounds to nothing without a sign.
func fixed(v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Trim(text, "-0.") == "" {
		return strings.TrimPrefix(text, "-")
	}
	return text
}
