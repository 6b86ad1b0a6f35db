package pve

import (
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
)

// decompressors are those of ISO images that the stand-in has; Proxmox has lzo and zst, too (pve-storage Storage.pm,
// decompressor_info).
var decompressors = map[string]func(io.Reader) (io.Reader, error){
	"gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"bz2": func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
}

// decompress unpacks a file that was fetched.
func (s *Server) decompress(f *file, how string) (*file, error) {
	in, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer func() { _ = in.Close() }()
	var out *file
	r, err := decompressors[how](in)
	if err == nil {
		out, err = s.newFile(r)
	}
	if err != nil {
		return nil, failf("command '%s' failed: exit code 1", map[string]string{"gz": "zcat", "bz2": "bzcat -q"}[how])
	}
	return out, nil
}
