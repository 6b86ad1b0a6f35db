package pve

import (
	"context"
	"maps"
	"slices"
)

// MediumChanger is an [Engine] whose machines notice when a medium is put into a CD-ROM drive or taken out while they
// run. The server calls it after the change, under the VM's lock file.
type MediumChanger interface {
	// ChangeMedium puts an image into the drive ("ide2"); nil ejects, whatever the guest has locked. A machine that
	// doesn't run, or a drive that it wasn't started with, is no error.
	ChangeMedium(ctx context.Context, vmid int, drive string, image []byte) error
}

// media are the uploaded images in the VM's CD-ROM drives, by drive. Images that are only a size, as those of an
// installer here, aren't among them.
func (s *Server) media(v *vm) map[string][]byte {
	media := map[string][]byte{}
	for opt, value := range v.conf {
		if image, ok := s.medium(v, opt, value); ok && image != nil {
			media[opt] = image
		}
	}
	return media
}

// medium is what a CD-ROM drive's value puts into it; nil when that is nothing. ok is false for all other options.
func (s *Server) medium(v *vm, opt, value string) (image []byte, ok bool) {
	if !isDrive(opt) {
		return nil, false
	}
	d := parseDrive(opt, value)
	if !d.cdrom() || d.cloudinit() {
		return nil, false
	}
	if vol := s.volumes[s.key(v.node, d.file)]; vol != nil && vol.content == "iso" {
		return vol.file.read(), true
	}
	return nil, true
}

// changeMedia tells the engine which media of a running VM a change of its configuration has changed.
func (s *Server) changeMedia(ctx context.Context, ch *change) error {
	changer, ok := s.opts.Engine.(MediumChanger)
	if !ok {
		return nil
	}
	s.lock()
	changed := map[string][]byte{}
	if v := s.vms[ch.vmid]; v != nil && v.running {
		for opt := range ch.set {
			if image, ok := s.medium(v, opt, v.conf[opt]); ok {
				changed[opt] = image
			}
		}
	}
	s.mu.Unlock()
	for _, opt := range slices.Sorted(maps.Keys(changed)) {
		if err := changer.ChangeMedium(ctx, ch.vmid, opt, changed[opt]); err != nil {
			return err
		}
	}
	return nil
}
