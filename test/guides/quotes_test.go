package guides

import (
	"bufio"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const troubleGuide = "docs/troubleshooting.md"

// elsewhere are words that neither we nor our stand-ins say, with who does.
var elsewhere = map[string]string{
	"-bash: !dispatcher: event not found":                             "bash, history expansion",
	"certificate is valid for …, not …":                               "Go, crypto/x509 HostnameError",
	"can't be read: permission denied":                                "the second half is the kernel's (EACCES)",
	"start: list … GitHub answers 401":                                "github.Error with the call's name before it",
	"start: list cluster resources: 401 …":                            "proxmox.Error with the call's name before it",
	"401 No ticket; check PROXMOX_TOKEN_ID (user@realm!name)":         "status, Proxmox's words, our hint",
	"PROXMOX_URL: proxmox.url: not set":                               "variable, key and config's words",
	"KVM virtualisation configured, but not available":                "qemu-server, QemuServer.pm",
	"Agent error: … has been disabled":                                "QEMU's guest agent, qga/commands.c",
	"Name or service not known":                                       "glibc, getaddrinfo",
	"Illegal instruction":                                             "the shell, SIGILL",
	"Resource protected by organization SAML enforcement":             "GitHub's REST API",
	"You have exceeded a secondary rate limit":                        "GitHub's REST API",
	"is deprecated and cannot receive messages":                       "actions/runner's log",
	"No space left on device":                                         "the kernel, ENOSPC",
	"docker: command not found":                                       "the shell",
	"toomanyrequests":                                                 "Docker Hub",
	"sudo: a password is required":                                    "sudo",
	"SSL certificate problem: unable to get local issuer certificate": "curl, git",
	"gh: Not Found (HTTP 404)":                                        "gh, with GitHub's words",
	"status=2":                                                        "systemctl status", "/dev/kvm": "a file", "mayfly.yaml": "a file", "RUNNER_LABELS": "a variable",
	"systemctl status mayfly":                            "a command",
	"curl: (7) Failed to connect to 127.0.0.1 port 9180": "curl",
	"vm-2…-disk-…":                                       "the names of Proxmox's volumes",
	"QEMU exited with code 1: … Cannot allocate memory":  "Proxmox's task, with QEMU's words",
	"is locked (backup)":                                 "ours and Proxmox's, with the lock's name",
	"VM is locked (backup)":                              "Proxmox, with the lock's name",
	"VM is locked (clone)":                               "the same",
	"lock: clone was left by a task that was killed":     "ours, with the lock's name",
	"clock … behind this machine's; GitHub refuses runners that are more than 5 minutes off": "check, put together",
	"GitHub answers 401": "github.Error", "GitHub answers 403": "github.Error", "GitHub answers 500": "github.Error",
	"QEMU guest agent is not running": "Proxmox", "/var/lock/pve-manager": "a folder", "io-error": "QEMU's state, qapi RunState", "image: …": "run-once.sh", "level=WARN": "slog", "level=ERROR": "slog",
}

var (
	quoteForm  = regexp.MustCompile("`([^`]+)`")
	codeConst  = regexp.MustCompile(`Code += "([a-z_]+)"|Code = "([a-z_]+)"`)
	joinedText = regexp.MustCompile(`" \+\s*"`)
)

// sources are the texts in which a quoted message may stand, one for each file: our code and shell, and what the stand-ins and the
// recordings of the real servers say.
func sources(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"internal", "runners/common", "test/contract/testdata", "dispatcher"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			switch filepath.Ext(path) {
			case ".go", ".sh", ".service":
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				all = append(all, strings.ReplaceAll(joinedText.ReplaceAllString(string(text), ""), `\"`, `"`))
			case ".gz":
				return eachLine(path, func(line string) { all = append(all, strings.ReplaceAll(line, `\"`, `"`)) })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// eachLine reads a compressed file of lines.
func eachLine(path string, line func(string)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		line(s.Text())
	}
	return s.Err()
}

// said reports whether a quote, with "…" for what varies, stands in one of the texts.
func said(texts []string, quote string) bool {
	parts := slices.DeleteFunc(strings.Split(quote, "…"), func(p string) bool { return strings.TrimSpace(p) == "" })
	return len(parts) > 0 && slices.ContainsFunc(texts, func(text string) bool {
		for _, p := range parts {
			if !strings.Contains(text, strings.TrimSpace(p)) {
				return false
			}
		}
		return true
	})
}

// symptoms are the first cells of the tables of what is seen.
func symptoms(text string) []string {
	var cells []string
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "| you see |"), strings.HasPrefix(line, "| seen |"), strings.HasPrefix(line, "| what you see | why |"):
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && !strings.HasPrefix(line, "|---"):
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			cells = append(cells, cell)
		}
	}
	return cells
}

func TestEveryQuotedMessageIsSaid(t *testing.T) {
	texts := sources(t)
	cells := symptoms(guide(t, troubleGuide))
	if len(cells) < 100 {
		t.Errorf("%d symptoms in %s, want 100 at least", len(cells), troubleGuide)
	}
	for _, name := range []string{setupGuide, byHandGuide} {
		more := symptoms(guide(t, name))
		if len(more) < 5 {
			t.Errorf("%d symptoms in %s, want 5 at least", len(more), name)
		}
		cells = append(cells, more...)
	}
	used := map[string]bool{}
	for _, cell := range cells {
		for _, m := range quoteForm.FindAllStringSubmatch(cell, -1) {
			if quote := m[1]; elsewhere[quote] != "" {
				used[quote] = true
			} else if !said(texts, quote) {
				t.Errorf("nobody says %q (of %q)", quote, cell)
			}
		}
	}
	for quote := range elsewhere {
		if !used[quote] && !strings.HasPrefix(quote, "level=") {
			t.Errorf("%q isn't quoted any more", quote)
		}
	}
}

func TestSaidNeedsEveryPart(t *testing.T) {
	texts := []string{`fmt.Errorf("runner %s: clone template %d", a)`, "other"}
	for quote, want := range map[string]bool{"runner …: clone template …": true, "runner …: cloned": false, "…": false, "other": true} {
		if got := said(texts, quote); got != want {
			t.Errorf("said(%q) = %t, want %t", quote, got, want)
		}
	}
}

// TestEveryMessageOfTheLogIsSaid looks up the table of messages in docs/operations.md.
func TestEveryMessageOfTheLogIsSaid(t *testing.T) {
	texts := sources(t)
	_, table, ok := strings.Cut(guide(t, "docs/operations.md"), "| `msg` |")
	if !ok {
		t.Fatal("docs/operations.md has no table of messages")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	checked := 0
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range quoteForm.FindAllStringSubmatch(cell, -1) {
			checked++
			if !said(texts, `"`+m[1]+`"`) {
				t.Errorf("nothing logs %q", m[1])
			}
		}
	}
	if checked < 15 {
		t.Errorf("checked %d messages, want 15 at least", checked)
	}
}

// TestEveryReasonHasItsLine holds the table of codes against the code.
func TestEveryReasonHasItsLine(t *testing.T) {
	var codes []string
	for _, m := range codeConst.FindAllStringSubmatch(guide(t, "internal/fleet/reason.go"), -1) {
		codes = append(codes, m[1]+m[2])
	}
	if len(codes) < 15 {
		t.Fatalf("found the codes %v", codes)
	}
	text := guide(t, troubleGuide)
	for _, code := range codes {
		if !regexp.MustCompile("(?m)^\\| [^|]*`" + code + "`").MatchString(text) {
			t.Errorf("%s has no line for the reason %s", troubleGuide, code)
		}
	}
}
