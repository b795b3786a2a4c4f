package store

import (
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// read opens a run's file, live or sealed, after checking that its layout is known.
func (db *DB) read(id string, f func(*bbolt.Tx) error) error {
	if !plainName(id) {
		return &RefError{Ref: id, What: "run"}
	}
	err := view(db.runFile(id), func(tx *bbolt.Tx) error {
		known, err := checkSchema(tx)
		if err == nil && !known {
			err = fmt.Errorf("%w: it holds no run of lab", errDamaged)
		}
		if err != nil {
			return err
		}
		return f(tx)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return &RefError{Ref: id, What: "run"}
	}
	if err != nil {
		return fmt.Errorf("read run %s: %w", id, err)
	}
	return nil
}

// head is everything in a run file that is no table.
type head struct {
	lab.Sealed
	Owner owner `json:"owner,omitzero"` // of a live run
}

func (db *DB) head(id string) (h head, err error) {
	err = db.read(id, func(tx *bbolt.Tx) (err error) {
		h, err = headOf(tx)
		return err
	})
	return h, err
}

func headOf(tx *bbolt.Tx) (h head, err error) {
	ok, err := get(tx, "meta", "head", &h)
	if err == nil && !ok {
		err = fmt.Errorf("%w: the run's description is missing", errDamaged)
	}
	return h, err
}

// begin writes what every run file has.
func (h head) begin(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists([]byte("tables"))
	return errors.Join(err, put(tx, "meta", "schema", schema), put(tx, "meta", "head", h))
}

// Sealed is a run with its numbers. No record is read for it.
func (db *DB) Sealed(id string) (lab.Sealed, error) {
	h, err := db.head(id)
	return h.Sealed, err
}

// Tables are all records of a run, live or sealed. They are decoded after the file is closed, so that a long table does
// not hold up the process that records.
func (db *DB) Tables(id string) (lab.Tables, error) {
	var batches []batch
	err := db.read(id, func(tx *bbolt.Tx) (err error) {
		batches, err = readBatches(tx)
		return err
	})
	if err != nil {
		return lab.Tables{}, err
	}
	var t lab.Tables
	for _, b := range batches {
		decoded, err := b.decode()
		if err != nil {
			return lab.Tables{}, fmt.Errorf("read run %s: %s: %w", id, db.runFile(id), err)
		}
		t = join(t, decoded)
	}
	return t, nil
}

// batch is the encoded tables of one flush, or of a whole sealed run, by name. An empty table has no entry.
type batch map[string][]byte

// putBatch writes a batch; the number orders the batches of a run.
func putBatch(tx *bbolt.Tx, number int, b batch) error {
	for table, value := range b {
		if err := putBytes(tx, "tables", fmt.Sprintf("%09d/%s", number, table), value); err != nil {
			return err
		}
	}
	return nil
}

// readBatches copies the batches of a run out of its file, in the order in which they were written.
func readBatches(tx *bbolt.Tx) ([]batch, error) {
	numbered, err := batchesFrom(tx, 0)
	batches := make([]batch, len(numbered))
	for i, n := range numbered {
		batches[i] = n.batch
	}
	return batches, err
}
