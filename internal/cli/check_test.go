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
	if err := (findingsView{}).write(&out, checkFindings); err != nil {
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
	if err := (findingsView{colour: true}).write(&out, checkFindings[2:]); err != nil {
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

func TestReasonsAreWrappedIntoATerminal(t *testing.T) {
	findings := []check.Finding{
		{Level: check.Warning, What: "template ubuntu", Reason: "starts with its node; a clone that isn't set up yet would start with it, too", Cure: "on the node: qm set 9000 --onboot 0"},
		{Level: check.Unseen, What: "what is looked at has a very long name that pushes its line", Reason: "why"},
	}
	for width, want := range map[int]string{
		100: `warning  template ubuntu                               starts with its node; a clone that isn't set
                                                       up yet would start with it, too
         -> on the node: qm set 9000 --onboot 0
unseen   what is looked at has a very long name that pushes its line
         why

0 ok, 1 unseen, 1 warning, 0 errors
`,
		60: `warning  template ubuntu
         starts with its node; a clone that isn't set up yet
         would start with it, too
         -> on the node: qm set 9000 --onboot 0
unseen   what is looked at has a very long name that pushes its line
         why

0 ok, 1 unseen, 1 warning, 0 errors
`,
	} {
		var out bytes.Buffer
		if err := (findingsView{width: width}).write(&out, findings); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("on %d columns (-want +got):\n%s", width, diff)
		}
	}
}

func TestFixesAreAScript(t *testing.T) {
	var out bytes.Buffer
	findings := append([]check.Finding{}, checkFindings...)
	findings[1].Commands = &check.Commands{Node: "pve1", Lines: []string{"qm set 9000 --onboot 0"}}
	findings[1].Change = &check.Change{Node: "pve1", VMID: 9000, Set: map[string]string{"onboot": "0", "boot": "order=scsi0"}}
	findings[2].Commands = &check.Commands{Lines: []string{"pveum role add …", "pveum acl modify …"}}
	findings = append(findings, check.Finding{Level: check.Warning, What: "backup job nightly", Reason: "saves runners", Cure: "Datacenter → Backup"})
	if err := writeFixes(&out, findings); err != nil {
		t.Fatal(err)
	}
	want := `# What mends the findings of mayfly check. Read it, then run the commands as root, each on the node that is named.

# warning: template ubuntu (VM 9000): starts with its node
# on node pve1:
qm set 9000 --onboot 0

# error: privileges on /sdn/zones/localnetwork/vmbr0 (run): the token lacks SDN.Use
# on any node:
pveum role add …
pveum acl modify …

# warning: backup job nightly: saves runners
# by hand: Datacenter → Backup

# mayfly check --fix --yes makes these changes by the API itself, if its token may:
# PUT /nodes/pve1/qemu/9000/config boot=order=scsi0 onboot=0
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
}
