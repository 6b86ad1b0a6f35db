package proxmox

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	// wget --progress=dot:giga: " 65536K ........ ........ ........ ........ 12% 45.1M 9s".
	wgetRow = regexp.MustCompile(`^\s*\d+K[ .,]*?(\d{1,3})%`)
	// qemu-img convert -p, as Proxmox prints it: "transferred 1.2 GiB of 8.0 GiB (15.00%)".
	copyRow = regexp.MustCompile(`^transferred .*\((\d{1,3})(?:\.\d+)?%\)`)
)

// Progress reads how far a task is from lines of its log: those of a download (wget's) and of a disk's copy
// (qemu-img's). ok is false when none of them says.
func Progress(lines []string) (percent int, ok bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		for _, form := range []*regexp.Regexp{wgetRow, copyRow} {
			if m := form.FindStringSubmatch(strings.TrimRight(lines[i], " ")); m != nil {
				n, err := strconv.Atoi(m[1])
				return min(n, 100), err == nil
			}
		}
	}
	return 0, false
}
