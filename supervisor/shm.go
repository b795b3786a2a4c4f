package supervisor

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

const shmDir = "/dev/shm"

// shmNames are how Python, torch and NCCL name what they leave in /dev/shm when they are killed.
var shmNames = []string{"psm_", "sem.", "torch_", "nccl-"}

// listShm returns the files of /dev/shm.
func listShm() map[string]bool {
	files := map[string]bool{}
	entries, _ := os.ReadDir(shmDir)
	for _, entry := range entries {
		if !entry.IsDir() {
			files[filepath.Join(shmDir, entry.Name())] = true
		}
	}
	return files
}

// inodeOf is the inode of a file, or of what a link leads to.
func inodeOf(name string) (uint64, bool) {
	var info syscall.Stat_t
	if syscall.Stat(name, &info) != nil {
		return 0, false
	}
	return info.Ino, true
}

// cleanShm removes what a dead server left in /dev/shm and returns the names. A file goes if the server was seen
// using it, or if it is new since the launch, has a name and the owner that fit, and no living process uses it (what
// belongs to another program is mapped there while that program runs).
func cleanShm(before map[string]bool, seen map[uint64]bool) []string {
	candidates := map[string]bool{}
	for file := range listShm() {
		inode, _ := inodeOf(file)
		if !before[file] && (seen[inode] || left(file)) {
			candidates[file] = true
		}
	}
	return removeUnused(candidates)
}

// removeSeen removes what processes that have ended were seen using in /dev/shm.
func removeSeen(seen map[uint64]bool) {
	files := map[string]bool{}
	for file := range listShm() {
		if inode, ok := inodeOf(file); ok && seen[inode] {
			files[file] = true
		}
	}
	removeUnused(files)
}

// left says whether a file looks like what a killed server leaves.
func left(file string) bool {
	fits := false
	for _, prefix := range shmNames {
		fits = fits || strings.HasPrefix(filepath.Base(file), prefix)
	}
	var info syscall.Stat_t
	return fits && syscall.Stat(file, &info) == nil && int(info.Uid) == os.Geteuid()
}

// removeUnused removes the given files of /dev/shm unless a living process uses them.
func removeUnused(files map[string]bool) []string {
	if len(files) == 0 {
		return nil
	}
	used := map[uint64]bool{}
	for _, p := range processes() {
		for _, inode := range p.sharedMemory() {
			used[inode] = true
		}
	}
	var removed []string
	for file := range files {
		if inode, ok := inodeOf(file); ok && !used[inode] && os.Remove(file) == nil {
			removed = append(removed, file)
		}
	}
	sort.Strings(removed)
	return removed
}
