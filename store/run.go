package store

import (
	"bytes"
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
	owner owner
}

func (db *DB) head(id string) (h head, err error) {
	err = db.read(id, func(tx *bbolt.Tx) (err error) {
		h, err = headOf(tx)
		return err
	})
	return h, err
}

func headOf(tx *bbolt.Tx) (h head, err error) {
	for key, value := range map[string]any{"run": &h.Run, "summary": &h.Summary, "owner": &h.owner} {
		if _, err := get(tx, "meta", key, value); err != nil {
			return head{}, err
		}
	}
	return h, nil
}

// Run is what is known of a run itself.
func (db *DB) Run(id string) (lab.Run, error) {
	h, err := db.head(id)
	return h.Run, err
}

// Summary is a sealed run's numbers; those of a run that was not sealed are empty.
func (db *DB) Summary(id string) (lab.Summary, error) {
	h, err := db.head(id)
	return h.Summary, err
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
		key := fmt.Sprintf("%09d/%s", number, table)
		if err := putBytes(tx, "tables", key, value); err != nil {
			return err
		}
		if err := putBytes(tx, "sums", key, checksum(value)); err != nil {
			return err
		}
	}
	return nil
}

// readBatches copies the batches of a run out of its file, in the order in which they were written. bbolt itself does not
// notice a flipped bit in a value; the checksums do.
func readBatches(tx *bbolt.Tx) ([]batch, error) {
	tables, sums := tx.Bucket([]byte("tables")), tx.Bucket([]byte("sums"))
	if tables == nil || sums == nil {
		return nil, nil
	}
	var batches []batch
	last := ""
	err := tables.ForEach(func(key, value []byte) error {
		if !bytes.Equal(sums.Get(key), checksum(value)) {
			return fmt.Errorf("%w: the checksum of table %s differs", errDamaged, key)
		}
		number, table, _ := bytes.Cut(key, []byte("/"))
		if string(number) != last || batches == nil {
			batches, last = append(batches, batch{}), string(number)
		}
		batches[len(batches)-1][string(table)] = bytes.Clone(value)
		return nil
	})
	return batches, err
}
