// Package store keeps what was measured: DIR/lab.db is a small catalog, every run is a bbolt file of its own under
// DIR/runs. No file is held open between calls, so several lab processes can use one DIR at once.
package store
