package cloudinit

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what cloud-init takes user-data for.
type kind int

const (
	cloudConfig kind = iota + 1
	script
)

const (
	// maxTemplate only a mistake exceeds.
	maxTemplate = 256 << 10
	// maxRendered is how much of a snippet Proxmox reads (qemu-server PVE/QemuServer/Cloudinit.pm,
	// read_cloudinit_snippets_file); what is longer it refuses when the VM starts.
	maxRendered = 1 << 20
	// mimeWindow is how far cloud-init looks for a MIME header (cloudinit/user_data.py, convert_string).
	mimeWindow = 4096
)

// others are the beginnings of the kinds that cloud-init knows beside ours (cloudinit/handlers/__init__.py,
// INCLUSION_TYPES_MAP), the longer of two with the same beginning first.
var others = []struct{ beginning, what string }{
	{"#cloud-config-archive", "a cloud-config archive"},
	{"#include-once", "a list of addresses to include"},
	{"#include", "a list of addresses to include"},
	{"#cloud-boothook", "a boothook"},
	{"#part-handler", "a part handler"},
	{"#upstart-job", "an upstart job"},
	{"## template:", "a Jinja template"},
	{"content-type:", "a MIME message"},
	{"mime-version:", "a MIME message"},
	{"from nobody", "a MIME message"},
}

// kindOf says what cloud-init will take the text for, or why it isn't taken here.
func kindOf(text string) (kind, []Problem) {
	if len(text) > maxTemplate {
		return 0, []Problem{{0, fmt.Sprintf("has %d bytes; want at most %d", len(text), maxTemplate)}}
	}
	first := strings.TrimRight(firstLine(text), " \t\r")
	if first != "#cloud-config" && !strings.HasPrefix(first, "#!") {
		return 0, []Problem{{1, wrongBeginning(text)}}
	}
	if p, bad := oddText(text); bad {
		return 0, []Problem{p}
	}
	if looksLikeMIME(text) {
		return 0, []Problem{{0, fmt.Sprintf(`has "MIME-Version:" in its first %d bytes, so that cloud-init takes it for a MIME message; write it otherwise`, mimeWindow)}}
	}
	if first == "#cloud-config" {
		return cloudConfig, nil
	}
	switch {
	case !strings.HasPrefix(strings.TrimLeft(first[len("#!"):], " \t"), "/"):
		return 0, []Problem{{1, "#! without the path of an interpreter; want for example #!/bin/sh"}}
	case strings.Contains(text, "\r\n"):
		return 0, []Problem{{1, `lines end with \r\n, which the script's interpreter takes for a part of them; save it with \n`}}
	}
	return script, nil
}

func wrongBeginning(text string) string {
	const want = "want #cloud-config alone on the first line, or a script's #!"
	begins := strings.ToLower(strings.TrimLeft(text, " \t\r\n"))
	switch {
	case strings.HasPrefix(text, "\x1f\x8b"):
		return "gzip, which cloud-init knows but which can't be checked here; " + want
	case strings.HasPrefix(text, "\ufeff"):
		return "begins with a byte order mark; save it without"
	case strings.HasPrefix(begins, "#cloud-config\n"), strings.HasPrefix(begins, "#!"), strings.HasPrefix(begins, "#cloud-config\r"):
		return "its beginning is not at the very start, or not in lower case; " + want
	}
	for _, o := range others {
		if strings.HasPrefix(begins, o.beginning) {
			return o.what + ", which cloud-init knows but which can't be checked here; " + want
		}
	}
	return "cloud-init won't know what this is; " + want
}

// oddText finds bytes that cloud-init's YAML reader refuses (PyYAML: only printable characters).
func oddText(text string) (Problem, bool) {
	if !utf8.ValidString(text) {
		return Problem{0, "is not UTF-8"}, true
	}
	line := 1
	for _, r := range text {
		switch {
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			return Problem{line, fmt.Sprintf("holds the character %U, which cloud-init doesn't read", r)}, true
		}
	}
	return Problem{}, false
}

func looksLikeMIME(text string) bool {
	head := []byte(text)
	return bytes.Contains(bytes.ToLower(head[:min(len(head), mimeWindow)]), []byte("mime-version:"))
}
