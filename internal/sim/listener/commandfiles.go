package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Files that a step writes to, to say something to the runner (GitHub docs, "Workflow commands": environment files).
const (
	commandEnv  = "GITHUB_ENV"
	commandPath = "GITHUB_PATH"
)

// commandFiles makes an empty file for each kind of command and gives the variables that name them.
func (w *workspace) commandFiles() (map[string]string, error) {
	files := map[string]string{}
	for _, variable := range []string{commandEnv, commandPath, "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"} {
		file, err := os.CreateTemp(filepath.Join(w.temp, "_runner_file_commands"), strings.ToLower(variable)+"_*")
		if err != nil {
			return nil, fmt.Errorf("make command file: %w", err)
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("make command file: %w", err)
		}
		files[variable] = file.Name()
	}
	return files, nil
}

// adopt takes over what a step wrote into GITHUB_ENV and GITHUB_PATH.
func (w *workspace) adopt(files map[string]string) error {
	text, err := os.ReadFile(files[commandEnv])
	if err != nil {
		return fmt.Errorf("read %s: %w", commandEnv, err)
	}
	added, err := parseEnvFile(string(text))
	if err != nil {
		return fmt.Errorf("read %s: %w", commandEnv, err)
	}
	for name, value := range added {
		w.env[name] = value
	}
	text, err = os.ReadFile(files[commandPath])
	if err != nil {
		return fmt.Errorf("read %s: %w", commandPath, err)
	}
	for dir := range strings.Lines(string(text)) {
		if dir = strings.TrimSpace(dir); dir != "" {
			w.path = append([]string{dir}, w.path...)
		}
	}
	return nil
}

// parseEnvFile reads NAME=VALUE, one a line, and values of several lines: NAME<<DELIMITER, the lines, DELIMITER.
func parseEnvFile(text string) (map[string]string, error) {
	found := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\r")
		if line == "" {
			continue
		}
		equals, here := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals > 0 && (here < 0 || equals < here):
			found[line[:equals]] = line[equals+1:]
		case here > 0 && line[here+2:] != "":
			var value []string
			end := -1
			for k := i + 1; k < len(lines) && end < 0; k++ {
				if strings.TrimSuffix(lines[k], "\r") == line[here+2:] {
					end = k
				} else {
					value = append(value, lines[k])
				}
			}
			if end < 0 {
				return nil, fmt.Errorf("invalid value: matching delimiter not found '%s'", line[here+2:])
			}
			found[line[:here]] = strings.Join(value, "\n")
			i = end
		default:
			return nil, fmt.Errorf("invalid format '%s'", line)
		}
	}
	return found, nil
}
