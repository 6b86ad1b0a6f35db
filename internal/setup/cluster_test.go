package setup_test

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/cli"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

func TestSeveralNodesOfOneClusterAreEndpoints(t *testing.T) {
	s := serve(t, serverOptions{pve: pve.Options{Nodes: []string{"pve1", "pve2"}}})
	other := serve(t, serverOptions{pve: pve.Options{Nodes: []string{"pve1", "pve2"}, Node: "pve2"}}) // the same tokens, another certificate
	r := s.run(t, nil, nil, with(s.answers(), map[int][]string{0: {s.info.URL + ", " + other.info.URL}})...)
	if r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	c := s.loaded(t)
	if strings.Join(c.Proxmox.Endpoints, " ") != s.info.URL+" "+other.info.URL || c.Proxmox.Fingerprint != s.info.Fingerprint+","+other.info.Fingerprint {
		t.Errorf("loaded %+v", c.Proxmox)
	}
	if r := s.run(t, nil, []string{"--yes"}); r.code != cli.ExitOK || !strings.Contains(r.out, "nothing to do") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

// certificateOf writes what the stand-in shows into a file.
func (s *servers) certificateOf(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.info.URL, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestACAFileVouchesInsteadOfAPin(t *testing.T) {
	s := serve(t, serverOptions{})
	other := serve(t, serverOptions{pve: pve.Options{Node: "other"}})
	good, wrong := s.certificateOf(t), other.certificateOf(t)
	for name, run := range map[string]func(s *servers) result{
		"typed": func(s *servers) result {
			return s.run(t, nil, nil, with(s.answers(), map[int][]string{1: {wrong, good}})...)
		},
		"flag": func(s *servers) result {
			return s.run(t, nil, []string{"--proxmox-ca-file", good}, with(s.answers(), map[int][]string{1: {}})...)
		},
		"variable": func(s *servers) result {
			return s.run(t, []string{"PROXMOX_CA_FILE=" + wrong}, nil, with(s.answers(), map[int][]string{1: {good}})...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.dir = t.TempDir()
			if r := run(&s); r.code != cli.ExitOK || name != "flag" && !strings.Contains(r.out, "no: that file doesn't vouch for the certificate") {
				t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
			}
			if c := s.loaded(t); c.Proxmox.CAFile != good || c.Proxmox.Fingerprint != "" || !c.Proxmox.VerifyTLS {
				t.Errorf("loaded %+v", c.Proxmox)
			}
		})
	}
}

// TestATokenWithoutPrivilegesGetsAConfigurationAndTheCommands is the first run of many: the token was made, its roles weren't.
func TestATokenWithoutPrivilegesGetsAConfigurationAndTheCommands(t *testing.T) {
	const id, secret = "mayfly@pve!dispatcher", "11111111-2222-4333-8444-555555555555"
	s := serve(t, serverOptions{pve: pve.Options{Tokens: []pve.Token{{ID: id, Secret: secret}}}})
	s.revealed = append(s.revealed, secret)
	r := s.run(t, nil, nil, with(s.answers(), map[int][]string{2: {id}, 3: {secret}, 5: {"ci"}, 6: {"", "", "", "", "ci-templates"}})...)
	if r.code != cli.ExitOK || r.errors != "" {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	for _, says := range []string{
		"It has no privileges yet", "Template, or image to build [ubuntu-24.04]", "The token doesn't see it yet",
		"error: privileges on /pool/ci (run): the token lacks VM.Allocate", "-> on a node: pveum role add MayflyVM --privs",
		"mend the errors above", "mayfly image build ubuntu-2404",
	} {
		if !strings.Contains(r.out, says) {
			t.Errorf("nothing says %q:\n%s", says, r.out)
		}
	}
	if c := s.loaded(t); c.Image.Storage != "local-lvm" || c.Image.FilesStorage != "local" || c.Image.Bridge != "vmbr0" || c.Image.ResourcePool != "ci-templates" {
		t.Errorf("loaded %+v", c.Image)
	}
}

func TestStoragesThatDontFitAreToldWithTheCommand(t *testing.T) {
	s := serve(t, serverOptions{pve: pve.Options{Storages: []pve.Storage{
		{ID: "isos", Type: "dir", Content: []string{"iso"}}, {ID: "fast", Type: "rbd", Content: []string{"images"}, Shared: true, Total: 100 * runner.GiB},
	}}})
	answers := s.answers()
	answers[2], answers[3] = s.info.AdminTokenID, s.info.AdminTokenSecret
	r := s.run(t, nil, nil, with(answers, map[int][]string{6: {"debian-12", "isos", "nosuch", "fast", "isos", "local", "br 0", "vmbr1", "-"}})...)
	if r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	for _, says := range []string{
		"no: storage isos takes iso, not images; on a node: pvesm set isos --content iso,images",
		"no: node pve1 has no such storage that this token sees; it sees ",
		"no: storage isos takes iso, not import; on a node: pvesm set isos --content iso,import",
		`no: "br 0" is not such a value; want a bridge's name, for example vmbr0`,
	} {
		if !strings.Contains(r.out, says) {
			t.Errorf("nothing says %q:\n%s", says, r.out)
		}
	}
	if c := s.loaded(t); c.Image.Storage != "fast" || c.Image.FilesStorage != "local" || c.Image.Bridge != "vmbr1" || c.Image.ResourcePool != "" || c.Pools[0].Image != "debian-12" {
		t.Errorf("loaded %+v", c.Image)
	}
}

func TestOthersVMsInTheRangeAreShown(t *testing.T) {
	s := serve(t, serverOptions{})
	r := s.run(t, nil, []string{"--vmids", "200-219"}, with(s.answers(), map[int][]string{7: {}})...)
	if r.code != cli.ExitOK || !strings.Contains(r.out, "Taken there: 200 (energyplus-runner-in), 207 (hidden from this token), 211 (debug-copy-in), 216 (hidden from this token). They are never touched") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}
