package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"mayfly/internal/canary"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// part is a job's work on one node.
type part struct {
	*job
	node string
	tell *teller

	vmid     int           // of the VM that becomes the template
	download string        // the volume of the vendor's image
	seed     string        // the volume of the seed
	guest    handoff.Guest // what the canary said of itself
}

func (j *job) part(node string) *part {
	return &part{job: j, node: node, tell: &teller{r: j.b.report, event: Event{Image: j.request.Image, Version: j.version, Node: node}}}
}

const (
	// diskSlot and seedSlot are the VM's drives. IDE is what the kernels of cloud images have a driver for on the machine
	// type pc, which is Proxmox's default.
	diskSlot, seedSlot = "scsi0", "ide2"
	// importPatience bounds the creation of a VM: it copies the vendor's image into a disk, up to some GiB.
	importPatience = time.Hour
)

// build makes the template and tries it out. What it leaves when it fails is the job's to clean up.
func (p *part) build(ctx context.Context) error {
	steps := []func(context.Context) error{p.fetch, p.bringSeed, p.create, p.dropDownload, p.provision, p.dropSeed, p.template, p.check}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", p.tell.event.Stage, context.Cause(ctx))
			}
			return err
		}
	}
	p.tell.stage(StageDone, "")
	return nil
}

// create makes the VM with the build's marker in it, so that whatever happens from here on, somebody can tell whose it is.
func (p *part) create(ctx context.Context) error {
	p.tell.stage(StageCreate, "")
	for {
		id, err := p.allot(ctx)
		if err != nil {
			return err
		}
		err = p.b.orders.Do(ctx, canary.Order{
			Node: p.node, Type: "qmcreate", ID: strconv.Itoa(id), Patience: importPatience,
			Send: func(ctx context.Context) (proxmox.UPID, error) {
				return p.b.pve.CreateVM(ctx, p.node, proxmox.NewVM{VMID: id, Pool: p.b.spec.ResourcePool, Options: p.config(id)})
			},
		})
		if errors.Is(err, proxmox.Exists) {
			continue // somebody was faster
		}
		if err != nil {
			return fmt.Errorf("create VM: %w", err)
		}
		p.vmid = id
		break
	}
	if err := p.yield(ctx); err != nil {
		return err
	}
	// Not at creation: Proxmox checks tags there before the VM is in its resource pool.
	if err := p.b.set(ctx, p.node, p.vmid, map[string]string{"tags": runner.TagBuild}, nil); err != nil {
		return fmt.Errorf("tag VM %d: %w", p.vmid, err)
	}
	return p.grow(ctx)
}

// config is the VM's, and later the template's.
func (p *part) config(vmid int) map[string]string {
	s := p.b.spec
	net := "virtio,bridge=" + s.Bridge + ",firewall=1"
	if s.VLAN > 0 {
		net += ",tag=" + strconv.Itoa(s.VLAN)
	}
	return map[string]string{
		"name": runner.TemplateName(p.request.Image, p.version), "description": p.marker(vmid).Description(),
		"ostype": "l26", "cores": strconv.Itoa(s.Cores), "memory": strconv.FormatInt(int64(s.Memory/runner.MiB), 10), "cpu": "host",
		"scsihw": "virtio-scsi-single", "net0": net, "agent": "1", "serial0": "socket", "vga": "serial0", "onboot": "0",
		diskSlot: s.Storage + ":0,import-from=" + p.download + ",discard=on,iothread=1", seedSlot: p.seed + ",media=cdrom", "boot": "order=" + diskSlot,
	}
}

// yield gives way to another build of the image that was begun at the same time: neither saw the other when it looked.
func (p *part) yield(ctx context.Context) error {
	in, err := p.b.take(ctx)
	if err != nil {
		return err
	}
	for _, v := range in.ours {
		if v.build == nil || v.build.Image != p.request.Image || v.build.Version == p.version || slices.Contains(p.mine(), v.id) {
			continue
		}
		if v.build.Created.Before(p.created.Truncate(time.Second)) || v.build.Created.Equal(p.created.Truncate(time.Second)) && v.id < p.vmid {
			return fmt.Errorf("%w: VM %d on %s since %s", ErrBusy, v.id, v.node, v.build.Created.Format(time.RFC3339))
		}
	}
	return nil
}

func (j *job) mine() []int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.vmids)
}

// grow gives the disk its size; a vendor's image that is larger stays as it is. cloud-init grows the file system at boot.
func (p *part) grow(ctx context.Context) error {
	cfg, err := p.b.pve.VMConfig(ctx, p.node, p.vmid)
	if err != nil {
		return err
	}
	if proxmox.DriveSize(cfg.Values[diskSlot]) >= p.b.spec.Disk {
		return nil
	}
	err = p.b.orders.Do(ctx, canary.Order{
		Node: p.node, Type: "resize", ID: strconv.Itoa(p.vmid),
		Send: func(ctx context.Context) (proxmox.UPID, error) {
			return p.b.pve.Resize(ctx, p.node, p.vmid, diskSlot, p.b.spec.Disk)
		},
	})
	if err != nil {
		return fmt.Errorf("grow disk of VM %d: %w", p.vmid, err)
	}
	return nil
}

// template takes the seed's drive out, deletes the seed, and makes a template of the VM.
func (p *part) template(ctx context.Context) error {
	p.tell.stage(StageTemplate, "")
	err := p.b.orders.Do(ctx, canary.Order{
		Node: p.node, Type: "qmtemplate", ID: strconv.Itoa(p.vmid), Patience: importPatience,
		Send: func(ctx context.Context) (proxmox.UPID, error) { return p.b.pve.MakeTemplate(ctx, p.node, p.vmid) },
	})
	if err == nil {
		return nil
	}
	// Said again after a lost reply, Proxmox refuses: it is one already.
	if cfg, look := p.b.pve.VMConfig(ctx, p.node, p.vmid); look == nil && cfg.Template {
		return nil
	}
	return fmt.Errorf("make VM %d a template: %w", p.vmid, err)
}
