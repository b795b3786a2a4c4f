package loadgen

import "testing"

func TestMostMessagesOverLoopbackHaveTheKernelsStamp(t *testing.T) {
	with, of, err := LoopbackStamps()
	if err != nil || of == 0 || 2*with < of {
		t.Errorf("%d of %d stamped, %v", with, of, err)
	}
}
