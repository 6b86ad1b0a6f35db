package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/bootstrap"
	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// bootstrapFlags are what the flags of `mayfly bootstrap` say beside those that stand for a key.
type bootstrapFlags struct {
	program                     string
	dryRun, force, takeOver, ha bool
	patience                    time.Duration
}

// containerFlags stand for the keys of the section bootstrap.
var containerFlags = []struct{ flag, key, usage string }{
	{"ct-id", "id", "`VMID` of the container (CT_ID)"},
	{"ct-hostname", "hostname", "its host `NAME` (CT_HOSTNAME)"},
	{"ct-storage", "storage", "`STORAGE` of its disk (CT_STORAGE)"},
	{"ct-disk", "disk", "`SIZE` of its disk (CT_DISK)"},
	{"ct-cores", "cores", "its CPU `CORES` (CT_CORES)"},
	{"ct-memory", "memory", "its `MEMORY` (CT_MEMORY)"},
	{"ct-bridge", "bridge", "`BRIDGE` of its network card (CT_BRIDGE)"},
	{"ct-ip", "ip", "its `ADDRESS/SIZE`, or dhcp (CT_IP)"},
	{"ct-gateway", "gateway", "its `ROUTER` (CT_GATEWAY)"},
	{"ct-template", "template", "Debian 12 template, a `FILE` of this machine (CT_TEMPLATE)"},
	{"ct-template-url", "template_url", "`URL` to fetch the template from (CT_TEMPLATE_URL)"},
	{"ct-template-storage", "template_storage", "`STORAGE` for the prepared template while the container is made (CT_TEMPLATE_STORAGE)"},
}

