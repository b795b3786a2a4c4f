package box

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lab/gpu"
	"lab/internal/lab"
)

// Free space below which recording is refused or doubted: a long run of 10 000 requests takes some 7 MB, its live file
// and a server's log several times that.
const (
	NeededSpace = 64 << 20
	enoughSpace = 2 << 30
)

// disk says whether records have room where they go, and on what kind of disk.
func disk(root, dir string) []Check {
	where := existing(dir)
	free, err := gpu.DiskFree(where)
	if err != nil {
		return []Check{{Group: onData, State: Doubt, Text: fmt.Sprintf("free space under %s could not be read: %v", dir, err)}}
	}
	checks := []Check{room(dir, free)}
	var fs syscall.Statfs_t
	var info syscall.Stat_t
	if syscall.Statfs(where, &fs) == nil && syscall.Stat(where, &info) == nil {
		checks = append(checks, kindOf(root, int64(fs.Type), info.Dev))
	}
	return checks
}

func room(dir string, free uint64) Check {
	const fix = "make room, or set LAB_DIR to another disk"
	switch {
	case free < NeededSpace:
		return Check{onData, Obstacle, fmt.Sprintf("%s free under %s", size(lab.Bytes(free)), dir), fix, "lab rm RUN"}
	case free < enoughSpace:
		return Check{onData, Doubt, fmt.Sprintf("%s free under %s", size(lab.Bytes(free)), dir), fix, "lab rm RUN"}
	}
	return Check{Group: onData, State: Good, Text: fmt.Sprintf("records go to %s, %s free", dir, size(lab.Bytes(free)))}
}

// kindOf says what kind of disk a file system is on, by its type (statfs(2)) and its device.
func kindOf(root string, fsType int64, dev uint64) Check {
	const tmpfs, nfs, smb, fuse = 0x01021994, 0x6969, 0xfe534d42, 0x65735546
	switch fsType {
	case tmpfs:
		return Check{Group: onData, State: Doubt, Text: "records go to memory (tmpfs): they are gone after a restart", Fix: "set LAB_DIR to a folder on a disk"}
	case nfs, smb, fuse:
		return Check{Group: onData, State: Doubt, Text: "records go to a network or user-space file system, whose locks and flushes cannot be relied on", Fix: "set LAB_DIR to a folder on a local disk"}
	}
	// The device numbers as the kernel packs them for programs (makedev(3)).
	major, minor := dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&^0xff
	device, err := filepath.EvalSymlinks(filepath.Join(root, fmt.Sprintf("sys/dev/block/%d:%d", major, minor)))
	if err != nil {
		return Check{} // stacked file systems have no device of their own
	}
	spins := text(device, "queue/rotational")
	if spins == "" { // a partition: the disk is above it
		device = filepath.Dir(device)
		spins = text(device, "queue/rotational")
	}
	name := filepath.Base(device)
	switch {
	case strings.HasPrefix(name, "nvme"):
		return Check{Group: onData, State: Good, Text: fmt.Sprintf("on an NVMe disk (%s)", name)}
	case spins == "0":
		return Check{Group: onData, State: Good, Text: fmt.Sprintf("on a solid-state disk (%s)", name)}
	case spins == "1":
		return Check{Group: onData, State: Noted, Text: fmt.Sprintf("on a disk that says it spins (%s; a virtual one may say so too): loading weights from it is slow, and start-up times vary", name)}
	}
	return Check{}
}

// existing is the folder, or the nearest one above it that is there: the doctor makes none.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
