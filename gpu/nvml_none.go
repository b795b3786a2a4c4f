//go:build !linux || !cgo

package gpu

import "errors"

// OpenNVML says that this binary cannot ask a driver.
func OpenNVML(string, []string, int) (Source, error) {
	return nil, errors.New("this lab was built without cgo, so it cannot load the NVIDIA driver library")
}
