package cli

import (
	"fmt"
	"log/slog"

	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/record"
)

// clients are those that the configuration describes, with a recorder before them where one is wanted.
func (f checkFlags) clients(c *config.Config, log *slog.Logger) (clients, *record.Recorder, error) {
	if f.record == "" {
		both, err := newClients(c, log)
		return both, nil, err
	}
	recorder := &record.Recorder{}
	both, err := newWrappedClients(c, log, github.Options{Wrap: recorder.GitHub}, recorder.Proxmox)
	return both, recorder, err
}

// keep writes what the servers answered.
func (a *app) keep(r *record.Recorder, dir string, c *config.Config) error {
	if err := r.Save(dir, c); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	fmt.Fprintf(a.stderr, "recorded into %s; look through it before you send it\n", dir)
	return nil
}
