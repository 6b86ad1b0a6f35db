package cli

import (
	"context"
	"log/slog"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
	"mayfly/internal/sim/world"
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
	log           *slog.Logger
}

// newGuests makes the machines of a stand-in.
func newGuests(ctx context.Context, o guestOptions) (guests, error) {
	if o.image == "" {
		return world.NewGuests(simulated(o)), nil
	}
	image, err := qemu.FindImage(o.image)
	if err != nil {
		return nil, err
	}
	e, err := qemu.New(ctx, qemu.Options{Image: image, GitHub: o.github, Logger: o.log})
	if err != nil {
		return nil, err
	}
	o.log.Info("real virtual machines", "name", image.Name, "reason", "QEMU with "+e.Accel())
	return &realGuests{e, o.log}, nil
}

// simulated is how simulated machines behave: real ones take about as long with an SSD under them, demo ones a
// twentieth.
func simulated(o guestOptions) world.GuestOptions {
	g := world.GuestOptions{Seed: o.seed, Boot: 9 * time.Second, AgentDelay: 2 * time.Second, Shutdown: 3 * time.Second, Logger: o.log}
	if o.timing == timingDemo {
		g.Boot, g.AgentDelay, g.Shutdown = 400*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
		g.Linger = 300 * time.Millisecond // long enough for the dispatcher to read the result
	}
	return g
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
