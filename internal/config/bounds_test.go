package config_test

import (
	"fmt"
	"strings"
	"testing"

	"mayfly/internal/config"
)

// TestHostileFilesEnd feeds what would take for ever, or all memory, without bounds.
func TestHostileFilesEnd(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 {name: x}\n")
	for i := 1; i < 19; i++ {
		alias := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&laughs, "a%d: &a%d {<<: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(alias+", ", 10), ", "))
	}
	laughs.WriteString("pools: [*a18]\n")
	for name, text := range map[string]string{
		"merges of merges": laughs.String(),
		"too big":          strings.Repeat("# comment\n", 1<<20),
		"all unknown":      strings.Repeat("x1: 1\nx2: 2\n", 5000),
		"deep":             strings.Repeat("[", 20_000),
		"merges itself":    "proxmox: &p {<<: *p}\n",
		"lists itself":     "pools: &p [*p, *p]\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := config.Load(config.LoadOptions{File: "x", ReadFile: one("x", text), Env: environ(required())})
			if err == nil {
				t.Error("accepted")
			} else if lines := strings.Count(err.Error(), "\n") + 1; lines > 101 {
				t.Errorf("%d lines of problems", lines)
			}
		})
	}
}
