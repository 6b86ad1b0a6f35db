package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeAll writes files: all of them beside their places first, so that a full disk or a missing right changes nothing, then each
// by one rename.
func writeAll(files []File) (err error) {
	staged := make([]string, 0, len(files))
	defer func() {
		for _, path := range staged {
			if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("remove what wasn't finished: %w", e))
			}
		}
	}()
	for _, f := range files {
		path, err := stage(f)
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		staged = append(staged, path)
	}
	for i, f := range files {
		if err := os.Rename(staged[i], f.Path); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		if err := syncFolder(filepath.Dir(f.Path)); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// The modes of files: mayfly.yaml holds no secret.
const (
	secretMode fs.FileMode = 0o600
	configMode fs.FileMode = 0o644
)

// stage writes a file beside its place; CreateTemp makes it readable by its owner only.
func stage(f File) (path string, err error) {
	t, err := os.CreateTemp(filepath.Dir(f.Path), "."+filepath.Base(f.Path)+".*")
	if err != nil {
		return "", err
	}
	mode := configMode
	if f.Secret {
		mode = secretMode
	}
	_, err = t.Write(f.Content)
	err = errors.Join(err, t.Chmod(mode), t.Sync(), t.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(t.Name()))
	}
	return t.Name(), nil
}

// syncFolder makes a rename outlast a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
