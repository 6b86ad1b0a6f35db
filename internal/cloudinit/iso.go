package cloudinit

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// SeedLabel is the volume label by which cloud-init's NoCloud data source knows a seed (cloud-init,
// sources/DataSourceNoCloud.py; blkid finds it in either case).
const SeedLabel = "cidata"

// The names of NoCloud's files.
const (
	userDataFile      = "user-data"
	metaDataFile      = "meta-data"
	networkConfigFile = "network-config"
)

// Seed is what a guest's cloud-init reads from a NoCloud medium.
type Seed struct {
	// MetaData is YAML with an instance-id: cloud-init runs once for each of them.
	MetaData string
	// UserData may hold an identity.
	UserData string
	// NetworkConfig is left out when it is "": the guest's own configuration holds then.
	NetworkConfig string
	// Files are further files by path ("provision.d/10-user.sh"): at most 7 folders deep, names of at most 100 bytes.
	Files map[string][]byte
}

// ISO gives the medium as an ISO 9660 image with Rock Ridge names, made in memory: an identity in it is on no disk of
// ours. The same seed gives the same bytes. In the guest all files belong to root, with mode 0500.
func (s Seed) ISO() ([]byte, error) {
	if !strings.Contains(s.MetaData, "instance-id:") {
		return nil, errors.New("make NoCloud image: its meta-data names no instance-id, so cloud-init wouldn't take it")
	}
	files := map[string][]byte{userDataFile: []byte(s.UserData), metaDataFile: []byte(s.MetaData)}
	if s.NetworkConfig != "" {
		files[networkConfigFile] = []byte(s.NetworkConfig)
	}
	for name, data := range s.Files {
		if _, taken := files[name]; taken || name == networkConfigFile {
			return nil, fmt.Errorf("make NoCloud image: file %q: the name is one of NoCloud's own", name)
		}
		files[name] = data
	}
	image, err := makeISO(SeedLabel, files)
	if err != nil {
		return nil, fmt.Errorf("make NoCloud image: %w", err)
	}
	return image, nil
}

// Format prints how large the parts are for every verb: they may hold an identity.
func (s Seed) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("NoCloud seed: user-data of %d bytes, meta-data of %d, network-config of %d, %d more files",
		len(s.UserData), len(s.MetaData), len(s.NetworkConfig), len(s.Files)))
}

// emptyLabel is the volume label of a medium that nobody takes for a seed.
const emptyLabel = "MAYFLY_EMPTY"

// EmptyISO gives a medium without files, of 46 KiB at most. It takes the place of a seed that can't be deleted.
func EmptyISO() []byte {
	image, err := makeISO(emptyLabel, nil)
	if err != nil {
		panic("cloudinit: " + err.Error()) // there is no input
	}
	return image
}
