package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Lock is the right to measure on one machine (or on some GPUs of it). It ends with the process that holds it.
type Lock struct{ files []*os.File }

// BusyError says who holds the right to measure.
type BusyError struct{ What, Holder string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is being measured by %s: wait for it to end (--wait does), or stop it", e.What, e.Holder)
}

// LockFolder is where the locks of this user are: a folder all of the user's processes share.
func LockFolder(getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "lab")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("lab-%d", os.Getuid()))
}

// Acquire takes the lock on every named device ("host" where there is no GPU), in sorted order. command is shown to
// whoever finds it taken. With wait it tries until ctx ends, else it returns a *BusyError at once.
func Acquire(ctx context.Context, folder string, devices []string, command string, wait bool) (*Lock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	lock := &Lock{}
	for _, device := range devices {
		if err := lock.add(ctx, filepath.Join(folder, device+".lock"), device, command, wait); err != nil {
			lock.Release()
			return nil, err
		}
	}
	return lock, nil
}

func (l *Lock) add(ctx context.Context, name, device, command string, wait bool) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return fmt.Errorf("lock %s: %w", name, err)
		}
		if !wait {
			holder, _ := os.ReadFile(name)
			f.Close()
			return &BusyError{What: device, Holder: strings.TrimSpace(string(holder))}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	// What it says is for people; the lock itself is the kernel's.
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "pid %d: %s\n", os.Getpid(), command)
	}
	l.files = append(l.files, f)
	return nil
}

// Release gives the lock back.
func (l *Lock) Release() {
	for _, f := range l.files {
		f.Close()
	}
	l.files = nil
}
