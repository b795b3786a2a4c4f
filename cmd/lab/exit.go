package main

import (
	"context"
	"errors"
	"syscall"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/runner"
	"lab/matrices"
	"lab/store"
	"lab/supervisor"
)

// The exit codes, an interface of their own: docs/architecture.md, section 7, and `lab help exit-codes`.
const (
	exitOK         = 0
	exitInternal   = 1
	exitUsage      = 2
	exitConfig     = 3
	exitPreflight  = 4
	exitServer     = 5
	exitInvalid    = 6
	exitGateFailed = 7
	exitUndecided  = 8
)

// usageError is a bad flag or argument.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// fileError is a result file that cannot be read as one.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// toldError carries an exit code for something that was already said on stdout or stderr.
type toldError struct{ code int }

func (e *toldError) Error() string { return "" }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var (
		told     *toldError
		usage    *usageError
		ask      *runner.AskError
		unknown  *store.RefError
		config   *matrices.Error
		faults   lab.Faults
		obstacle *runner.ObstacleError
		server   *runner.ServerFailedError
		death    *supervisor.DeathError
		missing  *supervisor.NotFoundError
		port     *supervisor.PortError
		stopped  *interrupt
		file     *fileError
		argument *kit.ArgumentError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &stopped):
		return 128 + int(stopped.signal)
	case errors.As(err, &usage), errors.As(err, &ask), errors.As(err, &unknown), errors.As(err, &argument):
		return exitUsage
	case errors.As(err, &config), errors.As(err, &faults), errors.As(err, &file):
		return exitConfig
	case errors.As(err, &obstacle), errors.As(err, &missing), errors.As(err, &port), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitPreflight
	case errors.As(err, &server), errors.As(err, &death):
		return exitServer
	}
	return exitInternal
}

// interrupted gives the cause of an ended context where the user ended it, else err.
func interrupted(ctx context.Context, err error) error {
	var stopped *interrupt
	if errors.As(context.Cause(ctx), &stopped) {
		return stopped
	}
	return err
}
