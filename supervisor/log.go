package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"lab/internal/lab"
)

const (
	keptLines  = 5000     // of the log, in memory; a start-up is some 200 lines
	longLine   = 64 << 10 // a longer line is cut into pieces
	tailPeriod = 20 * time.Millisecond
)

// logbook follows what the server writes. The server writes into files and not into pipes: a full pipe would make it
// wait for lab in the middle of a measurement, and a killed lab would take the log with it.
type logbook struct {
	clock lab.Clock
	emit  func(lab.LogLine)
	files [2]*os.File // stdout, stderr
	split [2]splitter

	reading sync.Mutex // one reader at a time, so that lines keep their order

	mu      sync.Mutex
	lines   []lab.LogLine
	startup startup
	fatal   time.Duration // when the log said that the engine could not start
}

func openLog(clock lab.Clock, emit func(lab.LogLine), stdout, stderr string) (*logbook, error) {
	b := &logbook{clock: clock, emit: emit}
	for i, name := range []string{stdout, stderr} {
		f, err := os.Open(name)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("open server log: %w", err)
		}
		b.files[i] = f
	}
	return b, nil
}

// follow reads until quit is closed.
func (b *logbook) follow(quit <-chan struct{}) {
	tick := time.NewTicker(tailPeriod)
	defer tick.Stop()
	for {
		b.read()
		select {
		case <-quit:
			return
		case <-tick.C:
		}
	}
}

// read takes in what was written since the last call.
func (b *logbook) read() {
	b.reading.Lock()
	defer b.reading.Unlock()
	buffer := make([]byte, 32<<10)
	for i, f := range b.files {
		for {
			n, err := f.Read(buffer)
			at := b.clock.Now()
			for _, text := range b.split[i].feed(buffer[:n]) {
				b.add(lab.LogLine{At: at, Stderr: i == 1, Text: text})
			}
			if err != nil || n == 0 {
				break // the end for now; a read error shows as a log that stops
			}
		}
	}
}

// finish reads the rest, the line without an end included.
func (b *logbook) finish() {
	b.read()
	b.reading.Lock()
	defer b.reading.Unlock()
	for i := range b.split {
		for _, text := range b.split[i].feed([]byte("\n")) {
			b.add(lab.LogLine{At: b.clock.Now(), Stderr: i == 1, Text: text})
		}
	}
	b.close()
}

func (b *logbook) close() {
	for _, f := range b.files {
		if f != nil {
			f.Close()
		}
	}
}

func (b *logbook) add(line lab.LogLine) {
	b.mu.Lock()
	if len(b.lines) >= keptLines {
		b.lines = append(b.lines[:0], b.lines[keptLines/5:]...)
	}
	b.lines = append(b.lines, line)
	b.startup.see(line)
	if b.fatal == 0 && startFailed(line.Text) {
		b.fatal = line.At
	}
	b.mu.Unlock()
	if b.emit != nil {
		b.emit(line)
	}
}

// tail returns the last n lines; n < 0 means all that are kept.
func (b *logbook) tail(n int) []lab.LogLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	if n >= 0 && len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return append([]lab.LogLine(nil), lines...)
}

// splitter cuts a stream of bytes into lines of text. A carriage return ends a line too, since progress bars use it
// to draw over themselves; colours and empty lines are dropped.
type splitter struct{ partial []byte }

func (s *splitter) feed(data []byte) []string {
	s.partial = append(s.partial, data...)
	var lines []string
	for {
		i := bytes.IndexAny(s.partial, "\r\n")
		if i < 0 && len(s.partial) < longLine {
			return lines
		}
		next := i + 1
		if i < 0 || i > longLine {
			i, next = longLine, longLine
		}
		if text := plain(string(s.partial[:i])); text != "" {
			lines = append(lines, text)
		}
		s.partial = append(s.partial[:0], s.partial[next:]...)
	}
}

// ansi matches the escape sequences of terminals: colours, cursor moves, titles.
var ansi = regexp.MustCompile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\-_])")

func plain(text string) string {
	if strings.IndexByte(text, 0x1b) >= 0 {
		text = ansi.ReplaceAllString(text, "")
	}
	return strings.TrimRight(strings.ToValidUTF8(text, "�"), " \t\x00")
}
