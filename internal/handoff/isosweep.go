package handoff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Sweep removes what a crash left: this installation's images that are older than olderThan by the storage's clock and
// whose runner keep doesn't want. It returns the names of the files that held an identity, in order. Empty images are
// removed, too, where the token may, and else kept for later runners. Files of other installations and everything else
// on the storage stay.
func (s *ISO) Sweep(ctx context.Context, keep func(runner string) bool, olderThan time.Duration) ([]string, error) {
	list, err := s.volumes(ctx)
	if err != nil {
		return nil, fmt.Errorf("sweep storage %s: %w", s.opts.Storage, err)
	}
	owners := s.owners()
	tried := false // to delete, although the token may not: it may have been granted since
	var removed []string
	var errs []error
	for _, v := range list {
		m := s.file.FindStringSubmatch(v.Name())
		if len(m) != 2 || !runner.IsName(m[1]) {
			continue
		}
		owner, taken := owners[v.Name()]
		// A file from the future is the work of a clock that is off; it is as old as it is far away.
		old := time.Since(v.Created).Abs() >= olderThan
		switch {
		case isEmpty(v):
			if taken {
				continue
			}
			s.noteEmpty(v)
			if s.mayDelete() || !tried {
				tried = true
				errs = append(errs, s.dropEmpty(ctx, v.Name()))
			}
		case taken && keep(owner), !taken && keep(m[1]), !old:
		default:
			if err := s.clear(ctx, v.Name()); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, v.Name())
			if taken {
				s.release(owner)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("sweep storage %s: %w; left files hold identities of runners: remove them by hand", s.opts.Storage, err)
	}
	return removed, nil
}

// owners tells whose identity is in which file.
func (s *ISO) owners() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := make(map[string]string, len(s.held))
	for name, file := range s.held {
		owners[file] = name
	}
	return owners
}

func (s *ISO) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, name)
}

// noteEmpty keeps an empty image for reuse, unless it was taken since it was listed.
func (s *ISO) noteEmpty(v proxmox.Volume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, file := range s.held {
		if file == v.Name() {
			return
		}
	}
	if _, known := s.empty[v.Name()]; !known {
		s.empty[v.Name()] = time.Now()
	}
}

// dropEmpty deletes an empty image, or finds that the token may not.
func (s *ISO) dropEmpty(ctx context.Context, file string) error {
	s.mu.Lock()
	_, free := s.empty[file]
	delete(s.empty, file) // so that nobody takes it meanwhile
	s.mu.Unlock()
	if !free {
		return nil
	}
	err := s.remove(ctx, file)
	if errors.Is(err, proxmox.Permission) {
		s.cantDelete()
		err = nil
	} else if err == nil {
		file = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if file == "" {
		s.noDelete = false
	} else {
		s.empty[file] = time.Now()
	}
	return err
}
