package store

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

func FuzzLags(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{20, 3, 1, 200, 1})
	f.Add([]byte{0x80})
	f.Add([]byte{200, 1, 1})
	f.Fuzz(func(t *testing.T, packed []byte) {
		var l, again lab.Lags
		if unpackLags(&l, packed) != nil {
			l = lab.Lags{}
		}
		if err := unpackLags(&again, packLags(l)); err != nil || again.Counts != l.Counts {
			t.Errorf("%v, %v: %v", l.Counts, again.Counts, err)
		}
	})
}

func TestATableOfRequestsFromBeforeTheStampsIsReadWithoutThem(t *testing.T) {
	type before struct {
		Seq    int64  `parquet:"seq,delta"`
		Phase  string `parquet:"phase,dict"`
		Chunks int64  `parquet:"chunks,delta"`
		Text   string `parquet:"text"`
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[before](&file, parquet.Compression(&parquet.Zstd))
	if _, err := w.Write([]before{{Seq: 1, Phase: "load", Text: "said"}, {Seq: 2, Phase: "load"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := batch{"requests": file.Bytes()}.decode()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, lab.Tables{Requests: []lab.RequestRecord{{Seq: 1, Phase: "load", Text: "said"}, {Seq: 2, Phase: "load"}}}, got)
}
