package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"mayfly/internal/runner"
)

const (
	keysPath       = "/root/.ssh/authorized_keys"
	credentialsDir = "/etc/credstore"
)

// ErrHalves says that the secrets can't be opened with what the container has, now or later.
var ErrHalves = errors.New("the two halves of its secrets don't make a whole")

// FirstStart opens the secrets that came into this container sealed: each becomes a file of its own in /etc/credstore,
// root's and 0400, from where systemd passes it to the service. Then it removes both halves of the seal. It may be called
// at each start, and called again after the power was cut in any of its steps:
//
//   - Each secret is written under another name, synced, and renamed: there is a whole one or none.
//   - The sealed file goes only when all of them, and their names, are on the disk. So while it is there everything can
//     be done again, and when it isn't, all that can be left to do is to take out the key.
//   - The key goes last.
//
// The secrets are returned whenever they are known, also beside an error, so that it can be told to Proxmox. An error that
// is ErrHalves is for good. It runs as root, with root the folder that is the container's "/".
func FirstStart(root string) (map[string]runner.Secret, error) { return firstStart(onDisk(root)) }

// disk is what firstStart does to files. Paths are absolute in the container.
type disk interface {
	// read gives a file that isn't there as [fs.ErrNotExist].
	read(path string) ([]byte, error)
	// mkdir makes a folder; it may be there.
	mkdir(path string, mode fs.FileMode) error
	// create writes a new file and syncs what is in it.
	create(path string, data []byte, mode fs.FileMode) error
	rename(from, to string) error
	// remove deletes a file; it may be gone.
	remove(path string) error
	// sync makes sure of the names in a folder.
	sync(dir string) error
}

func firstStart(d disk) (map[string]runner.Secret, error) {
	key, otherKeys, hasKey, err := keyHalf(d)
	if err != nil {
		return nil, fmt.Errorf("open secrets of this container: %w", err)
	}
	sealed, err := d.read(sealedPath)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !hasKey:
		return nil, nil // done long ago
	case errors.Is(err, fs.ErrNotExist):
		return nil, forgetKey(d, otherKeys)
	case err != nil:
		return nil, fmt.Errorf("open secrets of this container: %w", err)
	case !hasKey:
		return nil, fmt.Errorf("open secrets of this container: %w: %s has no key; run mayfly bootstrap again", ErrHalves, keysPath)
	}
	secrets, err := Open(sealed, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHalves, err)
	}
	if err := storeSecrets(d, secrets); err != nil {
		return secrets, err
	}
	if err := d.remove(sealedPath); err != nil {
		return secrets, fmt.Errorf("remove sealed secrets: %w", err)
	}
	if err := d.sync(path.Dir(sealedPath)); err != nil {
		return secrets, fmt.Errorf("remove sealed secrets: %w", err)
	}
	return secrets, forgetKey(d, otherKeys)
}

// keyHalf reads the key that came with the container's creation, and the file that it is in without it.
func keyHalf(d disk) (key runner.Secret, rest []byte, ok bool, err error) {
	text, err := d.read(keysPath)
	if errors.Is(err, fs.ErrNotExist) {
		return runner.Secret{}, nil, false, nil
	}
	if err != nil {
		return runner.Secret{}, nil, false, err
	}
	key, rest, ok = TakeKey(text)
	return key, rest, ok, nil
}

// storeSecrets writes the secrets to where systemd's LoadCredential= looks for them.
func storeSecrets(d disk, secrets map[string]runner.Secret) error {
	failed := func(err error) error { return fmt.Errorf("store secrets in %s: %w", credentialsDir, err) }
	if err := d.mkdir(credentialsDir, 0o700); err != nil {
		return failed(err)
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if name != ProxmoxTokenSecret && name != GitHubToken {
			return failed(fmt.Errorf("%w: one has a name that this version doesn't know; run mayfly bootstrap again", ErrHalves))
		}
		to := credentialsDir + "/mayfly." + name
		if err := replace(d, to, []byte(secrets[name].Reveal()), 0o400); err != nil {
			return failed(err)
		}
	}
	if err := d.sync(credentialsDir); err != nil {
		return failed(err)
	}
	if err := d.sync(path.Dir(credentialsDir)); err != nil {
		return failed(err)
	}
	return nil
}

// forgetKey takes the key out of root's authorized_keys; others stay.
func forgetKey(d disk, others []byte) error {
	var err error
	if !hasKeys(others) {
		err = d.remove(keysPath)
	} else {
		err = replace(d, keysPath, others, 0o600)
	}
	if err == nil {
		err = d.sync(path.Dir(keysPath))
	}
	if err != nil {
		return fmt.Errorf("take the key out of %s: %w", keysPath, err)
	}
	return nil
}

// hasKeys reports whether an authorized_keys file is more than the lines that Proxmox puts around its own keys
// (pve-container src/PVE/LXC/Setup/Base.pm, ct_modify_file).
func hasKeys(authorizedKeys []byte) bool {
	for line := range bytes.Lines(authorizedKeys) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !bytes.HasPrefix(line, []byte("# --- ")) {
			return true
		}
	}
	return false
}

// replace gives a file new content, all at once.
func replace(d disk, to string, data []byte, mode fs.FileMode) error {
	tmp := path.Join(path.Dir(to), ".mayfly-new")
	if err := d.remove(tmp); err != nil { // of an earlier call that was cut off
		return err
	}
	if err := d.create(tmp, data, mode); err != nil {
		return err
	}
	return d.rename(tmp, to)
}
