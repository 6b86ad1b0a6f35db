package cli

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/sim/gh"
)

// How long GitHub takes from "queued" and "runner idle" to the assignment: a second or two when it is well.
const (
	realAssignDelay = time.Second
	demoAssignDelay = 20 * time.Millisecond
)

func newSimGHCommand(a *app) *cobra.Command {
	var f simFlags
	var o gh.Options
	cmd := &cobra.Command{
		Use:   "gh",
		Short: "Stand in for GitHub: the Actions API and the runners' side",
		Long: `Gh serves GitHub's REST API for Actions, at the root and under /api/v3, and what runners speak. Runners that register are given the
jobs that are queued. The first line says:

  api_url      for GITHUB_API_URL
  token        for GITHUB_TOKEN; it may do everything
  repository   OWNER/REPO; others are made when jobs name them
  certificate  with --tls: PEM of the certificate to trust

Jobs are queued at POST /_sim/jobs: {"count": 3, "labels": ["self-hosted", "linux"], "steps": ["echo hello"]}.`,
		Example: `  mayfly sim gh --listen 127.0.0.1:3000
  curl -s -X POST -d '{"labels": ["self-hosted"]}' http://127.0.0.1:3000/_sim/jobs
  curl -s http://127.0.0.1:3000/_sim/state`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			o.Seed, o.AssignDelay, o.Logger = f.seed, realAssignDelay, a.logger
			if f.timing == timingDemo {
				o.AssignDelay = demoAssignDelay
			}
			if err := o.Check(); err != nil {
				return usageError{fmt.Errorf("stand in for GitHub: %w", err)}
			}
			return a.simGH(cmd, f, o)
		},
	}
	f.add(cmd, "speak https, with a certificate of its own")
	cmd.Flags().StringVar(&o.Repository, "repository", "NREL/EnergyPlus", "`OWNER/REPO` that is there from the start")
	cmd.Flags().BoolVar(&o.Public, "public", false, "make that repository a public one")
	cmd.Flags().IntVar(&o.RateLimit, "rate-limit", 0, "`REQUESTS` that a token has in an hour (default GitHub's 5000)")
	cmd.Flags().StringVar(&o.RunnerURL, "runner-url", "", "base `URL` under which runners reach this server, where it isn't the dispatcher's")
	return cmd
}

func (a *app) simGH(cmd *cobra.Command, f simFlags, o gh.Options) error {
	l, err := a.listenSim(cmd.Context(), f.listen)
	if err != nil {
		return err
	}
	s := gh.New(o)
	first := struct {
		gh.Info
		Certificate string `json:"certificate,omitempty"`
	}{}
	scheme := "http"
	if f.tls {
		cert, text, err := selfSigned(l.Addr())
		if err != nil {
			_ = l.Close()
			return err
		}
		scheme, first.Certificate = "https", text
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	s.SetAPIURL(scheme + "://" + l.Addr().String())
	first.Info = s.Info()
	return a.standInFor(cmd.Context(), "GitHub", l, s, first)
}