func newBootstrapCommand(a *app) *cobra.Command {
	var f bootstrapFlags
	values := make([]string, len(containerFlags))
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Put the dispatcher into a container of Proxmox VE, or upgrade it there",
		Long: `Bootstrap makes an LXC container with this program, this configuration and its secrets in it, by Proxmox VE's API alone, and waits until the
dispatcher inside says that it is ready. Run again it upgrades: a new container takes over address and state, and the old one is destroyed when the
new one is ready, else it is started again. Jobs in VMs go on meanwhile. Nothing is done where nothing has changed.

What fails, or is ended by Ctrl-C, leaves nothing behind. docs/bootstrap.md says what goes where, and what the token must be allowed.`,
		Example: `  mayfly bootstrap --dry-run
  mayfly bootstrap --env-file dispatcher.env
  mayfly bootstrap --ct-ip 192.0.2.5/24 --ct-gateway 192.0.2.1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var overrides []config.Override
			for i, k := range containerFlags {
				if cmd.Flags().Changed(k.flag) {
					overrides = append(overrides, config.Override{Path: "bootstrap." + k.key, Flag: "--" + k.flag, Value: values[i]})
				}
			}
			c, err := a.loadConfig(nil, overrides...)
			if err != nil {
				return err
			}
			return a.bootstrap(cmd.Context(), c, f)
		},
	}
	flags := cmd.Flags()
	for i, k := range containerFlags {
		flags.StringVar(&values[i], k.flag, "", k.usage)
	}
	flags.StringVar(&f.program, "program", "", "`FILE` to put into the container: mayfly for linux/amd64 (default: this program)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print every API call and change nothing")
	flags.BoolVar(&f.force, "force", false, "make a new container although nothing has changed")
	flags.BoolVar(&f.ha, "ha", false, "add the container to Proxmox's HA, or say how where the token may not")
	flags.BoolVar(&f.takeOver, "take-over", false, "sweep another bootstrap of this installation that looks alive")
	flags.DurationVar(&f.patience, "wait", bootstrap.DefaultPatience, "how `LONG` the dispatcher inside has to become ready")
	return cmd
}

// bringAbout brings the container about, and shows how on w, with indent before each line.
func (a *app) bringAbout(ctx context.Context, c *config.Config, f bootstrapFlags, w io.Writer, indent string) (bootstrap.Result, error) {
	spec, err := bootstrapSpec(c, f)
	if err != nil {
		return bootstrap.Result{}, usageError{err}
	}
	options := proxmoxOptions(c, a.logger, check.Bootstrap)
	if f.dryRun {
		show := func(line string) { fmt.Fprintln(a.stdout, line) }
		options.Wrap = func(to http.RoundTripper) http.RoundTripper {
			return &bootstrap.Rehearsal{To: to, Show: show, Secrets: []runner.Secret{c.Proxmox.TokenSecret, c.GitHub.Token}}
		}
	}
	api, err := proxmox.New(options)
	if err != nil {
		return bootstrap.Result{}, usageError{err}
	}
	defer api.Close()
	web := &http.Client{Transport: http.DefaultTransport}
	view := a.newStepView(ctx, w, indent)
	result, err := bootstrap.Run(ctx, bootstrap.Options{Proxmox: api, HTTP: web, Dir: a.cacheDir("bootstrap"), Progress: view.event}, spec)
	view.close(err)
	return result, err
}

// bootstrap brings the container about, and says what has become of it.
func (a *app) bootstrap(ctx context.Context, c *config.Config, f bootstrapFlags) error {
	result, err := a.bringAbout(ctx, c, f, a.stderr, "")
	if err != nil {
		return err
	}
	where := fmt.Sprintf("container %d on %s", result.VMID, result.Node)
	switch {
	case f.dryRun && !result.Unchanged:
		fmt.Fprintf(a.stdout, "dry run: nothing was changed; the dispatcher would be in %s\n", where)
	case result.Unchanged:
		fmt.Fprintf(a.stdout, "the dispatcher serves in %s; nothing has changed (--force makes it anew)\n", where)
	case result.Replaced != 0:
		fmt.Fprintf(a.stdout, "the dispatcher serves in %s, in place of container %d\n", where, result.Replaced)
	default:
		fmt.Fprintf(a.stdout, "the dispatcher serves in %s\n", where)
	}
	if result.ByHand != "" {
		fmt.Fprintf(a.stdout, "HA: the token may not change it (Sys.Console on /); on a node run: %s\n", result.ByHand)
	}
	return nil
}

// configDir is where the configuration is in the container.
const configDir = "/etc/mayfly"

// bootstrapSpec is what the configuration and the flags ask for.
func bootstrapSpec(c *config.Config, f bootstrapFlags) (bootstrap.Spec, error) {
	text, files, err := c.Portable(configDir)
	if err != nil {
		return bootstrap.Spec{}, err
	}
	program, err := programFile(f.program)
	if err != nil {
		return bootstrap.Spec{}, err
	}
	b := c.Bootstrap
	s := bootstrap.Spec{
		Installation: c.Installation, Node: c.Proxmox.Node, TokenID: c.Proxmox.TokenID,
		Container: bootstrap.Container{
			VMID: b.ID, Hostname: b.Hostname, Bridge: b.Bridge, Storage: b.Storage, Cores: b.Cores, Memory: b.Memory, Disk: b.Disk,
			IP: b.IP, Gateway: b.Gateway, ResourcePool: c.Proxmox.ResourcePool,
		},
		Reserved:     []bootstrap.VMIDs{bootstrap.VMIDs(c.VMIDs), bootstrap.VMIDs(c.Image.VMIDs)},
		TemplateFile: b.Template, TemplateURL: b.TemplateURL, TemplateStorage: b.TemplateStorage,
		Program: program, Config: text, Version: currentVersion().Version,
		Secrets:  map[string]runner.Secret{bootstrap.ProxmoxTokenSecret: c.Proxmox.TokenSecret, bootstrap.GitHubToken: c.GitHub.Token},
		Patience: f.patience, Force: f.force, TakeOver: f.takeOver, HA: f.ha, Rehearse: f.dryRun,
	}
	for _, file := range files {
		s.Files = append(s.Files, bootstrap.File(file))
	}
	return s, nil
}

// programFile is the program that goes into the container.
func programFile(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("find program for the container: this one is for %s/%s, and containers are linux/amd64; name the release's mayfly for that with --program", runtime.GOOS, runtime.GOARCH)
	}
	path, err := os.Executable()
	if err != nil {
		return "", errors.New("find program for the container: the system doesn't tell where this one is; name it with --program")
	}
	return path, nil
}

// cacheDir is where large files are kept from one call to the next.
func (a *app) cacheDir(name string) string {
	cache := lookup(a.env, "XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(lookup(a.env, "HOME"), ".cache")
	}
	if !filepath.IsAbs(cache) {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "mayfly", name)
}
