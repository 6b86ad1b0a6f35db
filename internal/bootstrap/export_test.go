package bootstrap

import (
	"io/fs"

	"mayfly/internal/runner"
)

// Disk lets a test play the disk.
type Disk interface {
	Read(path string) ([]byte, error)
	Mkdir(path string, mode fs.FileMode) error
	Create(path string, data []byte, mode fs.FileMode) error
	Rename(from, to string) error
	Remove(path string) error
	Sync(dir string) error
}

// FirstStartOn is FirstStart on a test's disk.
func FirstStartOn(d Disk) (map[string]runner.Secret, error) { return firstStart(played{d}) }

type played struct{ d Disk }

func (p played) read(path string) ([]byte, error)          { return p.d.Read(path) }
func (p played) mkdir(path string, mode fs.FileMode) error { return p.d.Mkdir(path, mode) }

func (p played) create(path string, data []byte, m fs.FileMode) error {
	return p.d.Create(path, data, m)
}

func (p played) rename(from, to string) error { return p.d.Rename(from, to) }
func (p played) remove(path string) error     { return p.d.Remove(path) }
func (p played) sync(dir string) error        { return p.d.Sync(dir) }

// SealedPath and KeysPath are where the two halves are.
const (
	SealedPath = sealedPath
	KeysPath   = keysPath
)
