package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lab/internal/lab"
)

// sourceFile is where the folder of an imported run keeps a result of another program as it stood in its file.
const sourceFile = "result.json"

// Import records a run that was made elsewhere. The document it came as is kept beside it where there is one; an import
// that is killed on the way leaves an interrupted run.
func (db *DB) Import(s lab.Sealed, records []lab.RequestRecord, document []byte) (err error) {
	begun := s.Run
	begun.Outcome = lab.Live
	w, err := db.Begin(begun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, r := range records {
		w.Request(r)
	}
	if document != nil {
		dir := db.RunDir(s.Run.ID)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("keep the result: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, sourceFile), document, 0o600); err != nil {
			return fmt.Errorf("keep the result: %w", err)
		}
	}
	return w.Seal(s.Run, s.Summary)
}

// Source is the document that an imported run came as.
func (db *DB) Source(id string) ([]byte, error) {
	return os.ReadFile(filepath.Join(db.RunDir(id), sourceFile))
}
