package cli

import (
	"context"
	"log/slog"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// guests are the machines behind a stand-in of Proxmox.
type guests interface {
	pve.Engine
	// Close cuts every machine's power and waits until nothing of them is left.
	Close()
}

// guestOptions say which machines to have.
type guestOptions struct {
	seed   uint64
	timing string
	// image is the guest image of real machines; "" simulates them. github is the HOST:PORT that real ones reach.
	image, github string
}

// newGuests makes the machines of a stand-in.
func (a *app) newGuests(ctx context.Context, o guestOptions) (guests, error) {
	image, err := qemu.FindImage(o.image)
	if err != nil {
		return nil, err
	}
	e, err := qemu.New(ctx, qemu.Options{Image: image, GitHub: o.github, Logger: a.logger})
	if err != nil {
		return nil, err
	}
	a.logger.Info("real virtual machines", "name", image.Name, "reason", "QEMU with "+e.Accel())
	return &realGuests{e, a.logger}, nil
}

// realGuests logs what is wrong with the clean-up of real machines.
type realGuests struct {
	*qemu.Engine
	log *slog.Logger
}

// Close implements guests.
func (g *realGuests) Close() {
	if err := g.Engine.Close(); err != nil {
		g.log.Error("virtual machines not cleaned up", "reason", err)
	}
}
