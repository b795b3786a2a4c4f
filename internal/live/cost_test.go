//go:build linux

package live

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"lab/internal/lab"
)

// BenchmarkFrame is what one frame costs before anything is written.
func BenchmarkFrame(b *testing.B) {
	for name, s := range map[string]lab.Status{"run": running(), "alerts": alarmed(), "ab": comparing(), "sweep": sweeping()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Frame(s, Size{200, 50}, true, false)
			}
		})
	}
}

// BenchmarkCost is the share of a core that the view takes while everything that it shows changes, twice a second, on a
// terminal of 200×50: drawing, comparing with what is there, writing.
func BenchmarkCost(b *testing.B) {
	terminal, screen := openTerminal(b)
	reader := exec.Command("cat") // what reads the screen is not the view's cost
	reader.Stdin = screen
	if err := reader.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		reader.Process.Kill()
		reader.Wait()
	})
	v := New(terminal, Options{Mode: Live, Color: true, Env: []string{"TERM=xterm-256color"}})
	s := alarmed()
	v.Show(s)
	time.Sleep(time.Second)
	before, began := used(b), time.Now()
	for b.Loop() { // a second each
		for range 4 { // as often as a run says how it goes
			s = changed(s)
			v.Show(s)
			time.Sleep(250 * time.Millisecond)
		}
	}
	share := (used(b) - before).Seconds() / time.Since(began).Seconds()
	v.Close()
	b.ReportMetric(share*100, "%core")
}

// changed is a status in which every figure is another one.
func changed(s lab.Status) lab.Status {
	s.OK += 3
	s.Since += 250 * time.Millisecond
	s.Latencies = append([]lab.Latency(nil), s.Latencies...)
	for i := range s.Latencies {
		l := &s.Latencies[i]
		for _, d := range []*time.Duration{&l.Recent.P50, &l.Recent.P90, &l.Recent.P99, &l.Phase.P50, &l.Phase.P90, &l.Phase.P99, &l.Phase.Max} {
			*d += *d / 97
			if *d > 20*time.Second {
				*d = time.Millisecond
			}
		}
		l.Phase.N += 1000
		l.Trend = append(append([]time.Duration(nil), l.Trend...), l.Recent.P50)
		l.Trend = l.Trend[max(0, len(l.Trend)-30):]
	}
	s.Output.Recent++
	s.Output.Phase++
	values := map[string]float64{}
	for name, v := range s.GPUs[0].Values {
		values[name] = v * 1.001
	}
	s.GPUs = []lab.Gauges{{Device: "gpu0", Name: s.GPUs[0].Name, Memory: s.GPUs[0].Memory, Values: values}}
	return s
}

func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// openTerminal gives both ends of a pseudo terminal of 200×50.
func openTerminal(b *testing.B) (terminal, screen *os.File) {
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		b.Skip(err)
	}
	control := func(request uintptr, arg unsafe.Pointer) {
		if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(arg)); failed != 0 {
			b.Skip(failed)
		}
	}
	var locked, number int32
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&[4]uint16{50, 200, 0, 0}))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { terminal.Close(); screen.Close() })
	return terminal, screen
}
