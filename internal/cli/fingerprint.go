package cli

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/proxmox"
)

// How long to wait before Proxmox's certificate is asked for again when it didn't answer.
const (
	fingerprintRetry       = 5 * time.Second
	fingerprintRetryAtMost = 5 * time.Minute
)

// warnsOfTLS reports whether the warning is the one that [offerFingerprint] says itself, with the way out.
func warnsOfTLS(c *config.Config, w config.Warning) bool {
	return w.Path == "proxmox.verify_tls" && unverified(c)
}

// unverified reports whether anybody could pretend to be Proxmox.
func unverified(c *config.Config) bool {
	return !c.Proxmox.VerifyTLS && len(overTLS(c.Proxmox.Endpoints)) > 0
}

// offerFingerprint warns, once, that the certificates of Proxmox aren't checked, and logs the setting that mends it as
// soon as every endpoint has shown its certificate. It returns then, or when ctx ends.
func offerFingerprint(ctx context.Context, endpoints []string, log *slog.Logger) {
	endpoints = overTLS(endpoints)
	pins, err := observe(ctx, endpoints)
	if err == nil {
		log.Warn("certificate of Proxmox is not checked", "reason", "anybody in between can read the token", "set", pins)
		return
	}
	log.Warn("certificate of Proxmox is not checked", "reason", "anybody in between can read the token; the PROXMOX_FINGERPRINT to set follows when it answers")
	for wait := fingerprintRetry; err != nil; wait = min(2*wait, fingerprintRetryAtMost) {
		log.Debug("certificate of Proxmox not seen", "reason", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pins, err = observe(ctx, endpoints)
	}
	log.Info("certificate of Proxmox seen", "set", pins)
}

// observe makes the setting out of what the endpoints show now.
func observe(ctx context.Context, endpoints []string) (string, error) {
	var pins []string
	for _, e := range endpoints {
		pin, err := proxmox.ObservedFingerprint(ctx, e)
		if err != nil {
			return "", err
		}
		if !slices.Contains(pins, pin) {
			pins = append(pins, pin)
		}
	}
	return "PROXMOX_FINGERPRINT=" + strings.Join(pins, ","), nil
}

func overTLS(endpoints []string) []string {
	var list []string
	for _, e := range endpoints {
		if strings.HasPrefix(e, "https:") {
			list = append(list, e)
		}
	}
	return list
}
