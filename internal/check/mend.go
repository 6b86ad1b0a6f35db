package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Commands are what mends a finding at a shell of root's.
type Commands struct {
	// Node is the node to be on; "" is any of the cluster.
	Node  string   `json:"node,omitempty"`
	Lines []string `json:"lines"`
}

// Change is what mends a finding by the API: options of one template's config. [Apply] makes it.
type Change struct {
	Node string            `json:"node"`
	VMID int               `json:"vmid"`
	Set  map[string]string `json:"set"`
	// digest is that of the config that was judged: one that has changed since is left alone.
	digest string
}

// String is the call: "PUT /nodes/pve1/qemu/9000/config onboot=0".
func (c Change) String() string {
	var words strings.Builder
	fmt.Fprintf(&words, "PUT /nodes/%s/qemu/%d/config", c.Node, c.VMID)
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		fmt.Fprintf(&words, " %s=%s", key, c.Set[key])
	}
	return words.String()
}

// run says by which commands a finding is mended; node is the one to be on, "" for any.
func (f *Finding) run(node string, lines ...string) *Finding {
	f.Commands = &Commands{Node: node, Lines: lines}
	return f
}

// cureOf are commands as a cure for people.
func cureOf(node string, lines ...string) string {
	where := "on a node: "
	if node != "" {
		where = "on the node: "
	}
	return where + strings.Join(lines, "; ")
}

// mend adds a finding that commands mend.
func (c *checker) mend(id string, level Level, what, reason, node string, lines ...string) *Finding {
	return c.tell(id, level, what, reason, cureOf(node, lines...)).run(node, lines...)
}

// options reads those of a `qm set` command: "--boot order=scsi0" is boot, order=scsi0.
func options(flags string) map[string]string {
	words := strings.Fields(flags)
	set := map[string]string{}
	for i := 0; i+1 < len(words); i += 2 {
		set[strings.TrimPrefix(words[i], "--")] = words[i+1]
	}
	return set
}

// ours reports whether this installation built the template: it is in the range of its images, and its marker names the installation
// and this very VM. Nothing else is changed, whatever its name.
func ours(c *config.Config, vmid int, cfg proxmox.VMConfig) bool {
	i, err := runner.ParseImage(cfg.Description)
	return err == nil && cfg.Template && i.Installation == c.Installation && i.VMID == vmid && c.Image.VMIDs.Start <= vmid && vmid <= c.Image.VMIDs.End
}

// Changer is what [Apply] asks of Proxmox VE.
type Changer interface {
	VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error)
	SetConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error
}

// errChanged says that a template isn't what was judged.
var errChanged = errors.New("it has changed since it was looked at; look again")

// Apply makes one change, of a template that this installation built. It looks right before whether it still is that, unlocked and as
// it was judged; Proxmox refuses by the digest what changes in between.
func Apply(ctx context.Context, api Changer, c *config.Config, change Change) error {
	cfg, err := api.VMConfig(ctx, change.Node, change.VMID)
	switch {
	case err != nil:
	case !ours(c, change.VMID, cfg):
		err = errors.New("this installation didn't build it; run the command that mends it yourself")
	case cfg.Digest != change.digest:
		err = errChanged
	case cfg.Lock != "":
		err = fmt.Errorf("it is locked (%s); wait until that is over", cfg.Lock)
	default:
		err = api.SetConfig(ctx, change.Node, change.VMID, change.Set, nil, change.digest)
	}
	if err != nil {
		return fmt.Errorf("change template %d: %w", change.VMID, err)
	}
	return nil
}

// Changes are those that the findings name, one for each template.
func Changes(list []Finding) []Change {
	var all []Change
	for _, f := range list {
		if f.Change == nil {
			continue
		}
		at := slices.IndexFunc(all, func(c Change) bool { return c.Node == f.Change.Node && c.VMID == f.Change.VMID })
		if at < 0 {
			all = append(all, Change{Node: f.Change.Node, VMID: f.Change.VMID, Set: map[string]string{}, digest: f.Change.digest})
			at = len(all) - 1
		}
		maps.Copy(all[at].Set, f.Change.Set)
	}
	return all
}
