package loadgen

import (
	"fmt"
	"net"
	"time"
)

// LoopbackStamps tries whether the kernel stamps what arrives over loopback, as connections of a load ask it to: of so
// many messages, so many had a stamp. The first on a machine may have none.
func LoopbackStamps() (with, of int, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("try receive stamps: %w", err)
	}
	defer listener.Close()
	from, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return 0, 0, fmt.Errorf("try receive stamps: %w", err)
	}
	defer from.Close()
	to, err := listener.Accept()
	if err != nil {
		return 0, 0, fmt.Errorf("try receive stamps: %w", err)
	}
	defer to.Close()
	const messages = 50
	to.SetDeadline(time.Now().Add(5 * time.Second))
	var s stamped
	if s.start(to); !s.on {
		return 0, messages, nil
	}
	buffer := make([]byte, 1)
	for range messages {
		if _, err := from.Write(buffer); err != nil {
			return 0, 0, fmt.Errorf("try receive stamps: %w", err)
		}
		_, stamp, err := s.receive(buffer)
		if err != nil {
			return 0, 0, fmt.Errorf("try receive stamps: %w", err)
		}
		if stamp > 0 {
			with++
		}
		time.Sleep(time.Millisecond) // the kernel begins to stamp some milliseconds after it was asked to
	}
	return with, messages, nil
}
