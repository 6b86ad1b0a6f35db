package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/cli"
)

// at is a time that no run of a test has.
var at = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

func TestEveryCommandHasAPageThatNamesItsFlags(t *testing.T) {
	dir := t.TempDir()
	if err := writeDocs(dir, at); err != nil {
		t.Fatal(err)
	}
	pages := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		pages++
		text := gunzip(t, filepath.Join(dir, "man", "man1", pageName(cmd)))
		if !strings.Contains(text, "Mar 2026") {
			t.Errorf("the page of %q isn't of the release's time", cmd.CommandPath())
		}
		if cmd.Flags().Lookup("json") != nil && !strings.Contains(text, `\fB--json\fP`) {
			t.Errorf("the page of %q doesn't tell of --json", cmd.CommandPath())
		}
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				walk(below)
			}
		}
	}
	walk(cli.NewRoot(cli.Options{Stdout: io.Discard, Stderr: io.Discard}))
	if pages < 10 {
		t.Errorf("%d pages: most commands have none", pages)
	}
}

func TestCompletionsAreForTheirShells(t *testing.T) {
	dir := t.TempDir()
	if err := writeDocs(dir, at); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bash/mayfly":      "complete -o default -F __start_mayfly mayfly",
		"zsh/_mayfly":      "#compdef mayfly",
		"fish/mayfly.fish": "complete -c mayfly",
	} {
		data, err := os.ReadFile(filepath.Join(dir, "completions", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) {
			t.Errorf("%s has no %q", name, want)
		}
	}
}

func TestDocsAreTheSameEachTime(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if err := writeDocs(dir, at); err != nil {
			t.Fatal(err)
		}
	}
	a, b := tree(t, one), tree(t, two)
	for name, data := range a {
		if b[name] != data {
			t.Errorf("%s differs between two runs", name)
		}
	}
	if len(a) != len(b) || len(a) == 0 {
		t.Errorf("%d files, then %d", len(a), len(b))
	}
}

func gunzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if !zip.ModTime.IsZero() || zip.Name != "" {
		t.Errorf("%s tells when and from what it was packed", path)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tree reads all files below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
