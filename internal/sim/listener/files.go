package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/sim/runnerproto"
)

// configFiles are what makes a runner a configured one.
var configFiles = []string{runnerproto.RunnerFile, runnerproto.CredentialsFile, runnerproto.RSAFile}

func (p *program) path(name string) string { return filepath.Join(p.root, name) }

// loadEnvFile adds the variables of .env, which counts more than the environment (actions/runner Program.cs).
func (p *program) loadEnvFile() {
	text, err := os.ReadFile(p.path(".env"))
	if err != nil {
		return // it needn't be there
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); strings.Index(line, "=") > 0 {
			p.env = append(p.env, line)
		}
	}
}

// saveConfig unpacks an encoded configuration into the runner's folder, one file each.
func (p *program) saveConfig(encoded string) error {
	if _, err := runnerproto.Decode(encoded); err != nil {
		return err
	}
	outer, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return errors.New("save configuration: not base64")
	}
	var content map[string][]byte
	if err := json.Unmarshal(outer, &content); err != nil {
		return errors.New("save configuration: not JSON")
	}
	for _, name := range configFiles {
		if err := os.WriteFile(p.path(name), content[name], 0o600); err != nil {
			return fmt.Errorf("save configuration: %w", err)
		}
	}
	return nil
}

// loadConfig reads the three files again.
func (p *program) loadConfig() (runnerproto.Config, error) {
	content := map[string][]byte{}
	for _, name := range configFiles {
		text, err := os.ReadFile(p.path(name))
		if err != nil {
			return runnerproto.Config{}, fmt.Errorf("load configuration: %w", err)
		}
		content[name] = text
	}
	outer, err := json.Marshal(content)
	if err != nil {
		return runnerproto.Config{}, fmt.Errorf("load configuration: %w", err)
	}
	return runnerproto.Decode(base64.StdEncoding.EncodeToString(outer))
}

// configured reports whether there is a configuration.
func (p *program) configured() bool {
	_, err := os.Stat(p.path(runnerproto.RunnerFile))
	return err == nil
}

// deleteConfig makes the runner an unconfigured one.
func (p *program) deleteConfig() {
	for _, name := range configFiles {
		_ = os.Remove(p.path(name)) // what isn't there is as good as removed
	}
}
