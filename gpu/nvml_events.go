//go:build linux && cgo

package gpu

import (
	"context"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"lab/internal/lab"
)

// The driver's reports that are listened to, as nvml.h numbers them.
const (
	eventDoubleBit   = 0x2
	eventXid         = 0x8
	eventUnavailable = 0x4000
	eventRecovery    = 0x8000
	eventsWanted     = eventDoubleBit | eventXid | eventUnavailable | eventRecovery
)

// eventWait is how long the driver waits for a report; the end of sampling waits as long.
const eventWait = 250 * time.Millisecond

// listen hands on what the driver reports of the GPUs. Where it cannot be asked to, nothing is said: a GPU that falls off
// is found by its readings too.
func (l *library) listen(ctx context.Context, boards []*nvmlBoard, at func() time.Duration, event func(lab.Event)) {
	for _, symbol := range []string{"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait_v2", "nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes"} {
		if !l.can(symbol) {
			return
		}
	}
	set, c := l.EventSetCreate()
	if code(c) != success {
		return
	}
	defer set.Free()
	registered := 0
	for _, b := range boards {
		kinds, c := b.handle.GetSupportedEventTypes()
		if code(c) == success && kinds&eventsWanted != 0 && code(b.handle.RegisterEvents(kinds&eventsWanted, set)) == success {
			registered++
		}
	}
	for registered > 0 && ctx.Err() == nil {
		data, c := set.Wait(uint32(eventWait.Milliseconds()))
		switch code(c) {
		case success:
			event(lab.Event{At: at(), Kind: lab.GPUXid, Detail: reportText(boards, data)})
		case timedOut:
		default: // a lost GPU, or a driver that is reset
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// reportText says what a report is of.
func reportText(boards []*nvmlBoard, data nvml.EventData) string {
	index := -1
	for _, b := range boards {
		if b.handle == data.Device {
			index = b.index
		}
	}
	switch data.EventType {
	case eventXid:
		return xidText(index, data.EventData)
	case eventDoubleBit:
		return doubleBitText(index)
	case eventUnavailable:
		return deviceName(index) + ": the GPU is unavailable"
	case eventRecovery:
		return deviceName(index) + ": the GPU asks for a recovery"
	}
	return fmt.Sprintf("%s: report %#x of the driver", deviceName(index), data.EventType)
}
