package common_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gib is a GiB in sectors of 512 bytes.
const gib = 2 << 20

// TestGrowRoot runs grow-root.sh over a disk of its own making: it grows what there is room for, and touches nothing else.
func TestGrowRoot(t *testing.T) {
	type part struct {
		number      int
		start, size int64
	}
	debian := []part{{1, 262144, 8*gib - 262144 - 2048}, {14, 2048, 6144}, {15, 8192, 253952}} // the root comes first by number and last by place
	for _, tc := range []struct {
		name  string
		parts []part
		disk  int64
		fs    string
		fails string // the tool that does
		calls string
		code  int
		says  string
	}{
		{name: "of the template's size", parts: debian, disk: 8 * gib},
		{name: "larger", parts: debian, disk: 64 * gib, fs: "ext4", calls: "growpart /dev/sda 1\nresize2fs /dev/sda1\n"},
		{name: "larger, xfs", parts: debian, disk: 64 * gib, fs: "xfs", calls: "growpart /dev/sda 1\nxfs_growfs /\n"},
		{name: "of a kind that can't grow", parts: debian, disk: 64 * gib, fs: "jfs", calls: "growpart /dev/sda 1\n", code: 1, says: "nothing here can grow"},
		{name: "growpart fails", parts: debian, disk: 64 * gib, fs: "ext4", fails: "growpart", calls: "growpart /dev/sda 1\n", code: 1},
		{name: "another partition behind it", parts: []part{{1, 2048, 8 * gib}, {2, 8*gib + 2048, gib}}, disk: 64 * gib, says: "isn't the last partition"},
		{name: "no partition", disk: 64 * gib, says: "on no partition"},
	} {
		for label, shell := range shells(t) {
			t.Run(tc.name+"/"+label, func(t *testing.T) {
				root := t.TempDir()
				write := func(name, text string, mode os.FileMode) {
					path := filepath.Join(root, name)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(text), mode); err != nil {
						t.Fatal(err)
					}
				}
				write("sys/devices/sda/size", fmt.Sprintln(tc.disk), 0o644)
				at := "sda"
				for _, p := range tc.parts {
					dir := fmt.Sprintf("sys/devices/sda/sda%d/", p.number)
					write(dir+"partition", fmt.Sprintln(p.number), 0o644)
					write(dir+"start", fmt.Sprintln(p.start), 0o644)
					write(dir+"size", fmt.Sprintln(p.size), 0o644)
					at = "sda/sda1"
				}
				if err := os.MkdirAll(filepath.Join(root, "sys", "dev", "block"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("../../devices/"+at, filepath.Join(root, "sys", "dev", "block", "8:1")); err != nil {
					t.Fatal(err)
				}
				write("bin/mountpoint", "#!/bin/sh\necho 8:1\n", 0o755)
				write("bin/findmnt", "#!/bin/sh\necho "+tc.fs+"\n", 0o755)
				for _, tool := range []string{"growpart", "resize2fs", "xfs_growfs", "btrfs"} {
					end := ""
					if tool == tc.fails {
						end = "exit 1\n"
					}
					write("bin/"+tool, "#!/bin/sh\necho \"${0##*/} $*\" >>'"+root+"/calls'\n"+end, 0o755)
				}
				cmd := exec.CommandContext(t.Context(), shell[0], append(slices.Clone(shell[1:]), "grow-root.sh")...)
				cmd.Env = []string{"MAYFLY_ROOT=" + root, "PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH")}
				out, _ := cmd.CombinedOutput() // its code tells
				calls, _ := os.ReadFile(filepath.Join(root, "calls"))
				if code := cmd.ProcessState.ExitCode(); code != tc.code || string(calls) != tc.calls || !strings.Contains(string(out), tc.says) || tc.says == "" && len(out) > 0 {
					t.Errorf("ends with %d, says %q and calls\n%swant %d, %q and\n%s", code, out, calls, tc.code, tc.says, tc.calls)
				}
			})
		}
	}
}
