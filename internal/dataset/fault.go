package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
)

// plainly says what a JSON decoder found in a file without the names of Go's types.
func plainly(err error) error {
	var found *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &found):
		return err
	case found.Field == "":
		return fmt.Errorf("it is a JSON %s", found.Value)
	}
	return fmt.Errorf("%s is a JSON %s", found.Field, found.Value)
}
