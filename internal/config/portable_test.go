package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/config"
	"mayfly/internal/runner"
	"mayfly/runners"
)

// portableConfig loads a configuration that names files of this machine.
func portableConfig(t *testing.T, more string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	ca, template := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "user-data")
	for name, text := range map[string]string{ca: certificate(t), template: runners.UserDataTemplate} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "mayfly.yaml")
	text := "proxmox: {url: \"https://pve1:8006\", node: pve1, token_id: mayfly@pve!dispatcher, token_secret: pve-secret, ca_file: " + ca + "}\n" +
		"github: {token: gh-secret}\nuser_data_template: " + template + "\n" +
		"pools: [{name: a, target: NREL/EnergyPlus, labels: [a]}]\nbootstrap: {id: 190, template: debian.tar.zst}\n" + more
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(config.LoadOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// certificate is that of a CA, as PEM.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestPortableConfigurationMeansTheSameElsewhere loads it as systemd in the container does: secrets as credentials.
func TestPortableConfigurationMeansTheSameElsewhere(t *testing.T) {
	c := portableConfig(t, "")
	there := t.TempDir()
	text, files, err := c.Portable(there)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Contains(s, "secret") || strings.Contains(s, "***") {
		t.Errorf("it speaks of secrets:\n%s", s)
	}
	for _, f := range files {
		if filepath.Dir(f.Path) != there {
			t.Errorf("%s is not in the folder", f.Path)
		}
		if err := os.WriteFile(f.Path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"mayfly.yaml": string(text), "proxmox_token_secret": "pve-secret", "github_token": "gh-secret"} {
		if err := os.WriteFile(filepath.Join(there, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := config.Load(config.LoadOptions{File: filepath.Join(there, "mayfly.yaml"), Env: []string{"CREDENTIALS_DIRECTORY=" + there}})
	if err != nil {
		t.Fatal(err)
	}
	want := *c
	want.Proxmox.CAFile, want.UserDataTemplate = filepath.Join(there, "proxmox-ca.pem"), filepath.Join(there, "user-data.pkrtpl")
	want.Bootstrap.Template, want.Warnings, got.Warnings = "", nil, nil // what is written in the file that isn't used is warned of
	same := cmp.Comparer(func(a, b runner.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(&want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPortableConfigurationHasNoFolderOfThisMachine(t *testing.T) {
	c := portableConfig(t, "handoff: snippet\nsnippets_dir: /mnt/snippets\n")
	if _, _, err := c.Portable("/etc/mayfly"); err == nil || !strings.Contains(err.Error(), "HANDOFF") {
		t.Error(err)
	}
	c.UserDataTemplate, c.Proxmox.CAFile, c.Handoff = "nowhere", "gone.pem", config.HandoffAgent
	if _, _, err := c.Portable("/etc/mayfly"); err == nil || !strings.Contains(err.Error(), "PROXMOX_CA_FILE") {
		t.Error(err)
	}
}
