package main

import (
	"fmt"
	"strconv"
	"strings"
)

// percent is a flag that is written like 5% and means a share.
type percent float64

func (p *percent) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*p)*100, 'g', -1, 64) + "%"
}

// Type is what the help shows in place of the value.
func (p *percent) Type() string { return "PERCENT" }

// Set reads 5%; a bare number could as well mean a share.
func (p *percent) Set(text string) error {
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(v > 0 && v < 100) {
		return fmt.Errorf("write it in per cent, above 0%% and below 100%%, such as 5%%")
	}
	*p = percent(v / 100)
	return nil
}
