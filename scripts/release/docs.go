package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"mayfly/internal/cli"
)

// writeDocs writes a manual page for each command and a completion script for each shell below dir.
func writeDocs(dir string, at time.Time) error {
	root := cli.NewRoot(cli.Options{Stdout: io.Discard, Stderr: io.Discard})
	// Pages end with the day of the release, not with that of a run.
	root.DisableAutoGenTag = true
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if err := writePages(root, filepath.Join(dir, "man", "man1"), at); err != nil {
		return err
	}
	return writeCompletions(root, filepath.Join(dir, "completions"))
}

// writePages writes one page for each command that help lists, compressed as distributions want it.
func writePages(cmd *cobra.Command, dir string, at time.Time) error {
	header := &doc.GenManHeader{Section: "1", Date: &at, Source: "Mayfly", Manual: "Mayfly"}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return fmt.Errorf("make the manual page of %q: %w", cmd.CommandPath(), err)
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // without name and time: the same bytes each time
	if err != nil {
		return err
	}
	if _, err := zip.Write(page.Bytes()); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	if err := write(filepath.Join(dir, pageName(cmd)), packed.Bytes()); err != nil {
		return err
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && !below.IsAdditionalHelpTopicCommand() {
			if err := writePages(below, dir, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageName is mayfly-image-build.1.gz, by which the pages refer to each other.
func pageName(cmd *cobra.Command) string {
	name := cmd.Name()
	for parent := cmd.Parent(); parent != nil; parent = parent.Parent() {
		name = parent.Name() + "-" + name
	}
	return name + ".1.gz"
}

// writeCompletions writes the scripts under the names by which each shell finds them.
func writeCompletions(root *cobra.Command, dir string) error {
	for name, generate := range map[string]func(io.Writer) error{
		"bash/mayfly":      func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh/_mayfly":      root.GenZshCompletion,
		"fish/mayfly.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var script bytes.Buffer
		if err := generate(&script); err != nil {
			return fmt.Errorf("make the completion %s: %w", name, err)
		}
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), script.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// write makes the file and the folders above it, readable by all.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
