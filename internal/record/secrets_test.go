package record_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/config"
	"mayfly/internal/record"
	"mayfly/internal/runner"
)

// planted draws things that nobody may find in a recording: secrets, addresses, names of machines and people.
func planted(t *rapid.T, label string) string {
	alnum := rapid.StringMatching(`[A-Za-z0-9]{20,40}`)
	return rapid.OneOf(
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`),
		rapid.Map(alnum, func(s string) string { return "ghp_" + s }),
		rapid.Map(alnum, func(s string) string { return "github_pat_" + s }),
		rapid.Map(alnum, func(s string) string { return "ssh-ed25519 AAAA" + s + " me@laptop" }),
		rapid.Map(alnum, func(s string) string { return "-----BEGIN PRIVATE KEY-----\n" + s + "\n-----END PRIVATE KEY-----" }),
		rapid.Map(alnum, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		rapid.StringMatching(`(10|192)\.[1-9][0-9]{0,2}\.[1-9][0-9]{0,2}\.[1-9][0-9]{0,2}`),
		rapid.StringMatching(`2001:db8:[0-9a-f]{4}::[0-9a-f]{4}`),
		rapid.StringMatching(`[0-9A-F]{2}(:[0-9A-F]{2}){5}`),
		rapid.StringMatching(`[a-z]{6,12}\.[a-z]{6,12}\.example\.net`),
		rapid.StringMatching(`[a-z]{6,12}@[a-z]{6,12}\.com`),
		rapid.StringMatching(`[a-z]{5,8}(acme|zorn)[a-z]{5,8}`),
		rapid.StringMatching(`[A-Za-z0-9!$%&/()=?]{6,12}[A-Z][0-9]`),
		rapid.StringMatching(`acmezorn-[a-z]{4,8}, password=[a-z]{8,16}`),
	).Draw(t, label)
}

// document draws a reply whose strings are all planted ones, under keys that replies have and others.
func document(t *rapid.T, depth int, plant func() string) any {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = 5
	}
	switch kind {
	case 0, 1, 2:
		out := map[string]any{}
		for range rapid.IntRange(1, 5).Draw(t, "keys") {
			key := rapid.SampledFrom([]string{
				"data", "message", "errors", "node", "storage", "name", "tags", "id", "status", "content", "description", "net0", "scsi0", "ide2", "boot", "agent", "digest", "vmid",
				"template", "package", "sha512sum", "user-tag-access", "user-allow", "exclude", "iface", "policy_out", "full_name", "login", "labels", "event", "created_at", "filename",
				"sha256_checksum", "version", "smbios1", "sshkeys", "cipassword", "ipconfig0", "comment", "email", "head_commit", "documentation_url", "ssl_fingerprint", "nameserver", "lock", "type",
			}).Draw(t, "key")
			switch rapid.IntRange(0, 9).Draw(t, "odd key") {
			case 0:
				key = plant()
			case 1:
				key = "/storage/" + plant()
			}
			out[key] = document(t, depth-1, plant)
		}
		return out
	case 3:
		return []any{document(t, depth-1, plant), document(t, depth-1, plant)}
	}
	s := plant()
	return rapid.SampledFrom([]string{
		s, "local:" + s, "virtio=" + s + ",bridge=" + s, "order=" + s, "running " + s, s + ",size=" + s, "local:iso/" + s + ",media=cdrom", "VM 100 of '" + s + "' is locked (" + s + ")",
		"Permission check failed (/storage/" + s + ", VM.Audit)", "qemu/" + s, "1," + s, "enabled=1,type=" + s, "https://" + s + "/x", "2026-01-01T00:00:00Z " + s, "8.4 " + s,
	}).Draw(t, "form")
}

// forms are the ways in which something may be left in a file.
func forms(s string) []string {
	js, _ := json.Marshal(s) //nolint:errchkjson // a string
	list := []string{s, string(js[1 : len(js)-1]), url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \n,=@", r) }) {
		if len(part) > 7 && !strings.Contains(part, "-----") && part != "password" && part != "ssh-ed25519" {
			list = append(list, part)
		}
	}
	return list
}

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNothingThatWasPlantedIsInARecording(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		var all []string
		plant := func() string {
			s := planted(t, "planted")
			all = append(all, s)
			return s
		}
		name := func() string {
			s := rapid.StringMatching(`[a-z]{4,8}(acme|zorn)[0-9a-z]{2,6}`).Draw(t, "name")
			all = append(all, s)
			return s
		}
		var rec record.Recorder
		for range rapid.IntRange(1, 4).Draw(t, "exchanges") {
			body, err := json.Marshal(document(t, 4, plant))
			if err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(t, "no JSON") == 0 {
				body = []byte("<html>" + plant())
			}
			header := http.Header{
				"Content-Type": {"application/json; " + plant()}, "X-Served-By": {plant()}, "Set-Cookie": {plant()}, "Link": {fmt.Sprintf(`<https://%s/%s?page=2&x=%s>; rel="next"`, url.PathEscape(plant()), url.PathEscape(plant()), url.QueryEscape(plant()))},
				"X-Ratelimit-Limit": {plant()}, "Github-Authentication-Token-Expiration": {plant()}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
			}
			status := "500 " + strings.ReplaceAll(plant(), "\n", " ")
			lost := rapid.IntRange(0, 4).Draw(t, "lost") == 0
			lostWords := "dial " + plant() + ": connection refused"
			server := through(func(req *http.Request) (*http.Response, error) {
				if lost {
					return nil, errors.New(lostWords)
				}
				return &http.Response{Status: status, StatusCode: http.StatusInternalServerError, Header: header, Body: io.NopCloser(strings.NewReader(string(body))), Request: req}, nil
			})
			address := fmt.Sprintf("https://%s.example.com:8006/api2/json/nodes/%s/qemu?poolid=%s&%s=x&type=%s", name(), url.PathEscape(plant()), url.QueryEscape(plant()), url.QueryEscape(plant()), url.QueryEscape(plant()))
			req, err := http.NewRequest(http.MethodGet, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "PVEAPIToken="+plant())
			place := rapid.SampledFrom([]func(http.RoundTripper) http.RoundTripper{rec.Proxmox, rec.GitHub}).Draw(t, "server")
			resp, err := place(server).RoundTrip(req)
			if (err != nil) != lost {
				t.Fatal(err)
			}
			if err == nil {
				if got, _ := io.ReadAll(resp.Body); string(got) != string(body) {
					t.Fatal("the client got another body than the server gave")
				}
			}
		}
		dir := outer.TempDir()
		c := &config.Config{
			Installation: name(), NamePrefix: name(), Handoff: config.HandoffAgent, MaxRunners: 1,
			Proxmox: config.Proxmox{
				Endpoints: []string{"https://" + name() + ".example.org:8006"}, Node: name(), TokenID: name() + "@" + name() + "!" + name(), TokenSecret: runner.NewSecret(plant()),
				Storage: name(), ResourcePool: name(), Fingerprint: plant(),
			},
			GitHub: config.GitHub{APIURL: "https://" + name() + ".example.org/api/v3", Token: runner.NewSecret(plant())},
			Pools: []runner.Pool{{
				Name: name(), Target: runner.Target{Owner: name(), Repo: name()}, Labels: []string{name(), "linux"}, Template: name(), RunnerUser: name(), NamePrefix: name(), Storage: name(),
				Jobs: runner.Policy{Repositories: []runner.Target{{Owner: name(), Repo: name()}}},
			}},
			Image:     config.Image{Names: []string{name()}, Nodes: []string{name()}, Storage: name(), Bridge: name(), HTTPProxy: plant(), Packages: []string{name()}, RunnerURL: plant()},
			Bootstrap: config.Bootstrap{Hostname: name(), IP: plant(), Template: plant(), Storage: name()},
			Web:       config.Web{Listen: plant()}, UserDataTemplate: plant(), SnippetsDir: plant(),
		}
		if err := rec.Save(dir, c); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) < 3 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				for _, form := range forms(s) {
					if strings.Contains(string(b), form) {
						t.Fatalf("%s holds %q of %q:\n%s", filepath.Base(file), form, s, b)
					}
				}
			}
		}
	})
}

func TestSavesIntoAnEmptyFolderAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var rec record.Recorder
	if err := rec.Save(dir, &config.Config{}); err == nil || !strings.Contains(err.Error(), "isn't empty") {
		t.Errorf("got %v", err)
	}
}
