package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/cobra"
)

func newSimCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Stand in for Proxmox VE or GitHub, for any client",
		Long: `Sim serves a strict stand-in: it refuses what the real server would refuse, with the same status and words, and takes as long.
Mayfly's own tests run against the two, and so can other programs.

The first line on standard output is JSON and says how to reach it; then it serves until SIGINT or SIGTERM. What happened so far
is at GET /_sim/state, and POST /_sim/faults makes requests go wrong.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSimPVECommand(a), newSimGHCommand(a))
	return cmd
}

// simFlags are the flags that both stand-ins have.
type simFlags struct {
	listen string
	tls    bool
	seed   uint64
	timing string
}

func (f *simFlags) add(cmd *cobra.Command, tlsUsage string) {
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:0", "`HOST:PORT` to serve on, port 0 for any free one")
	flags.BoolVar(&f.tls, "tls", false, tlsUsage)
	flags.Uint64Var(&f.seed, "seed", 1, "decides every choice: the same seed, the same tokens, ids and boot times")
	flags.StringVar(&f.timing, "timing", timingReal, "the `SPEED` of things: real, or demo for about twenty times as fast")
}

// The values of --timing.
const (
	timingReal = "real"
	timingDemo = "demo"
)

func (f *simFlags) check() error {
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return usageError{fmt.Errorf("--listen %q: want HOST:PORT, for example 127.0.0.1:0", f.listen)}
	}
	if f.timing != timingReal && f.timing != timingDemo {
		return usageError{fmt.Errorf("--timing %q: want %s or %s", f.timing, timingReal, timingDemo)}
	}
	return nil
}

// standIn is a server that a sim command has made.
type standIn interface {
	// Serve answers on l until Close and returns nil then.
	Serve(l net.Listener) error
	// Close ends everything that the server has begun and waits for it.
	Close()
}

// standInFor serves until ctx ends. first makes what the first line says, now that the address is known.
func (a *app) standInFor(ctx context.Context, name string, l net.Listener, s standIn, first any) error {
	if err := json.NewEncoder(a.stdout).Encode(first); err != nil {
		_ = l.Close()
		return fmt.Errorf("say how to reach the stand-in: %w", err)
	}
	a.logger.Info("stand-in serves", "name", name, "listen", l.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
		s.Close()
		err = <-ended
	case err = <-ended:
		s.Close()
	}
	if err != nil {
		return fmt.Errorf("stand in for %s: %w", name, err)
	}
	a.logger.Info("stand-in stopped", "name", name)
	return nil
}

// listenSim opens the address of a stand-in.
func (a *app) listenSim(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: something listens there already; port 0 takes any free one", addr)
	case err != nil:
		return nil, fmt.Errorf("listen for stand-in: %w", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		a.logger.Warn("stand-in is reachable from other machines", "listen", l.Addr().String(), "reason", "its tokens are no secret; 127.0.0.1 keeps it here")
	}
	return l, nil
}
