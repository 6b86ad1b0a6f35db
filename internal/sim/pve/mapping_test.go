package pve

import "testing"

// The digest is recorded from Proxmox VE 9.2 (capture x2-lease-get).
func TestDigestOfMappingsIsThatOfTheFileProxmoxWrites(t *testing.T) {
	all := mappings{{id: "mf-lease", description: "holder=SECRETVAL1", entries: []string{"node=pve1,path=/tmp"}}}
	const recorded = "40fe7ae6e1a2e6726e32759dfdb70c413be8d7a2"
	if got := all.digest(); got != recorded {
		t.Errorf("digest %s, want %s", got, recorded)
	}
	all = append(all, &dirMapping{id: "other", entries: []string{"node=pve1,path=/srv"}})
	if all.digest() == recorded {
		t.Error("another mapping leaves the digest as it was; it is of the whole file")
	}
}
