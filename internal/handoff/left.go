package handoff

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mayfly/internal/runner"
)

// File is a file of this installation with a runner's user-data in it. Its name is enough to find it in a VM's config.
type File struct {
	Name    string
	Runner  string // whose it was first; an image may hold another's by now, where files can't be deleted
	Created time.Time
}

// Files lists the images of this installation that hold user-data. Empty ones, which later runners use again, are left
// out.
func (s *ISO) Files(ctx context.Context) ([]File, error) {
	list, err := s.volumes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list user-data on storage %s: %w", s.opts.Storage, err)
	}
	var files []File
	for _, v := range list {
		if m := s.file.FindStringSubmatch(v.Name()); len(m) == 2 && runner.IsName(m[1]) && !isEmpty(v) {
			files = append(files, File{Name: v.Name(), Runner: m[1], Created: v.Created})
		}
	}
	return files, nil
}

// Remove deletes one of [ISO.Files], or overwrites it with an empty image where the token may not.
func (s *ISO) Remove(ctx context.Context, f File) error {
	if err := s.clear(ctx, f.Name); err != nil {
		return fmt.Errorf("remove user-data %s: %w", f.Name, err)
	}
	return nil
}

// Files lists the snippets of this installation, without temporary ones.
func (s *Snippet) Files(context.Context) ([]File, error) {
	entries, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("list SNIPPETS_DIR %s: %w; %s", s.opts.Dir, cause(err), hint(err))
	}
	var files []File
	for _, e := range entries {
		m := s.file.FindStringSubmatch(e.Name())
		if len(m) < 2 || !runner.IsName(m[1]) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("list SNIPPETS_DIR %s: %w", s.opts.Dir, err)
		}
		files = append(files, File{Name: e.Name(), Runner: m[1], Created: info.ModTime()})
	}
	return files, nil
}

// Remove deletes one of [Snippet.Files]; that it is gone already is no error.
func (s *Snippet) Remove(_ context.Context, f File) error {
	err := os.Remove(filepath.Join(s.opts.Dir, f.Name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove user-data from SNIPPETS_DIR: %w", err)
	}
	return syncDir(s.opts.Dir)
}
