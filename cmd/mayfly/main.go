// Command mayfly runs GitHub Actions jobs on Proxmox VE, each in a VM of its own.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mayfly/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once.
	context.AfterFunc(ctx, stop)
	code := cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}
