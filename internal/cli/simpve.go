package cli

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// simPVE is what the flags of `mayfly sim pve` say beside those that both stand-ins have.
type simPVE struct {
	simFlags
	nodes       []string
	node        string
	template    string
	image       string
	guestGitHub string
	snippetsDir string
	cloudInit   bool
	agentOff    bool
	uploads     bool
	lease       string
	release     string
}

func newSimPVECommand(a *app) *cobra.Command {
	var f simPVE
	cmd := &cobra.Command{
		Use:   "pve",
		Short: "Stand in for a Proxmox VE cluster",
		Long: `Pve serves the part of Proxmox VE's API that runners need, over TLS as Proxmox does. Its VMs are simulated guests that boot, answer
the guest agent, take a runner identity and do a job; with --qemu they are real virtual machines. The first line says:

  url, fingerprint                    for PROXMOX_URL and PROXMOX_FINGERPRINT
  token_id, token_secret              a token with the privileges that Mayfly needs, no more
  admin_token_id, admin_token_secret  a token that may do everything
  node, resource_pool                 for PROXMOX_NODE and PROXMOX_POOL
  template                            the template's VMID on that node

VMs of others that look like Mayfly's lie among VMIDs 200 to 299, inside the resource pool and outside: nobody may touch them.`,
		Example: `  mayfly sim pve --listen 127.0.0.1:8006
  mayfly sim pve --nodes pve1,pve2 --timing demo
  mayfly sim pve --cloud-init-drive --snippets-dir /tmp/snippets   # for handoff: snippet and snippets_dir: /tmp/snippets
  mayfly sim pve --uploads   # for handoff: iso
  mayfly sim pve --qemu=tiny --guest-github 127.0.0.1:3000   # with: mayfly sim gh --listen 127.0.0.1:3000 --runner-url ` + qemu.GuestGitHubURL,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.simPVE(cmd.Context(), f)
		},
	}
	f.add(cmd, "no need to: Proxmox speaks nothing else, and so does its stand-in")
	flags := cmd.Flags()
	flags.StringSliceVar(&f.nodes, "nodes", []string{"pve1"}, "`NODES` of the cluster; each has the template")
	flags.StringVar(&f.node, "node", "", "the `NODE` that answers (default the first)")
	flags.StringVar(&f.template, "template", "ubuntu-2204-runner-template", "`NAME` of the template")
	flags.StringVar(&f.image, "qemu", "", "boot real VMs from the guest `IMAGE` of this name: tiny, systemd or cloudinit")
	flags.Lookup("qemu").NoOptDefVal = "tiny"
	flags.StringVar(&f.guestGitHub, "guest-github", "", "with --qemu: `HOST:PORT` of the GitHub that guests reach at "+qemu.GuestGitHubURL)
	flags.StringVar(&f.snippetsDir, "snippets-dir", "", "the `DIR` behind local:snippets/, for snippets_dir (handoff: snippet)")
	flags.BoolVar(&f.cloudInit, "cloud-init-drive", false, "give templates a cloud-init drive, as handoff: snippet needs")
	flags.BoolVar(&f.uploads, "uploads", false, "let the token upload ISO images to the storage local and delete them, for handoff: iso")
	flags.BoolVar(&f.agentOff, "template-agent-off", false, "leave the guest agent's option out of templates, for handoff: auto")
	flags.StringVar(&f.lease, "lease", "", "the `MAPPING` of directories that dispatchers may keep their lease in, for lease.enabled")
	flags.StringVar(&f.release, "release", "9.2.11", "the `VERSION` of Proxmox VE to be: 9.2.11, or 8.4.14 with 8.4's calls and privileges")
	return cmd
}

// releaseForm is a version of one of the two lines that the stand-in can be.
var releaseForm = regexp.MustCompile(`^(8\.4|9\.\d+)(\.\d+)?$`)

func (f *simPVE) check() error {
	if err := f.simFlags.check(); err != nil {
		return err
	}
	if !releaseForm.MatchString(f.release) {
		return usageError{fmt.Errorf("--release %q: want 8.4 or 9, for example 8.4.14", f.release)}
	}
	for _, n := range append([]string{f.node}, f.nodes...) {
		if strings.ContainsAny(n, " /:") {
			return usageError{fmt.Errorf("node %q: want a host name, for example pve1", n)}
		}
	}
	if f.guestGitHub != "" && f.image == "" {
		return usageError{fmt.Errorf("--guest-github is for --qemu: simulated guests go where their identity says")}
	}
	if info, err := os.Stat(f.snippetsDir); f.snippetsDir != "" && (err != nil || !info.IsDir()) {
		return usageError{fmt.Errorf("--snippets-dir %q: want a folder that is there", f.snippetsDir)}
	}
	return nil
}

func (a *app) simPVE(ctx context.Context, f simPVE) error {
	guests, err := newGuests(ctx, guestOptions{seed: f.seed, timing: f.timing, image: f.image, github: f.guestGitHub, log: a.logger})
	if err != nil {
		return err
	}
	defer guests.Close()
	l, err := a.listenSim(ctx, f.listen)
	if err != nil {
		return err
	}
	o := pve.Options{
		Seed: f.seed, Node: f.node, Nodes: f.nodes, TemplateName: f.template, Engine: guests, Logger: a.logger,
		SnippetsDir: f.snippetsDir, CloudInitDrive: f.cloudInit, TemplateAgentOff: f.agentOff, MayUpload: f.uploads, Lease: f.lease, Release: f.release,
	}
	if f.timing == timingDemo {
		o.Timing = pve.DemoTiming()
	}
	s := pve.New(o)
	info := s.Info()
	info.URL = "https://" + l.Addr().String()
	return a.standInFor(ctx, "Proxmox VE", l, s, info)
}
