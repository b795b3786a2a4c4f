package lab

import (
	"crypto/rand"
	"time"
)

// NewID makes an identifier that sorts by time and can be typed: date, time to the second in UTC, and four characters
// that keep two of the same second apart, as in 20261123-140512-k3f9.
func NewID(now time.Time) string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz" // 32 of them, without i l o u
	var noise [4]byte
	rand.Read(noise[:]) // never fails, see its documentation
	for i, b := range noise {
		noise[i] = letters[int(b)%len(letters)]
	}
	return now.UTC().Format("20060102-150405-") + string(noise[:])
}
