package release

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mayfly/internal/cli"
)

// unitPath is the unit as it is shipped.
var unitPath = filepath.Join("..", "..", "dispatcher", "mayfly.service")

// unit is a unit file: the values of each "Section.Key", in their order.
type unit map[string][]string

// readUnit reads a unit file strictly (systemd.syntax(7)): what isn't a comment, a section or an assignment fails the test.
func readUnit(t *testing.T, path string) unit {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for n, line := range strings.Split(string(text), "\n") {
		key, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case assigned && section != "" && regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`).MatchString(key):
			u[section+"."+key] = append(u[section+"."+key], value)
		default:
			t.Errorf("%s:%d: %q is no line of a unit", path, n+1, line)
		}
	}
	return u
}

func (u unit) want(t *testing.T, key string, values ...string) {
	t.Helper()
	if !slices.Equal(u[key], values) {
		t.Errorf("%s=%q; want %q", key, u[key], values)
	}
}

func TestUnitIsWhatTheReadmePromises(t *testing.T) {
	u := readUnit(t, unitPath)
	u.want(t, "Service.Type", "notify")
	u.want(t, "Service.Restart", "always")
	u.want(t, "Service.RestartPreventExitStatus", strconv.Itoa(cli.ExitUsage))
	u.want(t, "Service.StateDirectory", "mayfly")
	u.want(t, "Service.DynamicUser", "yes")
	u.want(t, "Service.WorkingDirectory", "/etc/mayfly")
	u.want(t, "Unit.StartLimitIntervalSec", "0")
	u.want(t, "Install.Alias", "dispatcher.service")
	u.want(t, "Install.WantedBy", "multi-user.target")
	if len(u["Service.WatchdogSec"]) != 1 {
		t.Errorf("WatchdogSec=%q", u["Service.WatchdogSec"])
	}
}

// TestUnitPutsNoSecretInTheJournal: systemd logs lines of an EnvironmentFile= that it can't take, such as `export NAME=value`
// (src/basic/env-util.c, strv_env_clean_with_callback).
func TestUnitPutsNoSecretInTheJournal(t *testing.T) {
	u := readUnit(t, unitPath)
	u.want(t, "Service.EnvironmentFile")
	u.want(t, "Service.Environment")
	for _, want := range []string{"dispatcher.env:/etc/mayfly/dispatcher.env", "github_token:mayfly.github_token", "proxmox_token_secret:mayfly.proxmox_token_secret"} {
		if !slices.Contains(u["Service.LoadCredential"], want) {
			t.Errorf("LoadCredential=%q; want %s, too", u["Service.LoadCredential"], want)
		}
	}
	// What stands in for a file that isn't there makes a missing one no error (systemd.exec(5), SetCredential=).
	u.want(t, "Service.SetCredential", "dispatcher.env:#")
}

// TestUnitCallsTheProgramRightly runs the line that systemd would, with a configuration that is wrong on purpose: the command
// and its flags must be known, and the file read.
func TestUnitCallsTheProgramRightly(t *testing.T) {
	u := readUnit(t, unitPath)
	if len(u["Service.ExecStart"]) != 1 {
		t.Fatalf("ExecStart=%q", u["Service.ExecStart"])
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dispatcher.env"), []byte("export POLL_INTERVAL=never\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(strings.ReplaceAll(u["Service.ExecStart"][0], "${CREDENTIALS_DIRECTORY}", dir))
	if words[0] != "/usr/bin/mayfly" {
		t.Errorf("the unit starts %s", words[0])
	}
	var said bytes.Buffer
	code := cli.Main(t.Context(), words[1:], strings.NewReader(""), io.Discard, &said, []string{"CREDENTIALS_DIRECTORY=" + dir})
	if code != cli.ExitUsage || !strings.Contains(said.String(), "POLL_INTERVAL") {
		t.Errorf("exit code %d: %s", code, &said)
	}
}

// exposed are settings without which the unit would be open wider than it must be; most are a line of systemd-analyze.
var exposed = map[string]string{
	"CapabilityBoundingSet": "", "AmbientCapabilities": "", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
	"PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "yes", "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes",
	"ProtectKernelLogs": "yes", "ProtectControlGroups": "yes", "ProtectProc": "invisible", "ProcSubset": "pid", "ProtectClock": "yes",
	"ProtectHostname": "yes", "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
	"MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native", "UMask": "0077", "LimitCORE": "0",
	"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
}

func TestUnitIsClosed(t *testing.T) {
	u := readUnit(t, unitPath)
	for key, value := range exposed {
		u.want(t, "Service."+key, value)
	}
}

// TestExposureIsLow asks systemd itself where it is there; TestUnitIsClosed says the same in our words. The container that bootstrap
// makes has a drop-in and a unit more.
func TestExposureIsLow(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here")
		return
	}
	container := filepath.Join(filepath.Dir(unitPath), "container")
	for name, files := range map[string]map[string]string{
		"package":     {"mayfly.service": unitPath},
		"container":   {"mayfly.service": unitPath, "mayfly.service.d/container.conf": filepath.Join(container, "mayfly.service.d", "container.conf")},
		"first start": {"mayfly-first-start.service": filepath.Join(container, "mayfly-first-start.service")},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			unit := ""
			for to, from := range files {
				text, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				at := filepath.Join(root, "etc", "systemd", "system", to)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, text, 0o644); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(to, "/") {
					unit = to
				}
			}
			out, err := exec.CommandContext(t.Context(), tool, "security", "--offline=true", "--no-pager", "--root="+root, unit).CombinedOutput()
			if err != nil {
				t.Fatalf("systemd-analyze security: %v: %s", err, out)
			}
			level := regexp.MustCompile(`Overall exposure level for ` + unit + `: ([0-9.]+)`).FindSubmatch(out)
			if level == nil {
				t.Fatalf("systemd-analyze security says no level: %s", out)
			}
			const most = 2.0
			if exposure, err := strconv.ParseFloat(string(level[1]), 64); err != nil || exposure > most {
				t.Errorf("exposure %s; want at most %.1f\n%s", level[1], most, out)
			}
		})
	}
}

// TestUnitIsUnderstood wants systemd, where it is there, to find nothing odd but that the program isn't installed here.
func TestUnitIsUnderstood(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here")
		return
	}
	cmd := exec.CommandContext(t.Context(), tool, "verify", "--man=no", unitPath)
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning", "LC_ALL=C")
	out, _ := cmd.CombinedOutput() // it fails for the missing program; what it says counts
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "mayfly.service") && !strings.Contains(line, "/usr/bin/mayfly is not executable") {
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
}
