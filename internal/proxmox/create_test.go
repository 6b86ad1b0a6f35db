package proxmox_test

import (
	"errors"
	"testing"

	"mayfly/internal/proxmox"
)

func TestProgressIsReadFromTheLastLineThatTells(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  int
		ok    bool
	}{
		{"nothing yet", []string{"downloading https://images.example/x to /var/lib/vz/import/x.qcow2"}, 0, false},
		{"no lines", nil, 0, false},
		{"wget", []string{
			"Length: 553648128 (528M) [application/octet-stream]",
			"     0K ........ ........ ........ ........  6% 13.2M 37s",
			" 32768K ........ ........ ........ ........ 12% 45.1M 22s",
			"",
		}, 12, true},
		{"wget's last row", []string{" 524288K ........ .......                                 100% 45.1M=12s"}, 100, true},
		{"a copy", []string{
			"create full clone of drive (local:import/disk.qcow2)", "transferred 0.0 B of 2.0 GiB (0.00%)",
			"transferred 1.5 GiB of 2.0 GiB (75.12%)",
		}, 75, true},
		{"wget's last full row", []string{" 65536K ........ ........ ........ ........100% 45.1M=2.2s"}, 100, true},
		{"a file called 50%", []string{"Saving to: 'x 50%'"}, 0, false},
	} {
		if got, ok := proxmox.Progress(tc.lines); got != tc.want || ok != tc.ok {
			t.Errorf("%s: %d, %v; want %d, %v", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestDownloadUnderANameThatProxmoxWouldChangeIsRefused(t *testing.T) {
	for _, name := range []string{"", "a b.qcow2", "../x.qcow2", "x+y.qcow2"} {
		_, err := newClient(t, nil, refused(t)).DownloadURL(t.Context(), "pve1", proxmox.Download{Storage: "local", Content: "import", Name: name, URL: "https://x.example"})
		if !errors.Is(err, proxmox.BadParameter) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNodesAndNextIDThatMakeNoSenseAreErrors(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[{"status":"online"}]}`)))
	if nodes, err := newClient(t, nil, w.URL).Nodes(t.Context()); !errors.Is(err, proxmox.Unavailable) {
		t.Errorf("a node without a name: %v, %v", nodes, err)
	}
	w = newWire(t, false, always(reply("200 OK", `{"data":null}`)))
	if id, err := newClient(t, nil, w.URL).NextID(t.Context()); !errors.Is(err, proxmox.Unavailable) {
		t.Errorf("no VMID: %d, %v", id, err)
	}
}
