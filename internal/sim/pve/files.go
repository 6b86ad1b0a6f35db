package pve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mayfly/internal/runner"
)

// inMemory is how much of a file is kept in memory; what is bigger lies in the server's folder.
const inMemory = 1 << 20

// file is what was uploaded or downloaded. Nothing changes it once it is made.
type file struct {
	size runner.Bytes
	data []byte // the whole of a small one
	path string // of a big one
}

// newFile keeps what r gives.
func (s *Server) newFile(r io.Reader) (_ *file, err error) {
	start, err := io.ReadAll(io.LimitReader(r, inMemory+1))
	if err != nil {
		return nil, err
	}
	if len(start) <= inMemory {
		return &file{size: runner.Bytes(len(start)), data: start}, nil
	}
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(dir, "file-")
	if err != nil {
		return nil, fmt.Errorf("keep file: %w", err)
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("keep file: %w", cerr)
		}
		if err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	n, err := io.Copy(out, io.MultiReader(bytes.NewReader(start), r))
	if err != nil {
		return nil, err
	}
	return &file{size: runner.Bytes(n), path: out.Name()}, nil
}

// open gives the file's content, for its owner to close.
func (f *file) open() (io.ReadSeekCloser, error) {
	if f.path == "" {
		return nopCloser{bytes.NewReader(f.data)}, nil
	}
	return os.Open(f.path)
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// read gives the whole content; nil for a file that is only a size, and for one that is gone.
func (f *file) read() []byte {
	if f == nil {
		return nil
	}
	if f.path == "" {
		return bytes.Clone(f.data)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return nil
	}
	return data
}

// remove frees what the file takes. Whoever has it open may read on.
func (f *file) remove() error {
	if f == nil || f.path == "" {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// folder is where big files lie, until Close.
func (s *Server) folder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, err := os.MkdirTemp(s.opts.Dir, "mayfly-pve-")
		if err != nil {
			return "", fmt.Errorf("keep file: %w", err)
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return "", fmt.Errorf("keep file: %w", err)
		}
		s.dir = dir
	}
	return s.dir, nil
}
