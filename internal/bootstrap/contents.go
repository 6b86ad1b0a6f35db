package bootstrap

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"mayfly/dispatcher"
)

// Where things are in the container.
const (
	programPath = "/usr/bin/mayfly"
	configPath  = "/etc/mayfly/mayfly.yaml"
	sealedPath  = "/etc/mayfly/sealed.age"
	// unitDir is where a package puts units, too: installing one later replaces ours.
	unitDir = "/usr/lib/systemd/system"
	// dropInName is the name of ours below /etc/systemd/system/UNIT.d.
	dropInName = "container.conf"
)

// VMIDVariable is the variable of the environment that tells `mayfly run` the VMID of the container that it is in.
const VMIDVariable = "MAYFLY_CONTAINER_VMID"

// The names of secrets for [Seal]; the service gets each as the systemd credential of that name.
const (
	ProxmoxTokenSecret = "proxmox_token_secret"
	GitHubToken        = "github_token"
)

// Contents is what is put into the dispatcher's container beside Debian.
type Contents struct {
	// Program is the path, on this side, of mayfly for linux/amd64, linked statically as releases are.
	Program string
	// Config is mayfly.yaml, without secrets: everybody in the container can read it.
	Config []byte
	// Files are others that the configuration names, such as a CA's certificate.
	Files []File
	// Sealed is what [Seal] made of the secrets [ProxmoxTokenSecret] and [GitHubToken].
	Sealed []byte
	// VMID is the container's.
	VMID int
}

// File is a file that the configuration names. It is root's and readable for all (0644), as the service has a user of its own.
type File struct {
	// Path is absolute in the container.
	Path string
	Data []byte
}

// Entries are the files, folders and links for [AddTo]: the program, the service (enabled, also by its alias dispatcher),
// configuration and sealed secrets. They are for one archive; the next one needs new ones.
func (c Contents) Entries() ([]Entry, error) {
	program, err := readProgram(c.Program)
	if err != nil {
		return nil, err
	}
	switch {
	case c.VMID < 100:
		return nil, fmt.Errorf("fill container template: %d is no VMID; want 100 or more", c.VMID)
	case len(c.Sealed) == 0 || len(c.Config) == 0:
		return nil, errors.New("fill container template: configuration and sealed secrets are needed")
	}
	whose := fmt.Appendf(nil, "# Whose tags tell whether it is ready.\nEnvironment=%s=%d\n", VMIDVariable, c.VMID)
	entries := []Entry{
		regular(programPath, 0o755, program),
		regular(unitDir+"/mayfly.service", 0o644, dispatcher.Unit),
		regular(unitDir+"/mayfly-first-start.service", 0o644, dispatcher.FirstStartUnit),
		regular("/etc/systemd/system/mayfly.service.d/"+dropInName, 0o644, slices.Concat(dispatcher.ContainerDropIn, whose)),
		regular("/etc/systemd/system/mayfly-first-start.service.d/"+dropInName, 0o644, slices.Concat([]byte("[Service]\n"), whose)),
		// What `systemctl enable mayfly` would make. The preset says so once more: systemd applies presets at the first boot.
		link("/etc/systemd/system/multi-user.target.wants/mayfly.service", unitDir+"/mayfly.service"),
		link("/etc/systemd/system/dispatcher.service", unitDir+"/mayfly.service"),
		regular("/etc/systemd/system-preset/10-mayfly.preset", 0o644, []byte("enable mayfly.service\n")),
		regular("/usr/lib/tmpfiles.d/mayfly.conf", 0o644, []byte(closedState)),
		{Path: "/etc/credstore", Mode: fs.ModeDir | 0o700},
		regular(configPath, 0o644, c.Config),
		regular(sealedPath, 0o600, c.Sealed),
	}
	for _, f := range c.Files {
		if strings.HasPrefix(f.Path, "/etc/credstore") {
			return nil, fmt.Errorf("fill container template: %s is for secrets, which go in sealed", f.Path)
		}
		entries = append(entries, regular(f.Path, 0o644, f.Data))
	}
	return entries, nil
}

// closedState has systemd close the state's volume, which Proxmox leaves open, before services start: it runs none with
// its state in a place that others can enter.
const closedState = "d " + stateMount + " 0700 root root -\n"

func regular(path string, mode fs.FileMode, data []byte) Entry {
	return Entry{Path: path, Mode: mode, Body: bytes.NewReader(data), Size: int64(len(data))}
}

func link(path, target string) Entry { return Entry{Path: path, Link: target} }

// readProgram reads a program and makes sure that the container can run it. Proxmox has containers on amd64 alone.
func readProgram(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read program for the container: %w", err)
	}
	wrong := func(what string) error {
		return fmt.Errorf("read program for the container: %s %s; name the release's mayfly for linux/amd64 with --program", path, what)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, wrong("is no program for Linux")
	}
	if f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return nil, wrong("is for " + f.Machine.String())
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, wrong("needs shared libraries, which the container may lack")
	}
	return data, nil
}
