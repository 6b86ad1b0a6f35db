package qemu

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/kdomanski/iso9660"

	"mayfly/internal/sim/pve"
)

func TestSeedIsWhatNoCloudLooksForAndTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "201.iso")
	for range 2 { // a VM that is started again gets another
		err := writeSeed(path, &pve.CloudInit{UserData: "#cloud-config\n", MetaData: "instance-id: x\n", NetworkConfig: "version: 1\n"})
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info.Mode(), err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// ECMA-119 8.4: the primary volume descriptor is sector 16, the volume's name is its bytes 41 to 72.
	if label := string(raw[16*2048+40 : 16*2048+46]); label != "cidata" {
		t.Errorf("label %q", label)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	image, err := iso9660.OpenImage(f)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := image.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	children, err := dir.GetChildren()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range children {
		text, err := io.ReadAll(c.Reader())
		if err != nil {
			t.Fatal(err)
		}
		got[c.Name()] = string(text)
	}
	want := map[string]string{"user-data": "#cloud-config\n", "meta-data": "instance-id: x\n", "network-config": "version: 1\n", "vendor-data": ""}
	if !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}
