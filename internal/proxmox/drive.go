package proxmox

import (
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// DriveSize reads size=8G out of a drive's options, as a VM's config has them (qemu-server: PVE/QemuServer/Drive.pm); 0 where it
// isn't told.
func DriveSize(drive string) runner.Bytes {
	for option := range strings.SplitSeq(drive, ",") {
		text, ok := strings.CutPrefix(option, "size=")
		if !ok || text == "" {
			continue
		}
		unit := runner.Bytes(1)
		switch text[len(text)-1] {
		case 'K':
			unit = runner.KiB
		case 'M':
			unit = runner.MiB
		case 'G':
			unit = runner.GiB
		case 'T':
			unit = 1024 * runner.GiB
		}
		n, err := strconv.ParseFloat(strings.TrimRight(text, "KMGT"), 64)
		if err == nil {
			return runner.Bytes(n * float64(unit))
		}
	}
	return 0
}
