package handoff

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"mayfly/internal/runner"
)

// secretMode lets nobody but the owner look. Proxmox reads snippets as root; an NFS export that squashes root hides such
// files from the nodes, and their start tasks say so.
const secretMode os.FileMode = 0o600

// writeSnippet puts a whole file in place, or none: a crash leaves at most a temporary file, which [Snippet.Sweep] knows.
func writeSnippet(ctx context.Context, dir, name string, data runner.Secret) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+".*"+temporarySuffix) // O_EXCL, 0600
	if err != nil {
		return fmt.Errorf("%w; %s", err, hint(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(f.Name()))
		}
	}()
	if err := fillFile(f, data.Reveal()); err != nil {
		return fmt.Errorf("%w; %s", err, hint(err))
	}
	// The last moment at which giving up leaves nothing behind.
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// fillFile writes, syncs and closes a new file, and makes sure that nobody else can read it before a secret is in.
func fillFile(f *os.File, text string) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(secretMode); err != nil && !errors.Is(err, syscall.EPERM) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &snippetModeError{path: f.Name(), mode: mode}
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes what happened in a folder last, where the file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // CIFS and FUSE mounts that can't
	}
	return errors.Join(err, d.Close())
}

// remove removes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// snippetModeError says that a file system gives files a mode of its own.
type snippetModeError struct {
	path string
	mode os.FileMode
}

func (e *snippetModeError) Error() string {
	return fmt.Sprintf("chmod %s: a file made with mode %04o gets %04o, so others could read identities", e.path, secretMode, e.mode)
}

// hint says what to do about an error of the folder.
func hint(err error) string {
	var mode *snippetModeError
	switch {
	case errors.As(err, &mode):
		return "mount SNIPPETS_DIR with file_mode=0600,dir_mode=0700 (cifs) or from a file system that keeps modes"
	case errors.Is(err, os.ErrPermission):
		return fmt.Sprintf("give user %d write access to it, for example with a group of its own and mode 0770", os.Geteuid())
	case errors.Is(err, syscall.EROFS):
		return "mount it for writing"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space there"
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EIO):
		return "mount it again"
	case errors.Is(err, os.ErrNotExist):
		return "mount the snippets folder there, or set SNIPPETS_DIR (snippets_dir) to where it is"
	}
	return "see that SNIPPETS_DIR is mounted and can be written to"
}
