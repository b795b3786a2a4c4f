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
	err := view(db.runFile(id), lockWait, func(tx *bbolt.Tx) error {
		var version int
		if ok, err := get(tx, "meta", "schema", &version); err != nil || !ok {
			return errors.Join(errors.New("it is no run of lab"), err)
		}
		if version > schema {
			return fmt.Errorf("it was written by a newer lab (layout %d, this one knows %d): use that one", version, schema)
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

// Run is what is known of a run itself.
func (db *DB) Run(id string) (lab.Run, error) {
	s, err := db.Sealed(id)
	return s.Run, err
}

// Summary are a sealed run's numbers; those of a run that was not sealed are empty.
func (db *DB) Summary(id string) (lab.Summary, error) {
	s, err := db.Sealed(id)
	return s.Summary, err
}

// Sealed is a run with its numbers. No record is read for it.
func (db *DB) Sealed(id string) (lab.Sealed, error) {
	var s lab.Sealed
	err := db.read(id, func(tx *bbolt.Tx) error {
		_, err := get(tx, "meta", "run", &s.Run)
		_, sumErr := get(tx, "meta", "summary", &s.Summary)
		return errors.Join(err, sumErr)
	})
	return s, err
}

// Tables are all records of a run, live or sealed.
func (db *DB) Tables(id string) (lab.Tables, error) {
	var t lab.Tables
	err := db.read(id, func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("tables")); b != nil {
			var err error
			t, err = decodeTables(b.Get)
			return err
		}
		live := tx.Bucket([]byte("live"))
		if live == nil {
			return nil
		}
		return live.ForEach(func(_, packed []byte) error {
			var batch lab.Tables
			if err := unpack(packed, &batch); err != nil {
				return err
			}
			t = join(t, batch)
			return nil
		})
	})
	return t, err
}
