package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// imageFile describes an image, in the image's folder.
const imageFile = "image.json"

// Image is a guest's disk and how to boot it: a folder that test/guest builds, with an image.json that holds these
// fields. File names are relative to the folder.
type Image struct {
	// Dir is the folder; it is not in image.json.
	Dir string `json:"-"`
	// Name is the kind of guest: "tiny", "systemd" or "cloudinit".
	Name string `json:"name"`
	// Disk is the qcow2 file that every machine's disk is an overlay of.
	Disk string `json:"disk"`
	// Kernel is a bzImage. With an Initrd QEMU boots it directly, with Append as its command line; without one the
	// machine boots from Disk, and Kernel only serves to try what KVM is worth.
	Kernel string `json:"kernel"`
	Initrd string `json:"initrd,omitempty"`
	Append string `json:"append,omitempty"`
	// Busybox is a static busybox for the host, whose nc carries a guest's connections to GitHub.
	Busybox string `json:"busybox"`
	// MemoryMiB is the size of a machine, and TBMiB that of QEMU's buffer of translated code: its default costs each
	// machine half a gigabyte for nothing.
	MemoryMiB int `json:"memory_mib"`
	TBMiB     int `json:"tb_mib"`
}

// LoadImage reads the image in a folder.
func LoadImage(dir string) (Image, error) {
	text, err := os.ReadFile(filepath.Join(dir, imageFile))
	if err != nil {
		return Image{}, fmt.Errorf("load guest image: %w", err)
	}
	im := Image{}
	if err := json.Unmarshal(text, &im); err != nil {
		return Image{}, fmt.Errorf("load guest image %s: %w", dir, err)
	}
	im.Dir = dir
	if im.Name == "" || im.Disk == "" || im.Kernel == "" || im.Busybox == "" || im.MemoryMiB <= 0 || im.TBMiB <= 0 {
		return Image{}, fmt.Errorf("load guest image %s: %s is incomplete; build the image again", dir, imageFile)
	}
	for _, file := range []string{im.Disk, im.Kernel, im.Initrd, im.Busybox} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			return Image{}, fmt.Errorf("load guest image: %w; build the image again", err)
		}
	}
	return im, nil
}

// Save writes the description into the image's folder.
func (im Image) Save() error {
	text, err := json.MarshalIndent(im, "", "  ")
	if err != nil {
		return fmt.Errorf("save guest image %s: %w", im.Dir, err)
	}
	if err := os.WriteFile(filepath.Join(im.Dir, imageFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("save guest image: %w", err)
	}
	return nil
}

// CacheDir is where images are kept: ${XDG_CACHE_HOME:-~/.cache}/mayfly/guest.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "mayfly", "guest"), nil
}

// FindImage gives the image of that name that was built last on this machine.
func FindImage(name string) (Image, error) {
	dir, err := CacheDir()
	if err != nil {
		return Image{}, err
	}
	im, err := LoadImage(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, fmt.Errorf("find guest image %q: none in %s; build it in a checkout: go run ./test/guest %s", name, dir, name)
	}
	return im, err
}

// path is a file of the image.
func (im Image) path(file string) string { return filepath.Join(im.Dir, file) }
