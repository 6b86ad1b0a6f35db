package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"

	"mayfly/internal/runner"
)

// PortableFile is a file that a configuration names, as it goes to another machine.
type PortableFile struct {
	// Path is absolute there.
	Path string
	Data []byte
}

// Portable writes what is in force as a mayfly.yaml for another machine: without secrets, which come there as systemd
// credentials, and with the files that it names (a CA's certificate, a user-data template) in dir of that machine. The
// snippet hand-off is refused: it writes to a folder of this one. What the section bootstrap says of the template is left
// out, as it is of this machine, too.
func (c *Config) Portable(dir string) (yaml []byte, files []PortableFile, err error) {
	p := *c
	p.Proxmox.TokenSecret, p.GitHub.Token = runner.Secret{}, runner.Secret{}
	p.Bootstrap.Template, p.Bootstrap.TemplateURL = "", ""
	if c.Handoff == HandoffSnippet {
		return nil, nil, errors.New("hand over configuration: the snippet hand-off writes to snippets_dir, a folder that a container lacks; set HANDOFF to agent or iso")
	}
	p.SnippetsDir = ""
	add := func(name, from string) (string, error) {
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		f := PortableFile{Path: path.Join(dir, name), Data: data}
		files = append(files, f)
		return f.Path, nil
	}
	if c.Proxmox.CAFile != "" {
		if p.Proxmox.CAFile, err = add("proxmox-ca.pem", c.Proxmox.CAFile); err != nil {
			return nil, nil, fmt.Errorf("hand over configuration: PROXMOX_CA_FILE can't be read: %w", err)
		}
	}
	if _, err := os.Stat(c.UserDataTemplate); err == nil {
		if p.UserDataTemplate, err = add("user-data.pkrtpl", c.UserDataTemplate); err != nil {
			return nil, nil, fmt.Errorf("hand over configuration: USER_DATA_TEMPLATE can't be read: %w", err)
		}
	}
	var out bytes.Buffer
	if err := Show(&out, &p, nil, false); err != nil {
		return nil, nil, fmt.Errorf("hand over configuration: %w", err)
	}
	return out.Bytes(), files, nil
}
