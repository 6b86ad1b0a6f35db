package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Source is where an image begins: a disk image in qcow2 with cloud-init in it.
type Source struct {
	URL      string
	Checksum Checksum
}

// vendor is where a distribution publishes its current cloud image. Both files are renewed in place.
type vendor struct {
	image string
	// sums lists checksums beside the image; algorithm is theirs.
	sums, algorithm string
}

// vendors are the images that Mayfly knows: Debian's (cloud.debian.org/images/cloud, "genericcloud" is the one for
// virtual machines) and Ubuntu's (cloud-images.ubuntu.com, "server"; its .img is qcow2).
func vendors() map[string]vendor {
	const debian, ubuntu = "https://cloud.debian.org/images/cloud/", "https://cloud-images.ubuntu.com/"
	return map[string]vendor{
		"debian-12":   {debian + "bookworm/latest/debian-12-genericcloud-amd64.qcow2", "SHA512SUMS", "sha512"},
		"ubuntu-2204": {ubuntu + "jammy/current/jammy-server-cloudimg-amd64.img", "SHA256SUMS", "sha256"},
		"ubuntu-2404": {ubuntu + "noble/current/noble-server-cloudimg-amd64.img", "SHA256SUMS", "sha256"},
	}
}

// Known lists the images that have a source of their own.
func Known() []string { return slices.Sorted(maps.Keys(vendors())) }

// Name is the image that a user means: ubuntu-24.04 is ubuntu-2404, since names go where no dot may be.
func Name(s string) (string, error) {
	name := strings.ReplaceAll(strings.ToLower(s), ".", "")
	if err := runner.CheckImageName(name); err != nil {
		return "", err
	}
	return name, nil
}

const (
	// sumsPatience bounds reading a list of checksums, a few KiB.
	sumsPatience = time.Minute
	// longestSums is far above any such list: Debian's has 5 KiB.
	longestSums = 1 << 20
)

// VendorSource reads the vendor's list of checksums and gives its current image. The list comes over https from the
// vendor itself, which is all that is trusted.
func VendorSource(ctx context.Context, client *http.Client, name string) (Source, error) {
	v, ok := vendors()[name]
	if !ok {
		return Source{}, fmt.Errorf("image %q: no vendor is known for it, only for %s; give --source-url and --checksum, or image.sources",
			name, strings.Join(Known(), ", "))
	}
	u, err := url.Parse(v.image)
	if err != nil {
		return Source{}, fmt.Errorf("image %s: %w", name, err)
	}
	file := path.Base(u.Path)
	u.Path = path.Join(path.Dir(u.Path), v.sums)
	sum, err := checksumOf(ctx, client, u.String(), file, v.algorithm)
	if err != nil {
		return Source{}, fmt.Errorf("read checksum of image %s: %w; give --source-url and --checksum to do without", name, err)
	}
	return Source{URL: v.image, Checksum: sum}, nil
}

// checksumOf finds a file's line in a list of checksums.
func checksumOf(ctx context.Context, client *http.Client, list, file, algorithm string) (Checksum, error) {
	ctx, cancel := context.WithTimeout(ctx, sumsPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, list, nil)
	if err != nil {
		return Checksum{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Checksum{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return Checksum{}, fmt.Errorf("%s answers %s", list, resp.Status)
	}
	if resp.Request.URL.Scheme != "https" && !loopback(resp.Request.URL) {
		return Checksum{}, fmt.Errorf("%s leads to %s, which isn't https", list, resp.Request.URL.Redacted())
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, longestSums))
	if err != nil {
		return Checksum{}, err
	}
	for line := range strings.Lines(string(text)) {
		// "HEX  NAME" or, for binary files, "HEX *NAME" (coreutils sha256sum).
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.TrimPrefix(fields[1], "*") == file {
			return ParseChecksum(algorithm + ":" + fields[0])
		}
	}
	return Checksum{}, errors.New(list + " has no line for " + file)
}

func loopback(u *url.URL) bool {
	h := u.Hostname()
	return h == "127.0.0.1" || h == "::1" || h == "localhost"
}
