package proxmox_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
)

// What each call is told to need, by Proxmox's words where they name it, else by the client's own table.
func TestRefusedCallNamesPathAndPrivilege(t *testing.T) {
	const bareWords = "403 Permission check failed"
	clone := func(pool string) func(context.Context, *proxmox.Client) error {
		return func(ctx context.Context, c *proxmox.Client) error {
			_, err := c.Clone(ctx, "pve1", 9000, proxmox.CloneOptions{NewID: 205, Pool: pool})
			return err
		}
	}
	start := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.Start(ctx, "pve1", 205)
		return err
	}
	set := func(ctx context.Context, c *proxmox.Client) error {
		return c.SetConfig(ctx, "pve1", 205, map[string]string{"description": "x"}, nil, "")
	}
	create := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.CreateVM(ctx, "pve1", proxmox.NewVM{VMID: 9001, Pool: "ci-templates"})
		return err
	}
	container := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.CreateContainer(ctx, "pve1", proxmox.NewContainer{VMID: 105, Template: "local:vztmpl/x.tar.zst"})
		return err
	}
	upload := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.Upload(ctx, "pve 1", proxmox.Upload{Storage: "local", Content: "iso", Name: "x.iso", Body: strings.NewReader("x"), Size: 1})
		return err
	}
	download := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.DownloadURL(ctx, "pve1", proxmox.Download{Storage: "local", Content: "import", Name: "x.qcow2", URL: "https://example.org/x"})
		return err
	}
	const gone = "; of a guest that is gone or left its resource pool Proxmox says the same"
	for _, tc := range []struct {
		name, words string
		call        func(context.Context, *proxmox.Client) error
		want        string
	}{
		{"clone into a resource pool", bareWords, clone("ci"), "VM.Allocate on /pool/ci:"},
		{"clone without one", bareWords, clone(""), "VM.Allocate on /vms/205 or on the resource pool that it is in:"},
		{"create", bareWords, create, "VM.Allocate on /pool/ci-templates:"},
		{"create, an option", bareWords + " (/vms/9001, VM.Config.Options)", create, "VM.Config.Options on /pool/ci-templates:"},
		{"clone of what was never seen", bareWords + " (/vms/9000, VM.Clone)", clone("ci"), "VM.Clone on /vms/9000 or on the resource pool that it is in:"},
		{"container", bareWords, container, "VM.Allocate on /vms/105 or on the resource pool that it is in:"},
		{"upload, words lost", "403 Forbidden", upload, "Datastore.AllocateTemplate on /storage/local:"},
		{"download", bareWords, download, "Sys.AccessNetwork on /nodes/pve1:"},
		{"download, storage", bareWords + " (/storage/local, Datastore.AllocateTemplate)", download, "Datastore.AllocateTemplate on /storage/local:"},
		{"bridge", bareWords + " (/sdn/zones/localnetwork/vmbr0, SDN.Use)", clone("ci"), "SDN.Use on /sdn/zones/localnetwork/vmbr0:"},
		{"guest", bareWords + " (/vms/205, VM.PowerMgmt)", start, "VM.PowerMgmt on /vms/205 or on the resource pool that it is in: mayfly check prints the command" + gone},
		{"any of two", bareWords + " (/vms/205, A.X|A.Y)", start, "A.X or A.Y on /vms/205"},
		{"none of all", bareWords + " (/vms/205, VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory)", set, "VM.Config.*, by what is set, on /vms/205"},
		{"in a 500", "500 clone failed: 403 Permission check failed (/storage/x, Datastore.AllocateSpace)", clone("ci"), "Datastore.AllocateSpace on /storage/x:"},
		{"no such pool", bareWords + " (pool 'ci' does not exist)", clone("ci"), "check the resource pool's name"},
		{"root alone", bareWords + " (changing the hookscript is only allowed for root@pam)", container, "no token may do that"},
		{"unknown", bareWords, start, "see what the token may do: pveum user token permissions ci@pve mayfly"},
		{"unknown words", bareWords + " (something new)", clone("ci"), "see what the token may do"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.call(t.Context(), newClient(t, nil, newWire(t, false, always(bare(tc.words))).URL))
			if !errors.Is(err, proxmox.Permission) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestHintNamesTheCheckOfWhatTheClientIsFor(t *testing.T) {
	for check, want := range map[string]string{"": ": mayfly check prints", "mayfly check --for build": ": mayfly check --for build prints"} {
		w := newWire(t, false, always(bare("403 Permission check failed (/storage/local, Datastore.Audit)")))
		c := newClient(t, func(o *proxmox.Options) { o.Check = check }, w.URL)
		if _, err := c.Volumes(t.Context(), "pve1", "local", "iso"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", check, err, want)
		}
	}
}

// A refusal names the VM, the grant that is missing is its resource pool's: the client has seen which that is.
func TestRefusedCallNamesTheResourcePoolThatTheGuestWasSeenIn(t *testing.T) {
	const task = `{"data":"UPID:pve1:0000043A:008ED280:386D4380:qmclone:9000:ci@pve!runner:"}`
	for name, see := range map[string]struct {
		reply string
		call  func(context.Context, *proxmox.Client) error
	}{
		"in the cluster's list": {
			`{"data":[{"id":"qemu/205","type":"qemu","vmid":205,"node":"pve1","pool":"ci"}]}`,
			func(ctx context.Context, c *proxmox.Client) error { _, err := c.Resources(ctx); return err },
		},
		"in the resource pool's list": {
			`{"data":[{"poolid":"ci","members":[{"id":"qemu/205","type":"qemu","vmid":205,"node":"pve1"}]}]}`,
			func(ctx context.Context, c *proxmox.Client) error { _, err := c.ResourcePool(ctx, "ci"); return err },
		},
		"cloned into it": {task, func(ctx context.Context, c *proxmox.Client) error {
			_, err := c.Clone(ctx, "pve1", 9000, proxmox.CloneOptions{NewID: 205, Pool: "ci"})
			return err
		}},
		"created in it": {task, func(ctx context.Context, c *proxmox.Client) error {
			_, err := c.CreateContainer(ctx, "pve1", proxmox.NewContainer{VMID: 205, Pool: "ci"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := [][]byte{reply("200 OK", see.reply), bare("403 Permission check failed (/vms/205, VM.PowerMgmt)")}
			w := newWire(t, false, func(request) []byte {
				first := answers[0]
				answers = answers[1:]
				return first
			})
			c := newClient(t, nil, w.URL)
			if err := see.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err := c.Start(t.Context(), "pve1", 205)
			if want := "VM.PowerMgmt on /pool/ci: "; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			// What a task was refused is told alike.
			err = c.TaskError(t.Context(), upid, "403 Permission check failed (/vms/205, VM.Config.Options)")
			if want := "VM.Config.Options on /pool/ci: "; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("task: %v, want %q", err, want)
			}
		})
	}
}
