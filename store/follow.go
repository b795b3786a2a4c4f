package store

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// Fresh is what a run has recorded since a batch.
type Fresh struct {
	Run     lab.Sealed
	From    int     // every batch from this number on is here: later than what was asked for, where that is more than most
	Batches []Batch // one for each flush of a live run, about one a second
}

// Batch is what one flush wrote. Its number is higher than that of the one before, not always by one.
type Batch struct {
	Number int
	lab.Tables
}

// Since reads what a live run has recorded from a batch on; the first is 0. Of more than most batches it gives the newest:
// so one can follow a run at the cost of its newest second, and begin with that in its second hour at no greater cost. Of a
// run that has ended there are no batches any more: Tables has its records.
func (db *DB) Since(id string, batch, most int) (Fresh, error) {
	fresh := Fresh{From: batch}
	var encoded []batchOf
	err := db.read(id, func(tx *bbolt.Tx) error {
		h, err := headOf(tx)
		if err != nil {
			return err
		}
		fresh.Run = h.Sealed
		if h.Run.Outcome != lab.Live {
			return nil
		}
		if fresh.From, err = newest(tx, batch, most); err != nil {
			return err
		}
		encoded, err = batchesFrom(tx, fresh.From)
		return err
	})
	if err != nil {
		return Fresh{}, err
	}
	for _, b := range encoded {
		t, err := b.batch.decode()
		if err != nil {
			return Fresh{}, fmt.Errorf("read run %s: %s: %w", id, db.runFile(id), err)
		}
		fresh.Batches = append(fresh.Batches, Batch{b.number, t})
	}
	return fresh, nil
}

// batchOf is a batch with its number.
type batchOf struct {
	number int
	batch  batch
}

// newest is the number after that of the last batch before the newest most, or first where that is later. It looks at names only.
func newest(tx *bbolt.Tx, first, most int) (int, error) {
	c, err := tablesOf(tx)
	if err != nil {
		return 0, err
	}
	from, n := math.MaxInt, 0
	for key, _ := c.Last(); key != nil; key, _ = c.Prev() {
		number, _, err := batchTable(key)
		if err != nil {
			return 0, err
		}
		if number < from {
			if n++; n > most || number < first {
				return max(number+1, first), nil
			}
			from = number
		}
	}
	return first, nil
}

// batchesFrom copies the batches out of a run's file, in the order in which they were written, from a number on.
func batchesFrom(tx *bbolt.Tx, first int) ([]batchOf, error) {
	c, err := tablesOf(tx)
	if err != nil {
		return nil, err
	}
	var all []batchOf
	for key, stored := c.Seek(fmt.Appendf(nil, "%09d/", first)); key != nil; key, stored = c.Next() {
		value, err := content(string(key), stored)
		if err != nil {
			return nil, err
		}
		number, table, err := batchTable(key)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].number != number {
			all = append(all, batchOf{number, batch{}})
		}
		all[len(all)-1].batch[table] = bytes.Clone(value)
	}
	return all, nil
}

func tablesOf(tx *bbolt.Tx) (*bbolt.Cursor, error) {
	tables := tx.Bucket([]byte("tables"))
	if tables == nil {
		return nil, fmt.Errorf("%w: the tables are missing", errDamaged)
	}
	return tables.Cursor(), nil
}

// batchTable takes the name under which putBatch kept a table apart.
func batchTable(key []byte) (number int, table string, err error) {
	text, table, _ := strings.Cut(string(key), "/")
	if number, err = strconv.Atoi(text); err != nil {
		return 0, "", fmt.Errorf("%w: a table is named %q", errDamaged, key)
	}
	return number, table, nil
}

// Stamp changes whenever a run begins, ends, is marked, removed or copied in, and costs two looks at the disk. What a live
// run records does not change it.
func (db *DB) Stamp() string { return stamp(db.catalog()) + "." + stamp(db.runsDir()) }

// RunStamp changes whenever something is written to a run's file. It is empty where there is no such file.
func (db *DB) RunStamp(id string) string {
	if !plainName(id) {
		return ""
	}
	return stamp(db.runFile(id))
}

func stamp(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())
}
