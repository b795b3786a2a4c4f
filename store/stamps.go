package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"lab/internal/lab"
)

// stampColumns are a request's counts of stamps; all 0 where nothing is known of them.
type stampColumns struct {
	Kernel  int64  `parquet:"kernel,delta"`
	Reading int64  `parquet:"reading,delta"`
	Shared  int64  `parquet:"shared,delta"`
	LagSum  int64  `parquet:"lag_sum_ns,delta"`
	LagMax  int64  `parquet:"lag_max_ns,delta"`
	Lags    []byte `parquet:"lags"` // the classes that are not empty: steps from one to the next, each with its count, as varints
}

func splitStamps(s *lab.Stamps) stampColumns {
	if s == nil {
		return stampColumns{}
	}
	return stampColumns{
		Kernel: int64(s.Kernel), Reading: int64(s.Reading), Shared: int64(s.Shared),
		LagSum: int64(s.Lag.Sum), LagMax: int64(s.Lag.Max), Lags: packLags(s.Lag),
	}
}

func (c stampColumns) join() (*lab.Stamps, error) {
	if c.Kernel == 0 && c.Reading == 0 {
		return nil, nil
	}
	s := &lab.Stamps{Kernel: int(c.Kernel), Reading: int(c.Reading), Shared: int(c.Shared)}
	s.Lag.Sum, s.Lag.Max = time.Duration(c.LagSum), time.Duration(c.LagMax)
	return s, unpackLags(&s.Lag, c.Lags)
}

func packLags(l lab.Lags) []byte {
	var packed []byte
	last := 0
	for class, n := range l.Counts {
		if n == 0 {
			continue
		}
		packed = binary.AppendUvarint(packed, uint64(class-last))
		packed = binary.AppendUvarint(packed, uint64(n))
		last = class
	}
	return packed
}

func unpackLags(l *lab.Lags, packed []byte) error {
	class := uint64(0)
	for len(packed) > 0 {
		step, a := binary.Uvarint(packed)
		count, b := binary.Uvarint(packed[max(a, 0):])
		class += step
		if a <= 0 || b <= 0 || step >= lab.LagClasses || class >= lab.LagClasses || count > 1<<32-1 {
			return fmt.Errorf("decode lags: %w", errDamaged)
		}
		l.Counts[class] = uint32(count)
		packed = packed[a+b:]
	}
	return nil
}
