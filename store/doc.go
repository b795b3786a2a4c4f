// Package store keeps what was measured: DIR/lab.db is a small catalog, every run is a bbolt file of its own,
// DIR/runs/ID.db, and DIR/runs/ID/ holds further files of a run.
//
// bbolt locks a file for one process, even against readers. So no file is open between calls, each is open for
// milliseconds, and several lab processes can use one DIR at once.
//
// A run file has two buckets. "meta" holds, as JSON, the version of the layout, and the head: the run with its plan, the
// summary of a sealed run, the owning process of a live one. "tables" holds the records as Parquet: a live run gets
// another batch of tables with every flush, a sealed one has a single batch. Each value begins with its checksum.
//
// The run files are the truth. The catalog only makes lists fast; it is mended whenever it disagrees with them and can
// be deleted.
package store
