package main

import (
	"os"
	"syscall"
	"unsafe"
)

// inForeground says whether the terminal behind a stream is this process's to draw on. A command that was put into the
// background shares it with the shell, whose lines it would draw over.
func inForeground(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	var group int32
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return failed != 0 || int(group) == syscall.Getpgrp() // a terminal that does not say has no other group on it
}
