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

// LockFolder is where the locks are: one folder for all users and sessions of the machine, whatever their TMPDIR.
// $LAB_LOCK_DIR names another, for tests.
func LockFolder(getenv func(string) string) string {
	if dir := getenv("LAB_LOCK_DIR"); dir != "" {
		return dir
	}
	return "/tmp/lab-locks"
}

// makeFolder makes a folder that every user may put files into, like /tmp itself.
func makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	return os.Chmod(folder, 0o777|os.ModeSticky)
}

// openLock opens a lock file, made by whichever user came first.
func openLock(name string) (*os.File, error) {
	if f, err := os.OpenFile(name, os.O_RDWR, 0); err == nil {
		return f, nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	f.Chmod(0o666)
	return f, nil
}

// holder is what the process that has a lock wrote into it.
func holder(name string) string {
	text, _ := os.ReadFile(name)
	if who := strings.TrimSpace(string(text)); who != "" {
		return who
	}
	return "another lab"
}

// Acquire takes the lock on every named device ("host" where there is no GPU), in sorted order. command is shown to
// whoever finds it taken. Where it is taken, waiting is told so once and Acquire tries until ctx ends; without waiting it
// returns a *BusyError at once.
func Acquire(ctx context.Context, folder string, devices []string, command string, waiting func(error)) (*Lock, error) {
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	lock := &Lock{}
	for _, device := range devices {
		if err := lock.add(ctx, filepath.Join(folder, device+".lock"), device, command, waiting); err != nil {
			lock.Release()
			return nil, err
		}
	}
	return lock, nil
}

func (l *Lock) add(ctx context.Context, name, device, command string, waiting func(error)) error {
	f, err := openLock(name)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return fmt.Errorf("lock %s: %w", name, err)
		}
		busy := &BusyError{What: device, Holder: holder(name)}
		if waiting == nil {
			f.Close()
			return busy
		}
		if !told {
			told = true
			waiting(busy)
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
