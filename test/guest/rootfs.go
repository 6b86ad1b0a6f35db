package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rootfs is Debian unpacked.
type rootfs string

// unpack gives the unpacked base; the images that are built of it at once share it.
func (b *builder) unpack(ctx context.Context, base string) (rootfs, error) {
	root := rootfs(filepath.Join(b.work, strings.TrimSuffix(filepath.Base(base), ".tar")))
	if _, err := os.Stat(string(root)); err == nil {
		return root, nil
	}
	if err := os.Mkdir(string(root), 0o755); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	if err := command(ctx, "tar", "-xpf", base, "-C", string(root), "--numeric-owner"); err != nil {
		return "", err
	}
	return root, nil
}

func (r rootfs) path(rel string) string { return filepath.Join(string(r), rel) }

// read gives a file. The links on the way (/lib is usr/lib) are relative, so the host's own files never come in.
func (r rootfs) read(rel string) ([]byte, error) {
	data, err := os.ReadFile(r.path(rel))
	if err != nil {
		return nil, fmt.Errorf("read from Debian: %w", err)
	}
	return data, nil
}

// kernel gives the version of the one kernel.
func (r rootfs) kernel() (string, error) {
	found, err := filepath.Glob(r.path("boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find kernel: %d of them in Debian", len(found))
	}
	return strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-"), nil
}

// libraryDirs are where the loader looks on amd64.
var libraryDirs = []string{"usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib64"}

// libraries lists what a program needs to run, by path in the rootfs: its loader, its libraries, theirs.
func (r rootfs) libraries(program string) ([]string, error) {
	var found []string
	todo := []string{program}
	for len(todo) > 0 {
		file, err := elf.Open(r.path(todo[0]))
		if err != nil {
			return nil, fmt.Errorf("read libraries of %s: %w", todo[0], err)
		}
		needed, err := file.ImportedLibraries()
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("read libraries of %s: %w", todo[0], err)
		}
		todo = todo[1:]
		for _, lib := range needed {
			path, err := r.library(lib)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(found, path) {
				found = append(found, path)
				todo = append(todo, path)
			}
		}
	}
	loader, err := r.library("ld-linux-x86-64.so.2")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(found, loader) {
		found = append(found, loader)
	}
	return found, nil
}

func (r rootfs) library(name string) (string, error) {
	for _, dir := range libraryDirs {
		if _, err := os.Stat(r.path(filepath.Join(dir, name))); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("find library %s: not in Debian", name)
}

// modules lists the files of kernel modules with all that they need, in the order to load them.
func (r rootfs) modules(version string, names ...string) ([]string, error) {
	text, err := r.read("usr/lib/modules/" + version + "/modules.dep")
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{} // path → paths
	byName := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		path, rest, _ := strings.Cut(lines.Text(), ":")
		needs[path] = strings.Fields(rest)
		byName[strings.TrimSuffix(filepath.Base(path), ".ko")] = path
	}
	var order []string
	for _, name := range names {
		path, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("find kernel module %s: not in %s", name, version)
		}
		// What comes later in the line is needed by what comes before.
		all := slices.Clone(needs[path])
		slices.Reverse(all)
		for _, p := range append(all, path) {
			if p = "usr/lib/modules/" + version + "/" + p; !slices.Contains(order, p) {
				order = append(order, p)
			}
		}
	}
	return order, nil
}
