package world

import (
	"encoding/base64"
	"fmt"
	"path"
	"strings"

	"github.com/goccy/go-yaml"
)

// cloudConfig is as much of cloud-config as a simulated guest knows.
type cloudConfig struct {
	Hostname   string       `yaml:"hostname"`
	WriteFiles []cloudFile  `yaml:"write_files"`
	RunCmd     []runCommand `yaml:"runcmd"`
}

// cloudFile is an entry of write_files. The disk has no owners and no modes.
type cloudFile struct {
	Path     string `yaml:"path"`
	Content  string `yaml:"content"`
	Encoding string `yaml:"encoding"`
	Append   bool   `yaml:"append"`
}

// runCommand is an entry of runcmd: one string for the shell, or a command's words.
type runCommand struct {
	script string
	words  []string
}

// UnmarshalYAML takes either form.
func (c *runCommand) UnmarshalYAML(unmarshal func(any) error) error {
	if err := unmarshal(&c.words); err == nil {
		return nil
	}
	c.words = nil
	return unmarshal(&c.script)
}

// Paths of cloud-init's own files.
const (
	cloudInstance = "/var/lib/cloud/instance"
	cloudLastID   = "/var/lib/cloud/data/instance-id"
)

// cloudCopies are the files in cloudInstance that hold the user-data, as found in a guest with cloud-init 22.4.
var cloudCopies = []string{"user-data.txt", "user-data.txt.i", "cloud-config.txt", "obj.pkl"}

// Of the shipped template's one command: the name that it runs its script under, and where it finds the identity.
const (
	seedCommand = "runner-seed"
	seedDir     = "/run/mayfly-seed"
)

// cloudInit does what cloud-init does in the last stage of a boot: it applies the user-data of its seed, once for each instance-id. It knows hostname, write_files and runcmd, and user-data that is a script; what it can't
// read it leaves, as cloud-init does, and the VM goes on.
func (m *machine) cloudInit() {
	seed := m.nocloud()
	if seed == nil {
		return
	}
	if last, _ := m.disk.read(cloudLastID); last == seed.MetaData {
		return
	}
	m.writeFile(cloudLastID, seed.MetaData, false)
	for _, name := range cloudCopies {
		m.writeFile(path.Join(cloudInstance, name), seed.UserData, false)
	}
	switch {
	case strings.HasPrefix(seed.UserData, "#!"):
		m.shell(m.ctx, "/", nil, "", false).run(seed.UserData)
	case strings.HasPrefix(seed.UserData, "#cloud-config"):
		var c cloudConfig
		if err := yaml.Unmarshal([]byte(seed.UserData), &c); err != nil {
			m.log.Debug("cloud-init did nothing", "reason", "user-data is no cloud-config") // err quotes what may be an identity
			return
		}
		m.apply(c)
	}
}

// apply applies a cloud-config in the order of cloud-init's stages.
func (m *machine) apply(c cloudConfig) {
	if c.Hostname != "" {
		m.mu.Lock()
		m.host = c.Hostname
		m.mu.Unlock()
		m.disk.write("/etc/hostname", c.Hostname+"\n", false)
	}
	for _, f := range c.WriteFiles {
		text, err := f.decoded()
		if err != nil {
			m.log.Debug("cloud-init left a file out", "path", f.Path, "reason", err)
			continue
		}
		m.writeFile(f.Path, text, f.Append)
	}
	for _, r := range c.RunCmd {
		if m.ctx.Err() != nil {
			return // the power went
		}
		if o := m.runCmd(r); o.code != 0 {
			m.log.Debug("cloud-init's command failed", "code", o.code, "reason", strings.TrimSpace(o.err))
		}
	}
}

// decoded is the file's content without its encoding; compressed ones aren't known.
func (f cloudFile) decoded() (string, error) {
	switch f.Encoding {
	case "", "text/plain":
		return f.Content, nil
	case "b64", "base64":
		text, err := base64.StdEncoding.DecodeString(f.Content)
		if err != nil {
			return "", fmt.Errorf("not base64")
		}
		return string(text), nil
	}
	return "", fmt.Errorf("encoding %q isn't simulated", f.Encoding)
}

// writeFile writes a file and makes the folders above it.
func (m *machine) writeFile(file, text string, appendTo bool) {
	m.disk.mkdir(path.Dir(file))
	m.disk.write(file, text, appendTo)
}

// runCmd runs one entry of runcmd as root. The script of the shipped template has an if, which the shell here hasn't: it
// is known by the name it is run under, and done by [machine.seed]. Any other goes to the shell.
func (m *machine) runCmd(r runCommand) outcome {
	w := r.words
	switch {
	case len(w) == 0:
		return m.shell(m.ctx, "/", nil, "", false).run(r.script)
	case (len(w) == 8 || len(w) == 12) && path.Base(w[0]) == "sh" && w[1] == "-c" && w[3] == seedCommand:
		return m.seed(w[4], w[5], w[6], w[7], w[8:])
	}
	run := m.find(w[0])
	if run == nil {
		return complain(127, w[0]+": not found")
	}
	return run(w[1:], nil, "")
}

// seed is the command of runners/ubuntu-2204/cloud-init/runner-user-data.pkrtpl: cloud-init's copies of the identity go,
// the identity goes to run-once.sh, and a VM that can't begin powers off.
//
// Templates of before there were policies name none: then jobs is empty.
func (m *machine) seed(user, url, labels, name string, jobs []string) outcome {
	for _, copied := range cloudCopies {
		m.disk.remove(path.Join(cloudInstance, copied))
	}
	args := []string{"--user", user}
	if len(jobs) == 4 && m.g.opts.Contract >= newestContract {
		args = append(args, "--pool", jobs[0], "--repository", jobs[1], "--events", jobs[2], "--forks", jobs[3])
	}
	file := seedDir + "/jit"
	if jit, _ := m.disk.read(file); jit != "" {
		args = append(args, "--jit", name)
	} else {
		args, file = append(args, "--token", url, labels, name), seedDir+"/token"
	}
	identity, _ := m.disk.read(file)
	o := m.runOnce(args, identity)
	m.disk.remove(seedDir)
	if o.code != 0 {
		m.pressButton()
	}
	return o
}
