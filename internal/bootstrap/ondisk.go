package bootstrap

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// onDisk is a disk below a folder.
type onDisk string

func (d onDisk) at(path string) string { return filepath.Join(string(d), path) }

func (d onDisk) read(path string) ([]byte, error) { return os.ReadFile(d.at(path)) }

func (d onDisk) mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(d.at(path), mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d onDisk) create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(d.at(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return closed(f, err)
}

func (d onDisk) rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }

func (d onDisk) remove(path string) error {
	if err := os.Remove(d.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d onDisk) sync(dir string) error {
	f, err := os.Open(d.at(dir))
	if err != nil {
		return err
	}
	return closed(f, f.Sync())
}

// closed closes a file; what went wrong before counts more.
func closed(f *os.File, err error) error {
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
