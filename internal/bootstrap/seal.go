package bootstrap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"mayfly/internal/runner"
)

// maxSealed bounds what Open reads, bytes: secrets are tokens.
const maxSealed = 1 << 20

// Seal encrypts secrets for one container (age, X25519). sealed is for its archive, key for its creation: neither gives the
// secrets without the other. The key is made anew each time and is nowhere else.
func Seal(secrets map[string]runner.Secret) (sealed []byte, key runner.Secret, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, runner.Secret{}, fmt.Errorf("seal secrets: %w", err)
	}
	open := make(map[string]string, len(secrets))
	for name, s := range secrets {
		open[name] = s.Reveal()
	}
	text, err := json.Marshal(open)
	if err != nil {
		return nil, runner.Secret{}, fmt.Errorf("seal secrets: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, identity.Recipient())
	if err != nil {
		return nil, runner.Secret{}, fmt.Errorf("seal secrets: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, runner.Secret{}, fmt.Errorf("seal secrets: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, runner.Secret{}, fmt.Errorf("seal secrets: %w", err)
	}
	return out.Bytes(), runner.NewSecret(identity.String()), nil
}

// Open decrypts what [Seal] made. Its error tells nothing of either half.
func Open(sealed []byte, key runner.Secret) (map[string]runner.Secret, error) {
	identity, err := age.ParseX25519Identity(key.Reveal())
	if err != nil { // its text could repeat the key
		return nil, errors.New("open sealed secrets: the key is not one; run mayfly bootstrap again")
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, errors.New("open sealed secrets: archive and container were not made by the same bootstrap, or the file is damaged; run mayfly bootstrap again")
	}
	text, err := io.ReadAll(io.LimitReader(r, maxSealed))
	var open map[string]string
	if err != nil || json.Unmarshal(text, &open) != nil {
		return nil, errors.New("open sealed secrets: the file is damaged; run mayfly bootstrap again")
	}
	secrets := make(map[string]runner.Secret, len(open))
	for name, s := range open {
		secrets[name] = runner.NewSecret(s)
	}
	return secrets, nil
}

// keyComment begins the comment of the line that carries a key.
const keyComment = "mayfly-bootstrap-"

// CarrierLine puts a key into a line for the parameter ssh-public-keys of a container's creation. Proxmox writes those
// lines to /root/.ssh/authorized_keys in the container; they are no option of its config (pve-container
// src/PVE/API2/LXC.pm), and don't show in the task's log (recorded from Proxmox VE 9.2). It admits only valid public keys (pve-common src/PVE/Tools.pm, validate_ssh_public_keys): the line has
// one whose private half is thrown away here, so that it lets nobody in.
func CarrierLine(key runner.Secret) (runner.Secret, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return runner.Secret{}, fmt.Errorf("make carrier of the key: %w", err)
	}
	const kind = "ssh-ed25519"
	var blob []byte
	for _, field := range [][]byte{[]byte(kind), public} { // RFC 8709, section 4
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(field)))
		blob = append(blob, field...)
	}
	return runner.NewSecret(kind + " " + base64.StdEncoding.EncodeToString(blob) + " " + keyComment + key.Reveal()), nil
}

// TakeKey finds the key in an authorized_keys file, and gives the file without its lines: others stay as they are. Of
// several the last one counts, which is the newest. ok is false when there is none.
func TakeKey(authorizedKeys []byte) (key runner.Secret, rest []byte, ok bool) {
	for line := range bytes.Lines(authorizedKeys) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 {
			if k, mine := strings.CutPrefix(fields[2], keyComment); mine {
				key, ok = runner.NewSecret(k), true
				continue
			}
		}
		rest = append(rest, line...)
	}
	return key, rest, ok
}
