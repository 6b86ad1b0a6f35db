package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// proxmoxToken asks for the token's id and secret, and looks at what it may do.
func (w *wizard) proxmoxToken(ctx context.Context) error {
	var id string
	return w.together(ctx,
		func(ctx context.Context) error {
			value, from, err := w.ask(ctx, question{
				key: "proxmox.token_id", flag: "--proxmox-token-id", ask: "Token id (USER@REALM!NAME)",
				check: func(_ context.Context, text string) (string, error) {
					return text, config.CheckValue("proxmox.token_id", text)
				},
			})
			id = value
			w.put("proxmox.token_id", value, from)
			return err
		},
		func(ctx context.Context) error { return w.proxmoxSecret(ctx, id) },
	)
}

func (w *wizard) proxmoxSecret(ctx context.Context, id string) error {
	const key = "proxmox.token_secret"
	var version proxmox.Version
	value, from, err := w.ask(ctx, question{
		key: key, flag: "--proxmox-token-secret-file", ask: "Token secret", hidden: true,
		check: func(ctx context.Context, text string) (string, error) {
			var err error
			version, err = w.tryToken(ctx, id, runner.NewSecret(text))
			return text, err
		},
	})
	if err != nil {
		return err
	}
	w.secret[key] = runner.NewSecret(value)
	w.put(key+"_file", w.secretPath(key), from)
	w.con.say("  ok: Proxmox VE %s takes the token", version.Version)
	_, everything := w.granted["/"]["Permissions.Modify"]
	switch {
	case len(w.granted) == 0:
		w.con.say("  It has no privileges yet: PROXMOX_SETUP.md, section 5, has the commands;")
		w.con.say("  what is missing is told at the end.")
	case everything:
		w.con.say("  It may do everything on this cluster. Who gets it gets the cluster:")
		w.con.say("  PROXMOX_SETUP.md, section 5, makes one that may do what Mayfly needs.")
	}
	return nil
}

// tryToken makes the client, and asks for the version and the token's privileges.
func (w *wizard) tryToken(ctx context.Context, id string, secret runner.Secret) (proxmox.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	endpoints := strings.Split(w.note("proxmox.url")+w.note("proxmox.endpoints"), ",")
	c, err := proxmox.New(proxmox.Options{
		Endpoints: endpoints, TokenID: id, TokenSecret: secret,
		Fingerprint: w.note("proxmox.fingerprint"), CAFile: w.note("proxmox.ca_file"), Logger: w.o.Logger,
	})
	if err != nil {
		return proxmox.Version{}, err
	}
	version, err := c.Version(ctx)
	if err == nil {
		w.granted, err = c.Permissions(ctx)
	}
	if err == nil {
		err = supported(version.Version)
	}
	if err != nil {
		c.Close()
		if errors.Is(err, proxmox.Unauthorized) {
			user, _, _ := strings.Cut(id, "!")
			return version, earlierError{fmt.Errorf("%w; want the id of a token that is there (on a node: pveum user token list %s) and its secret", err, user)}
		}
		return version, err
	}
	if w.pve != nil {
		w.pve.Close()
	}
	w.pve = c
	return version, nil
}

// supported refuses what is too old; what is newer than known is told by the checks at the end.
func supported(version string) error {
	if release, ok := proxmox.ParseRelease(version); ok && release.TooOld() {
		return fmt.Errorf("Proxmox VE %s is too old; want 8.4 or 9: https://pve.proxmox.com/wiki/Category:Upgrade", version) //nolint:staticcheck // a name
	}
	return nil
}

// note is what is noted for a key so far.
func (w *wizard) note(path string) string {
	for _, n := range w.notes {
		if n.Path == path {
			return n.Value
		}
	}
	return ""
}
