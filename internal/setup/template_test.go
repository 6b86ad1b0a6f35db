package setup

import (
	"bytes"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
)

// TestAStorageWithoutLinkedClonesMeansFullCopies is about what Proxmox calls lvm, which the stand-in has none of.
func TestAStorageWithoutLinkedClonesMeansFullCopies(t *testing.T) {
	for kind, want := range map[string]string{"lvm": "true", "lvmthin": "", "zfspool": "", "iscsi": "true"} {
		var out bytes.Buffer
		w := &wizard{con: newConsole(strings.NewReader(""), &out), storages: []proxmox.Storage{{Name: "san", Type: kind}}}
		there := []found{{name: "big", vmid: 9000, cfg: proxmox.VMConfig{Values: map[string]string{"virtio0": "san:vm-9000-disk-0,size=8G", "net0": "virtio,bridge=vmbr7"}}}}
		w.takeTemplate(there, "big", "asked")
		if got := w.note("pools[0].full_clone"); got != want {
			t.Errorf("%s: full_clone %q, want %q", kind, got, want)
		}
		if !strings.Contains(out.String(), "VM 9000, disk on san, network on vmbr7") {
			t.Errorf("shown: %s", out.String())
		}
	}
}

func TestAnswersAreChosenByNumberUnlessANumberIsAValue(t *testing.T) {
	q := question{offers: []offer{{"a", ""}, {"3", ""}, {"c", ""}}}
	for text, want := range map[string]string{"1": "a", "3": "3", "2": "3", "0": "0", "4": "4", "b": "b", "c": "c"} {
		if got := q.choose(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNothingIsReadOnceTheInputHasEnded(t *testing.T) {
	c := newConsole(strings.NewReader("first\nlast"), &bytes.Buffer{})
	for _, want := range []string{"first", "last"} {
		if got, err := c.read(t.Context()); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	for range 2 {
		if got, err := c.read(t.Context()); err != errEnded { //nolint:errorlint // the very value
			t.Errorf("%q, %v; want the end", got, err)
		}
	}
}
