package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schema is the version of the layout of run files and catalog.
const schema = 1

// Whoever meets another process in a file waits this long before it gives up.
const lockWait = 10 * time.Second

// unfinished is appended to the name of a file until it is whole.
const unfinished = ".new"

var errDamaged = errors.New("the file is damaged")

// view reads a bbolt file.
func view(name string, f func(*bbolt.Tx) error) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("read %s: %w: it is empty", name, errDamaged) // bbolt would try to fill it
	}
	return guard(name, func() error {
		var file *os.File
		options := &bbolt.Options{ReadOnly: true, Timeout: lockWait}
		options.OpenFile = func(name string, flag int, perm fs.FileMode) (opened *os.File, err error) {
			file, err = os.OpenFile(name, flag, perm)
			return file, err
		}
		b, err := bbolt.Open(name, 0o600, options)
		if err != nil {
			return err
		}
		err = b.View(func(tx *bbolt.Tx) error {
			if err := whole(file, tx); err != nil {
				return err
			}
			return f(tx)
		})
		return errors.Join(err, b.Close())
	})
}

// whole finds a file that was cut short before a page that is not there is touched.
func whole(file *os.File, tx *bbolt.Tx) error {
	info, err := file.Stat() // by name it may be another one by now: a seal puts a new file in the place of this one
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%w: it was cut to %d of %d bytes", errDamaged, info.Size(), tx.Size())
	}
	return nil
}

// change writes to a bbolt file that exists; made says that it may be made.
func change(name string, wait time.Duration, made bool, f func(*bbolt.Tx) error) error {
	options := &bbolt.Options{Timeout: wait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}
	if !made {
		options.OpenFile = func(name string, flag int, perm fs.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag&^os.O_CREATE, perm)
		}
	}
	return withAdvice(guard(name, func() error {
		b, err := bbolt.Open(name, 0o600, options)
		if err != nil {
			return err
		}
		return errors.Join(b.Update(f), b.Close())
	}))
}

// create writes a new bbolt file, which takes its name, and the place of an older one, when it is whole and on the disk.
func create(name string, f func(*bbolt.Tx) error) error {
	fresh := name + unfinished
	if err := os.RemoveAll(fresh); err != nil { // of a process that was killed
		return err
	}
	err := change(fresh, lockWait, true, f) // bbolt syncs what it wrote
	if err == nil {
		err = os.Rename(fresh, name)
	}
	if err != nil {
		os.Remove(fresh) // gives its room back to a full disk; the error that counts is the first
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// guard turns what bbolt does when it meets a damaged page (a panic, or a memory fault beyond the end of the file) into
// an error, and names the file in every error.
func guard(name string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %s: %w: %v", name, errDamaged, p)
		}
	}()
	err = f()
	for _, damage := range []error{berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return fmt.Errorf("read %s: %w: %w", name, errDamaged, err)
		}
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("open %s: another process holds it: %w", name, err)
	}
	if err != nil && !errors.As(err, new(*fs.PathError)) { // that one names the file itself
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// withAdvice adds what to do to an error of a full disk.
func withAdvice(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (make room: `lab rm` removes runs; what was recorded before is safe)", err)
	}
	return err
}

// checkSchema refuses a file of a newer lab.
func checkSchema(tx *bbolt.Tx) (known bool, err error) {
	var version int
	known, err = get(tx, "meta", "schema", &version)
	if err == nil && version > schema {
		err = fmt.Errorf("it was written by a newer lab (layout %d, this one knows up to %d): use that one", version, schema)
	}
	return known, err
}

// Every value in a file begins with a checksum of its key and content: bbolt itself does not notice a flipped bit.

func putBytes(tx *bbolt.Tx, bucket, key string, content []byte) error {
	b, err := tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	return b.Put([]byte(key), append(checksum(key, content), content...))
}

// content checks a value that putBytes wrote. It is the file's own memory, valid until the transaction ends.
func content(key string, value []byte) ([]byte, error) {
	const length = 4
	if len(value) < length || !bytes.Equal(value[:length], checksum(key, value[length:])) {
		return nil, fmt.Errorf("%w: the checksum of %q differs", errDamaged, key)
	}
	return value[length:], nil
}

func checksum(key string, content []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	return binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.Checksum([]byte(key), table), table, content))
}

// put writes a value as JSON into a bucket.
func put(tx *bbolt.Tx, bucket, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return putBytes(tx, bucket, key, text)
}

// get reads what put wrote; ok is false where there is none.
func get(tx *bbolt.Tx, bucket, key string, value any) (ok bool, err error) {
	b := tx.Bucket([]byte(bucket))
	if b == nil {
		return false, nil
	}
	stored := b.Get([]byte(key))
	if stored == nil {
		return false, nil
	}
	return true, parse(key, stored, value)
}

// all reads every value of a bucket.
func all[T any](tx *bbolt.Tx, bucket string) ([]T, error) {
	b := tx.Bucket([]byte(bucket))
	if b == nil {
		return nil, nil
	}
	var values []T
	err := b.ForEach(func(key, stored []byte) error {
		var value T
		err := parse(string(key), stored, &value)
		values = append(values, value)
		return err
	})
	return values, err
}

func parse(key string, stored []byte, value any) error {
	text, err := content(key, stored)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	return nil
}
