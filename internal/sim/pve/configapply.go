package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// apply makes the change: at once on a stopped VM, as pending on a running one except for what is no hardware.
func (s *Server) apply(v *vm, ch *change, w *worker) *apiError {
	for _, opt := range ch.revert {
		delete(v.pending, opt)
		delete(v.pendDel, opt)
	}
	for _, opt := range ch.delete {
		old, ok := v.conf[opt]
		if !ok {
			old, ok = v.pending[opt]
		}
		if !ok {
			if w != nil {
				s.logLocked(w, fmt.Sprintf("cannot delete '%s' - not set in current configuration!", opt))
			}
			continue
		}
		if err := s.mayDelete(v, ch, opt, old); err != nil {
			return err
		}
		delete(v.pending, opt)
		if v.running && !hotplugged(opt) {
			v.pendDel[opt] = true
			continue
		}
		s.unset(v, opt)
	}
	for _, opt := range slices.Sorted(maps.Keys(ch.set)) {
		value, err := s.mayReplace(v, ch, opt)
		if err != nil {
			return err
		}
		delete(v.pendDel, opt)
		if v.running && !hotplugged(opt) {
			if v.conf[opt] == value {
				delete(v.pending, opt)
			} else {
				v.pending[opt] = value
			}
			continue
		}
		s.setOption(v, opt, value)
	}
	return nil
}

// logLocked is worker.say for those who hold the state.
func (s *Server) logLocked(w *worker, line string) { w.task.log = append(w.task.log, line) }

// hotplugged are options that a running VM takes at once: what isn't hardware, and cloud-init's.
func hotplugged(opt string) bool {
	switch opt {
	case "name", "description", "tags", "onboot", "protection", "startup", "hookscript", "autostart", "shares", "lock",
		"ciuser", "cipassword", "cicustom", "sshkeys", "nameserver", "searchdomain", "ciupgrade", "citype", "migrate_speed",
		"migrate_downtime", "cpulimit", "cpuunits", "balloon", "tablet", "vmstatestorage":
		return true
	}
	// Network devices and drives are hot-plugged too (hotplug: network,disk,usb, the default).
	return isNumbered(opt, "net") || isNumbered(opt, "ipconfig") || isDrive(opt)
}

func (s *Server) mayDelete(v *vm, ch *change, opt, old string) *apiError {
	switch {
	case isDrive(opt):
		if err := v.checkProtection(fmt.Sprintf("can't remove drive '%s'", opt)); err != nil {
			return err
		}
		return s.mayDrive(ch.auth, v.id, opt, old)
	case isNumbered(opt, "unused"):
		if err := v.checkProtection(fmt.Sprintf("can't remove unused disk '%s'", old)); err != nil {
			return err
		}
		return s.requireVM(ch.auth, v.id, "", "VM.Config.Disk")
	case isNumbered(opt, "net"):
		return s.mayUseBridges(ch.auth, map[string]string{opt: old})
	case opt == "tags":
		return s.mayTag(ch.auth, v.id, old, "")
	}
	return s.mayByValue(ch.auth, v.id, "", opt, old, "delete")
}

// mayReplace checks what depends on the old and the new value, and makes new volumes; it returns the value to store.
func (s *Server) mayReplace(v *vm, ch *change, opt string) (string, *apiError) {
	value := ch.set[opt]
	switch {
	case opt == "tags":
		return value, s.mayTag(ch.auth, v.id, v.conf[opt], value)
	case isDrive(opt):
		if old, ok := v.conf[opt]; ok {
			if err := s.mayDrive(ch.auth, v.id, opt, old); err != nil {
				return "", err
			}
		}
		if err := s.mayDrive(ch.auth, v.id, opt, value); err != nil {
			return "", err
		}
		return s.plugDrive(v, opt, value)
	}
	return value, s.mayByValue(ch.auth, v.id, "", opt, value, "set")
}

// setOption stores a value; an empty description goes, and a cloud-init drive that something else takes the place of
// (qemu-server QemuServer.pm, vmconfig_register_unused_drive).
func (s *Server) setOption(v *vm, opt, value string) {
	if isDrive(opt) && isCloudinit(v.conf[opt]) {
		if old := parseDrive(opt, v.conf[opt]); old.file != parseDrive(opt, value).file {
			delete(s.volumes, s.key(v.node, old.file))
		}
	}
	if value == "" && (opt == "description" || opt == "tags") {
		delete(v.conf, opt)
		return
	}
	v.conf[opt] = value
}

// unset removes an option; a disk becomes unused, its volume stays.
func (s *Server) unset(v *vm, opt string) {
	old := v.conf[opt]
	delete(v.conf, opt)
	if isNumbered(opt, "unused") {
		delete(s.volumes, s.key(v.node, old))
		return
	}
	d := parseDrive(opt, old)
	if !isDrive(opt) || d.storage() == "" {
		return
	}
	if d.cloudinit() {
		delete(s.volumes, s.key(v.node, d.file))
		return
	}
	if !d.cdrom() {
		for i := range indexLimits["unused"] {
			k := fmt.Sprintf("unused%d", i)
			if _, taken := v.conf[k]; !taken {
				v.conf[k] = d.file
				break
			}
		}
	}
	v.dropFromBoot(opt)
}

// dropFromBoot takes a device out of the boot order.
func (v *vm) dropFromBoot(opt string) {
	order, ok := strings.CutPrefix(v.conf["boot"], "order=")
	if !ok {
		return
	}
	left := slices.DeleteFunc(strings.Split(order, ";"), func(o string) bool { return o == opt })
	v.conf["boot"] = "order=" + strings.Join(left, ";")
}

// applyPending makes pending changes real, as a start does.
func (s *Server) applyPending(v *vm) {
	for opt := range v.pendDel {
		s.unset(v, opt)
	}
	for opt, value := range v.pending {
		s.setOption(v, opt, value)
	}
	v.pending, v.pendDel = map[string]string{}, map[string]bool{}
}
