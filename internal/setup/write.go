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
	places := make([]string, len(files))
	for i, f := range files {
		places[i] = place(f.Path)
		path, err := stage(f, places[i])
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		staged = append(staged, path)
	}
	for i, f := range files {
		if err := os.Rename(staged[i], places[i]); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		if err := syncFolder(filepath.Dir(places[i])); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// place is where a file is in the end: a link to it stays one.
func place(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// The modes of new files: mayfly.yaml holds no secret. One that is there keeps its own.
const (
	secretMode fs.FileMode = 0o600
	configMode fs.FileMode = 0o644
)

// stage writes a file beside its place; CreateTemp makes it readable by its owner only.
func stage(f File, place string) (path string, err error) {
	mode := secretMode
	if !f.Secret {
		mode = configMode
		if info, err := os.Stat(place); err == nil {
			mode = info.Mode().Perm()
		}
	}
	t, err := os.CreateTemp(filepath.Dir(place), "."+filepath.Base(place)+".*")
	if err != nil {
		return "", err
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
