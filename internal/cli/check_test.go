package cli

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/check"
)

var checkFindings = []check.Finding{
	{ID: "proxmox-version", Level: check.OK, What: "Proxmox VE's version", Reason: "9.2.11 is supported"},
	{ID: "template-settings", Level: check.Warning, What: "template ubuntu (VM 9000)", Reason: "starts with its node", Cure: "on the node: qm set 9000 --onboot 0"},
	{ID: "proxmox-privileges", Level: check.Error, What: "privileges on /sdn/zones/localnetwork/vmbr0 (run)", Reason: "the token lacks SDN.Use", Cure: `pveum acl modify … && true`},
}

func TestFindingsAsTable(t *testing.T) {
	var out bytes.Buffer
	if err := writeFindings(&out, checkFindings, false); err != nil {
		t.Fatal(err)
	}
	want := `ok       Proxmox VE's version                          9.2.11 is supported
warning  template ubuntu (VM 9000)                     starts with its node
         -> on the node: qm set 9000 --onboot 0
error    privileges on /sdn/zones/localnetwork/vmbr0 (run)  the token lacks SDN.Use
         -> pveum acl modify … && true

1 ok, 1 warning, 1 error
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := writeFindings(&out, checkFindings[2:], true); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), []byte("\x1b[31merror  \x1b[0m  privileges")) {
		t.Errorf("on a terminal: %q", out.String())
	}
}

func TestFindingsAsJSON(t *testing.T) {
	var out bytes.Buffer
	if err := writeFindingsJSON(&out, checkFindings[1:]); err != nil {
		t.Fatal(err)
	}
	want := `{
  "worst": "error",
  "findings": [
    {
      "id": "template-settings",
      "level": "warning",
      "what": "template ubuntu (VM 9000)",
      "reason": "starts with its node",
      "cure": "on the node: qm set 9000 --onboot 0"
    },
    {
      "id": "proxmox-privileges",
      "level": "error",
      "what": "privileges on /sdn/zones/localnetwork/vmbr0 (run)",
      "reason": "the token lacks SDN.Use",
      "cure": "pveum acl modify … && true"
    }
  ]
}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
