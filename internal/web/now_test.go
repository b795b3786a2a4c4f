package web

import (
	"testing"

	"lab/internal/lab"
	"lab/store"
)

func TestAPowerIsToldWithItsLimitWhereBothAreRead(t *testing.T) {
	for _, c := range []struct {
		values map[string]float64
		want   string
	}{
		{map[string]float64{lab.GPUTemp: 40, lab.GPUPower: 70, lab.GPUPowerLimit: 700}, "40 °C · 70 W of 700 W"},
		{map[string]float64{lab.GPUTemp: 40, lab.GPUPower: 70}, "40 °C · 70 W"},
		{map[string]float64{lab.GPUTemp: 40, lab.GPUPowerLimit: 700}, "40 °C"},
	} {
		v := nowOf([]store.Announcement{{Status: lab.Status{Stage: "load", GPUs: []lab.Gauges{{Device: "gpu0", Values: c.values}}}}})
		if len(v.Items) != 1 || len(v.Items[0].Devices) != 1 || v.Items[0].Devices[0] != (fact{"gpu0", c.want}) {
			t.Errorf("%v is told as %+v", c.values, v)
		}
	}
}
