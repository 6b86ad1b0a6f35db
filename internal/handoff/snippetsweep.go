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

// minTemporaryAge is how old a temporary file must be before it counts as left behind: one that is being written lives
// for moments, and may be another process's of this installation.
const minTemporaryAge = time.Minute

// Sweep removes what a crash left: this installation's snippets whose runner keep doesn't want and that are older than
// olderThan by the file system's clock, and temporary files. It returns the names of the files removed, in order.
// Files of other installations and everything else in the folder stay, whatever they look like.
func (s *Snippet) Sweep(_ context.Context, keep func(runner string) bool, olderThan time.Duration) ([]string, error) {
	entries, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("sweep SNIPPETS_DIR %s: %w; %s", s.opts.Dir, cause(err), hint(err))
	}
	var (
		removed []string
		errs    []error
	)
	for _, e := range entries {
		age, ours := s.leftBehind(e.Name(), keep, olderThan)
		if !ours || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		// A file from the future is the work of a clock that is off; it is as old as it is far away.
		if time.Since(info.ModTime()).Abs() < age {
			continue
		}
		switch err := os.Remove(filepath.Join(s.opts.Dir, e.Name())); {
		case err == nil:
			removed = append(removed, e.Name())
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	if len(removed) > 0 {
		errs = append(errs, syncDir(s.opts.Dir))
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("sweep SNIPPETS_DIR: %w; left files hold identities of runners: remove them by hand", err)
	}
	return removed, nil
}

// leftBehind says from which age on a file is left behind, and whether it is one of ours that can be at all.
func (s *Snippet) leftBehind(name string, keep func(string) bool, olderThan time.Duration) (time.Duration, bool) {
	if m := s.file.FindStringSubmatch(name); m != nil {
		return olderThan, runner.IsName(m[1]) && !keep(m[1])
	}
	if m := s.temporary.FindStringSubmatch(name); m != nil {
		return max(olderThan, minTemporaryAge), runner.IsName(m[1]) || m[1] == probeName
	}
	return 0, false
}
