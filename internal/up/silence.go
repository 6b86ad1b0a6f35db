package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/proxmox"
)

// silence bears with a server that doesn't answer for a while, and says so once.
type silence struct {
	f     *FirstJob
	since time.Time // of the trouble; zero while all is well
}

// judge takes how an answer came. It returns an error when waiting on is of no use: ctx has ended, the server refuses, or
// it has been silent for too long.
func (s *silence) judge(ctx context.Context, server string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		if !s.since.IsZero() {
			s.since = time.Time{}
			s.f.Out.Line(server + " answers again")
		}
		return nil
	case refused(err):
		return err
	case s.since.IsZero():
		s.since = time.Now()
		s.f.Out.Line(err.Error() + "; asking again")
	case time.Since(s.since) > silentWithin:
		return fmt.Errorf("no answer for %s: %w", Took(silentWithin), err)
	}
	return nil
}

// refused reports whether a server has said no, which it will say again.
func refused(err error) bool {
	for _, kind := range []error{
		github.Unauthorized, github.Permission, github.NotFound, github.Invalid,
		proxmox.Unauthorized, proxmox.Permission, proxmox.Untrusted,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
