package sim

import (
	"bytes"
	"strings"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// secrets: GitHub's token is never sent to Proxmox, nor the other way round; an identity goes into a guest, or on a medium for one, and nowhere else;
// the log and the VMs' configs hold none of them.
type secrets struct {
	anyRule
	w *world
}

// identityMark begins every encoded identity: base64 of {".credentials.
const identityMark = "eyIuY3JlZGVudGlhbH"

func (r *secrets) began(c *call) {
	has := func(secret string) bool {
		return bytes.Contains(c.body, []byte(secret)) || strings.Contains(c.path, secret)
	}
	if has(r.w.secrets.github) {
		r.w.violated("secrets", "%s %s holds GitHub's token", c.method, c.path)
	}
	if has(r.w.secrets.proxmox) {
		r.w.violated("secrets", "%s %s holds Proxmox's token", c.method, c.path)
	}
	if has(identityMark) && !c.is(routeExec) && !c.is(routeWrite) && !c.is(routeUpload) {
		r.w.violated("secrets", "%s %s holds an identity", c.method, c.path)
	}
}

func (r *secrets) finished(p pve.State, _ gh.State) {
	if r.w.log.leaked != "" {
		r.w.violated("secrets", "the log holds a secret: %s", r.w.log.leaked)
	}
	for _, v := range p.VMs {
		for key, value := range v.Config {
			for _, s := range r.w.log.secrets {
				if strings.Contains(value, s) {
					r.w.violated("secrets", "VM %d has a secret in its %s", v.VMID, key)
				}
			}
		}
	}
}
