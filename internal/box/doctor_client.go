package box

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// The limits below which a load of many streams meets the machine before it meets the server.
const (
	enoughFiles   = 4096
	enoughBacklog = 1024
	enoughPorts   = 10000
)

func openFiles() Check {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return Check{Group: onClient, State: Doubt, Text: fmt.Sprintf("the limit of open files could not be read: %v", err)}
	}
	return openFilesOf(limit.Max)
}

// openFilesOf: one stream is one open connection; Go raises the soft limit to the hard one on its own.
func openFilesOf(most uint64) Check {
	if most < enoughFiles {
		return Check{onClient, Doubt, fmt.Sprintf("at most %d open files, so at most about as many streams", most), "raise the hard limit before lab is started", "ulimit -Hn 65536"}
	}
	return Check{Group: onClient, State: Good, Text: fmt.Sprintf("up to %d open files", most)}
}

// backlog is how many connections may wait until the server accepts them: a load that sends all at once needs them.
func backlog(root string) Check {
	n, err := strconv.Atoi(text(root, "proc/sys/net/core/somaxconn"))
	switch {
	case err != nil:
		return Check{}
	case n < enoughBacklog:
		return Check{onClient, Doubt, fmt.Sprintf("at most %d connections wait to be accepted; more at once are refused or come again a second later", n), "", "sudo sysctl -w net.core.somaxconn=4096"}
	}
	return Check{Group: onClient, State: Good, Text: fmt.Sprintf("up to %d connections may wait to be accepted", n)}
}

// ports are the numbers that outgoing connections may have; a closed one is kept for a minute.
func ports(root string) Check {
	words := strings.Fields(text(root, "proc/sys/net/ipv4/ip_local_port_range"))
	if len(words) != 2 {
		return Check{}
	}
	low, errLow := strconv.Atoi(words[0])
	high, errHigh := strconv.Atoi(words[1])
	switch {
	case errLow != nil || errHigh != nil || high < low:
		return Check{}
	case high-low+1 < enoughPorts:
		return Check{onClient, Doubt, fmt.Sprintf("only %d ports for outgoing connections, each kept for a minute after its end", high-low+1), "",
			`sudo sysctl -w net.ipv4.ip_local_port_range="10240 65535"`}
	}
	return Check{Group: onClient, State: Good, Text: fmt.Sprintf("%d ports for outgoing connections", high-low+1)}
}
