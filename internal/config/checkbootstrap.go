package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// checkBootstrap holds the keys of the bootstrap section against each other and against the ranges of runners and
// templates, in which a container would be taken for one that could be destroyed.
func (l *loader) checkBootstrap() {
	b := &l.file.Bootstrap
	const id, template, url, ip, gateway = "bootstrap.id", "bootstrap.template", "bootstrap.template_url", "bootstrap.ip", "bootstrap.gateway"
	if b.ID != 0 && !l.bad(id) {
		l.checkOutside(id, b.ID, "vmids", VMIDRange(l.file.VMIDs))
		l.checkOutside(id, b.ID, "image.vmids", VMIDRange(l.file.Image.VMIDs))
	}
	if b.Template != "" && b.TemplateURL != "" {
		l.problem(l.origins[url], url, "set beside "+template, "want one of the two")
	}
	if !l.bad(url) && strings.HasPrefix(b.TemplateURL, "http://") {
		l.warn(l.origins[url], url, "http can be changed in between, and nothing checks what arrives")
	}
	switch {
	case b.Gateway == "" || l.bad(ip) || l.bad(gateway):
	case b.IP == "dhcp":
		l.problem(l.origins[gateway], gateway, "set beside "+ip+": dhcp, which names a router itself", "want an address in "+ip+", or no gateway")
	default:
		net, err := netip.ParsePrefix(b.IP)
		router, err2 := netip.ParseAddr(b.Gateway)
		if err != nil || err2 != nil {
			return // told by their forms
		}
		if !net.Contains(router) {
			l.problem(l.origins[gateway], gateway, fmt.Sprintf("%s is not in the network of %s", b.Gateway, b.IP), "want a router that the container reaches")
		}
	}
}

// checkOutside refuses a VMID that lies in the range of the key name.
func (l *loader) checkOutside(path string, vmid int, name string, r VMIDRange) {
	if !l.bad(name) && r.Start <= vmid && vmid <= r.End {
		l.problem(l.origins[path], path, fmt.Sprintf("%d lies in %s", vmid, name), fmt.Sprintf("want a VMID outside %d to %d", r.Start, r.End))
	}
}
