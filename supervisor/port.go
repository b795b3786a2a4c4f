package supervisor

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PortError says that a port cannot be used, and by whom it is held if that can be seen.
type PortError struct {
	Port   int
	Holder string // such as "python (pid 4711)"; empty: unknown
	Err    error
}

func (e *PortError) Error() string {
	if e.Holder != "" {
		return fmt.Sprintf("take port %d: %s listens on it", e.Port, e.Holder)
	}
	return fmt.Sprintf("take port %d: %v", e.Port, e.Err)
}

func (e *PortError) Unwrap() error { return e.Err }

// PortFree says whether a server could have the port to itself.
//
// Two vllm servers of versions 0.7.3 to 0.24 can listen on one port without an error (SO_REUSEPORT), and a loading one
// has bound its port without listening. So connecting must be refused and a bind without any option must work; Go's
// own Listen sets SO_REUSEADDR and would miss the second case.
func PortFree(port int) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		return &PortError{Port: port, Holder: holder(port), Err: syscall.EADDRINUSE}
	}
	if _, err := bindPlain(port); err != nil {
		return &PortError{Port: port, Holder: holder(port), Err: err}
	}
	return nil
}

// FreePort picks a port that nobody holds. It prefers one below the range that clients' own ports come from, so that
// none takes it between this look and the server's bind.
func FreePort() (int, error) {
	const low, high = 20000, 32768
	for range 64 {
		if port := low + rand.IntN(high-low); PortFree(port) == nil {
			return port, nil
		}
	}
	port, err := bindPlain(0)
	if err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	return port, nil
}

// bindPlain binds a socket without options on all addresses, closes it, and returns the port it had.
func bindPlain(port int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open socket: %w", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("ask socket for its port: %w", err)
	}
	if v4, ok := name.(*syscall.SockaddrInet4); ok {
		port = v4.Port
	}
	return port, nil
}

// holder names who listens on a port, or "".
func holder(port int) string {
	sockets := listeners(port)
	if len(sockets) == 0 {
		return ""
	}
	for _, p := range processes() {
		if held := p.sockets(); anyIn(sockets, held) {
			return p.String()
		}
	}
	return "another user's process"
}

// listeners returns the socket numbers that listen on a port, IPv4 and IPv6.
func listeners(port int) []string {
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		inodes = append(inodes, parseListeners(string(text), port)...)
	}
	return inodes
}

// parseListeners reads a table of /proc/net: local address in the second column, state (0A: listening) in the
// fourth, inode in the tenth.
func parseListeners(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// sockets returns the numbers of the sockets that a process has open.
func (p process) sockets() map[string]bool {
	held := map[string]bool{}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
	for _, link := range links {
		target, err := os.Readlink(link)
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			held[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return held
}

func anyIn(names []string, set map[string]bool) bool {
	for _, name := range names {
		if set[name] {
			return true
		}
	}
	return false
}

// stranger names somebody outside the given processes who listens on the port, or "". With shared ports more than
// one may listen, so each listening socket must be ours.
func stranger(port int, ours []process) string {
	held := map[string]bool{}
	for _, p := range ours {
		for inode := range p.sockets() {
			held[inode] = true
		}
	}
	for _, inode := range listeners(port) {
		if held[inode] {
			continue
		}
		for _, p := range processes() {
			if p.sockets()[inode] {
				return p.String()
			}
		}
		return "another user's process"
	}
	return ""
}
