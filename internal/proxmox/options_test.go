package proxmox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*proxmox.Options)
		want   string
	}{
		"no endpoint":          {func(o *proxmox.Options) { o.Endpoints = nil }, "none given"},
		"clear text":           {func(o *proxmox.Options) { o.Endpoints = []string{"http://pve1:8006"} }, "use https://pve1:8006"},
		"clear text, looks ok": {func(o *proxmox.Options) { o.Endpoints = []string{"http://127.0.0.1.example.com:8006"} }, "in clear"},
		"second endpoint":      {func(o *proxmox.Options) { o.Endpoints = append(o.Endpoints, "pve2:8006") }, "endpoint 2"},
		"no scheme":            {func(o *proxmox.Options) { o.Endpoints = []string{"pve1"} }, "want https://"},
		"other scheme":         {func(o *proxmox.Options) { o.Endpoints = []string{"ftp://pve1"} }, "scheme"},
		"a path":               {func(o *proxmox.Options) { o.Endpoints = []string{"https://pve1:8006/api2/extjs"} }, "more than an address"},
		"a query":              {func(o *proxmox.Options) { o.Endpoints = []string{"https://pve1:8006?a=b"} }, "more than an address"},
		"a password":           {func(o *proxmox.Options) { o.Endpoints = []string{"https://root:" + planted + "@pve1:8006"} }, "user name"},
		"a broken password":    {func(o *proxmox.Options) { o.Endpoints = []string{"https://root:" + planted + "%zz@pve1:8006"} }, "want https://"},
		"no token id":          {func(o *proxmox.Options) { o.TokenID = "" }, "token id"},
		"a user":               {func(o *proxmox.Options) { o.TokenID = "root@pam" }, "user@realm!name"},
		"id with a line":       {func(o *proxmox.Options) { o.TokenID = "a@pve!b\r\nX: y" }, "token id"},
		"no secret":            {func(o *proxmox.Options) { o.TokenSecret = runner.Secret{} }, "token secret"},
		"secret with a line":   {func(o *proxmox.Options) { o.TokenSecret = runner.NewSecret(planted + "\n") }, "token secret"},
		"short fingerprint":    {func(o *proxmox.Options) { o.Fingerprint = "AA:BB" }, "32 bytes"},
		"no fingerprint":       {func(o *proxmox.Options) { o.Fingerprint = " , " }, "none in it"},
		"no CA file":           {func(o *proxmox.Options) { o.CAFile = filepath.Join(t.TempDir(), "none.pem") }, "none.pem"},
		"CA file without CA":   {func(o *proxmox.Options) { o.CAFile = empty }, "no certificate"},
	} {
		o := proxmox.Options{Endpoints: []string{"https://pve1:8006"}, TokenID: tokenID, TokenSecret: runner.NewSecret(planted)}
		tc.change(&o)
		_, err := proxmox.New(o)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), planted) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: secret or line break in %q", name, err)
		}
	}
	for _, good := range []string{
		"https://pve1:8006", "https://pve1:8006/", "https://pve1:8006/api2/json", "https://pve1:8006/api2/json/", " https://[fd00::1]:8006 ",
		"http://localhost:8006", "http://127.0.0.1:8006", "http://[::1]:8006", "https://pve.example.com",
	} {
		c, err := proxmox.New(proxmox.Options{Endpoints: []string{good}, TokenID: tokenID, TokenSecret: runner.NewSecret(planted)})
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		c.Close()
	}
}

func TestServersAreTrustedAsConfigured(t *testing.T) {
	w := newWire(t, true, always(reply("200 OK", ok)))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, w.CAFile, 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := newWire(t, true, always(reply("200 OK", ok)))
	otherCA := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(otherCA, stranger.CAFile, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*proxmox.Options)
		want   string // "" is trusted
	}{
		"system's roots": {func(*proxmox.Options) {}, "PROXMOX_FINGERPRINT=" + w.Fingerprint},
		"CA file":        {func(o *proxmox.Options) { o.CAFile = ca }, ""},
		"other CA file":  {func(o *proxmox.Options) { o.CAFile = otherCA }, "PROXMOX_FINGERPRINT=" + w.Fingerprint},
		"pinned":         {func(o *proxmox.Options) { o.Fingerprint = w.Fingerprint }, ""},
		"pinned, small":  {func(o *proxmox.Options) { o.Fingerprint = strings.ToLower(strings.ReplaceAll(w.Fingerprint, ":", "")) }, ""},
		"one of two pins": {func(o *proxmox.Options) {
			o.Fingerprint = stranger.Fingerprint + ", " + w.Fingerprint
		}, ""},
		"other pin": {func(o *proxmox.Options) { o.Fingerprint = stranger.Fingerprint }, "set PROXMOX_FINGERPRINT=" + w.Fingerprint},
		"other pin, unverified": {func(o *proxmox.Options) {
			o.Fingerprint, o.InsecureSkipVerify = stranger.Fingerprint, true
		}, "set PROXMOX_FINGERPRINT=" + w.Fingerprint},
		"other CA, unverified": {func(o *proxmox.Options) { o.CAFile, o.InsecureSkipVerify = otherCA, true }, "PROXMOX_FINGERPRINT="},
		"unverified":           {func(o *proxmox.Options) { o.InsecureSkipVerify = true }, ""},
	} {
		before := len(w.requests())
		c := newClient(t, tc.change, w.URL)
		_, err := c.Version(t.Context())
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, proxmox.Untrusted) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, tc.want)
		}
		if _, err := c.Start(t.Context(), "pve1", 201); !errors.Is(err, proxmox.Untrusted) {
			t.Errorf("%s: a change that was never sent: %v", name, err)
		}
		if n := len(w.requests()) - before; n != 0 {
			t.Errorf("%s: the token was shown to a stranger %d times", name, n)
		}
	}
	for _, r := range w.requests() {
		if !strings.HasPrefix(r.URI, "/api2/json/") {
			t.Errorf("sent %s", r.URI)
		}
	}
}

func TestObservedFingerprintTellsTheServerNothing(t *testing.T) {
	w := newWire(t, true, always(reply("200 OK", ok)))
	got, err := proxmox.ObservedFingerprint(t.Context(), w.URL+"/api2/json")
	if err != nil || got != w.Fingerprint {
		t.Errorf("%s, %v; want %s", got, err, w.Fingerprint)
	}
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, bad := range []string{"http://127.0.0.1:1", "pve1", strings.Replace(refused(t), "http:", "https:", 1)} {
		if got, err := proxmox.ObservedFingerprint(t.Context(), bad); err == nil {
			t.Errorf("%s: %s, want an error", bad, got)
		}
	}
}
