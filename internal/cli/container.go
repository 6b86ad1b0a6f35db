package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/bootstrap"
	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/web"
)

// lastWord is how long the reason of an end may take to reach Proxmox. Well below the unit's TimeoutStartSec (90 s).
const lastWord = 20 * time.Second

// newFirstStartCommand is for the unit mayfly-first-start.service alone, and so not in the help.
func newFirstStartCommand(a *app) *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use:    "first-start",
		Short:  "Open the secrets that came with the dispatcher's container",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			secrets, err := bootstrap.FirstStart(root)
			if err == nil {
				if len(secrets) > 0 {
					a.logger.Info("secrets opened", "count", len(secrets), "reason", "first start of this container; both halves of the seal are gone")
				}
				return nil
			}
			// With the token, which is known then, Proxmox can be told; without it the journal is all there is.
			env := a.env
			for variable, name := range map[string]string{"PROXMOX_TOKEN_SECRET": bootstrap.ProxmoxTokenSecret, "GITHUB_TOKEN": bootstrap.GitHubToken} {
				if s, ok := secrets[name]; ok {
					env = append(env[:len(env):len(env)], variable+"="+s.Reveal())
				}
			}
			a.env = env
			a.confess(cmd.Context(), err)
			if errors.Is(err, bootstrap.ErrHalves) {
				return usageError{err}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "`FOLDER` that the container's / is")
	return cmd
}

// confess tells Proxmox why this container's dispatcher can't start, where configuration and token are known.
func (a *app) confess(ctx context.Context, why error) {
	c, _, err := config.Load(a.loadOptions())
	if err != nil {
		a.logger.Debug("container not marked", "reason", err)
		return
	}
	both, err := newClients(c, a.logger)
	if err != nil {
		a.logger.Debug("container not marked", "reason", err)
		return
	}
	defer both.close()
	teller, err := a.teller(both.pve)
	if err != nil {
		a.logger.Debug("container not marked", "reason", err)
		return
	}
	teller.confess(ctx, why)
}

// teller tells of this process by the container that it is in; nil outside of one that bootstrap made.
type teller struct{ bootstrap.Teller }

// teller makes one when the environment names the container.
func (a *app) teller(pve *proxmox.Client) (*teller, error) {
	text := lookup(a.env, bootstrap.VMIDVariable)
	if text == "" {
		return nil, nil
	}
	vmid, err := strconv.Atoi(text)
	if err != nil || vmid < 100 {
		return nil, usageError{fmt.Errorf("%s=%q: want the VMID of the container that this runs in, or nothing", bootstrap.VMIDVariable, text)}
	}
	return &teller{bootstrap.Teller{API: pve, VMID: vmid, Log: a.logger}}, nil
}

// tell tells what /readyz says, until ctx ends.
func (t *teller) tell(ctx context.Context, f web.Fleet) {
	t.Run(ctx, func() bootstrap.Word {
		s := f.Status()
		return bootstrap.Word{Ready: s.Ready, Reason: strings.Join(s.Reasons, "; ")}
	})
}

// confess tells what ended the dispatcher, unless that was somebody's wish.
func (t *teller) confess(ctx context.Context, why error) {
	if t == nil || why == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	if err := t.Insist(ctx, bootstrap.Word{Reason: why.Error()}); err != nil {
		t.Log.Warn("container not marked", "vmid", t.VMID, "reason", err)
	}
}
