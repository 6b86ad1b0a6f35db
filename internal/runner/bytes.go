package runner

import "fmt"

// Bytes is an amount of memory or storage in bytes.
type Bytes int64

// Binary units, as Proxmox counts memory and disks.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String prints the amount for people, for example "2.1 GiB".
func (b Bytes) String() string {
	switch {
	case b >= GiB || b <= -GiB:
		return fmt.Sprintf("%.1f GiB", float64(b)/float64(GiB))
	case b >= MiB || b <= -MiB:
		return fmt.Sprintf("%.1f MiB", float64(b)/float64(MiB))
	case b >= KiB || b <= -KiB:
		return fmt.Sprintf("%.1f KiB", float64(b)/float64(KiB))
	}
	return fmt.Sprintf("%d B", int64(b))
}
