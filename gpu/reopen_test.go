package gpu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"lab/internal/lab"
)

// serveReopened is the part of the test binary that opens the driver three times. Each time eight goroutines read every
// group beside their listeners; they are opened one after another, as go-nvml asks for.
func serveReopened() error {
	for range 3 {
		var sources [8]Source
		for i := range sources {
			source, err := OpenNVML("", nil, 0)
			if err != nil {
				return err
			}
			sources[i] = source
		}
		var all [len(sources)]error
		var read sync.WaitGroup
		for i, source := range sources {
			read.Go(func() { all[i] = readBesideListener(source) })
		}
		read.Wait()
		err := errors.Join(all[:]...)
		for _, source := range sources {
			err = errors.Join(err, source.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readBesideListener(source Source) (err error) {
	at := func() time.Duration { return time.Second }
	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { source.Listen(ctx, at, func(lab.Event) {}) })
	for range 20 {
		for _, group := range everyGroup {
			for _, s := range source.Read(group, at).Samples {
				if s.Error != "" || s.Values[lab.GPUPower] != 70 && group == Fast {
					err = errors.Join(err, fmt.Errorf("%s gave %+v", group, s))
				}
			}
		}
	}
	cancel()
	listening.Wait()
	return err
}

func TestTheDriverMayBeOpenedAgainAndReadByManyAtOnce(t *testing.T) {
	t.Parallel()
	self := append(fakeDriver(t, traceFile(t, "0 5 5 70000 1000 40 345 2619\n")), "sampler", "--reopened")
	if out, err := exec.Command(self[0], self[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
