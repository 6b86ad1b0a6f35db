package pve

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Configurations and their digests as Proxmox VE 9.2 gave them (captures qemu-config, utf8-description-get,
// clone-inflight-config).
func TestDigestIsThatOfTheFileProxmoxWrites(t *testing.T) {
	for _, recorded := range []string{
		`{"scsihw":"virtio-scsi-single","kvm":0,"ostype":"l26","vmgenid":"39e4a171-bbfc-438d-95aa-edaa6d4cc092","agent":"1",` +
			`"serial0":"socket","memory":"256","smbios1":"uuid=25b77e84-796f-4b8e-bd5e-2aba54b51f80",` +
			`"net0":"virtio=BC:24:11:F8:CA:9A,bridge=vmbr0","description":"a template\nline2","boot":"order=scsi0;net0",` +
			`"meta":"creation-qemu=7.2.22,ctime=1795488076","scsi0":"local:9000/vm-9000-disk-0.qcow2,size=1G","name":"tmpl",` +
			`"tags":"ci;tmpl","digest":"8f7e04a99debbbe9563cb6449818813067139a4c","cores":1}`,
		`{"description":"grüße €","smbios1":"uuid=25b77e84-796f-4b8e-bd5e-2aba54b51f80,base64=1,serial=ZHM9bm9jbG91ZDtzPWh0dHA6Ly94Lw==",` +
			`"net0":"virtio=BC:24:11:F8:9F:C1,bridge=vmbr0","scsi0":"local:9000/base-9000-disk-1.qcow2,size=1G","name":"tmpl","kvm":0,` +
			`"memory":"256","serial0":"socket","ostype":"l26","ide2":"local:iso/seed-100.iso,media=cdrom,size=364K",` +
			`"meta":"creation-qemu=7.2.22,ctime=1795488340","boot":"order=scsi0;net0;ide2","digest":"d0ea1dd7edc2bde902175e979791d441d079d332",` +
			`"template":1,"cores":1,"tags":"ci;linux","onboot":0,"scsihw":"virtio-scsi-single","vmgenid":"1e5fa794-9b57-4d1e-b3ec-a7065f71e234",` +
			`"agent":"1","cicustom":"user=local:snippets/u.yaml"}`,
		`{"description":" qmclone temporary file","lock":"clone","digest":"eb54fb9d9f120ba0c3bdf694f73b10002c375c38"}`,
	} {
		var fields map[string]any
		if err := json.Unmarshal([]byte(recorded), &fields); err != nil {
			t.Fatal(err)
		}
		v := &vm{conf: map[string]string{}}
		for k, val := range fields {
			v.conf[k] = fmt.Sprint(val)
		}
		delete(v.conf, "digest")
		if got := v.digest(); got != fields["digest"] {
			t.Errorf("digest of %s: %s, want %s", v.conf["name"], got, fields["digest"])
		}
	}
}
