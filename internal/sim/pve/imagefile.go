package pve

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"mayfly/internal/runner"
)

// The qcow2 header, as far as it matters here (QEMU docs/interop/qcow2.txt).
const (
	qcow2Magic        = "QFI\xfb"
	qcow2Header       = 104
	qcow2ExternalData = 1 << 2 // incompatible feature: the data is in another file
)

// checkImage is what Proxmox does with an image that it doesn't trust: it has to be of the format that its name says, and
// whole by itself (pve-storage Storage/Plugin.pm, file_size_info). It returns the size that a guest sees. path is how the
// texts call the file.
func checkImage(f *file, format, path string) (runner.Bytes, error) {
	in, err := f.open()
	if err != nil {
		return 0, failf("failed to stat '%s'", path)
	}
	defer func() { _ = in.Close() }()
	head := make([]byte, qcow2Header)
	n, err := io.ReadFull(in, head)
	if err != nil && n == 0 && f.size > 0 {
		return 0, fmt.Errorf("read image: %w", err)
	}
	head = head[:n]
	switch format {
	case "raw":
		return f.size, nil
	case "vmdk":
		if !bytes.HasPrefix(head, []byte("KDMV")) && !bytes.HasPrefix(head, []byte("# Disk DescriptorFile")) {
			return 0, failf("failed to query file information with qemu-img")
		}
		if len(head) < 20 {
			return 0, failf("failed to query file information with qemu-img")
		}
		return runner.Bytes(binary.LittleEndian.Uint64(head[12:]) * 512), nil
	}
	if n < 72 || !bytes.HasPrefix(head, []byte(qcow2Magic)) {
		return 0, failf("failed to query file information with qemu-img")
	}
	version := binary.BigEndian.Uint32(head[4:])
	if version >= 3 && n >= 80 && binary.BigEndian.Uint64(head[72:])&qcow2ExternalData != 0 {
		return 0, failf("%s: 'data-file' references are not allowed!", path)
	}
	if binary.BigEndian.Uint64(head[8:]) != 0 {
		return 0, failf("backing file not allowed for untrusted image '%s'!", path)
	}
	return runner.Bytes(binary.BigEndian.Uint64(head[24:])), nil
}
