package world

import (
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// disk is a file system: files by path, and the folders that hold them. It has no owners and no modes.
type disk struct {
	mu    sync.Mutex
	files map[string]string
	dirs  map[string]bool
}

// Paths in the guest.
const (
	runnerDir    = "/opt/actions-runner"
	scriptPath   = runnerDir + "/run-once.sh"
	listenerPath = runnerDir + "/bin/Runner.Listener"
	hookPath     = runnerDir + "/job-started.sh"
	stateDir     = "/run/mayfly"
	identityPath = stateDir + "/identity"
	resultPath   = stateDir + "/result.json"
	workDir      = runnerDir + "/_work"
	imagePath    = "/etc/mayfly-image"
)

// Image is the disk of a good runner template: path to content. The caller may change the copy it gets.
func Image() map[string]string {
	return map[string]string{
		"/etc/hostname":   "runner-template\n",
		"/etc/passwd":     "root:x:0:0:root:/root:/bin/bash\nrunner:x:1001:1001::/home/runner:/bin/bash\n",
		"/etc/os-release": "PRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\n",
		imagePath:         "ubuntu-2204-runner simulated\n",
		scriptPath:        "#!/bin/sh\n# run by the guest, see docs/run-once.md\n",
		hookPath:          "#!/bin/sh\n# the guest keeps the policy, see docs/run-once.md\n",
		listenerPath:      "",
	}
}

func newDisk(files map[string]string) *disk {
	d := &disk{files: maps.Clone(files), dirs: map[string]bool{}}
	if d.files == nil {
		d.files = map[string]string{}
	}
	for _, dir := range []string{"/", "/tmp", "/root", "/home/runner", "/etc", "/var/tmp", "/opt", "/run", workDir} {
		d.makeDirs(dir)
	}
	for f := range d.files {
		d.makeDirs(path.Dir(f))
	}
	return d
}

func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{files: maps.Clone(d.files), dirs: maps.Clone(d.dirs)}
}

func (d *disk) makeDirs(dir string) {
	for ; ; dir = path.Dir(dir) {
		d.dirs[dir] = true
		if dir == "/" || dir == "." {
			return
		}
	}
}

// mkdir makes a folder and those above it.
func (d *disk) mkdir(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.makeDirs(path.Clean(dir))
}

func (d *disk) read(file string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok := d.files[path.Clean(file)]
	return text, ok
}

// exists reports whether there is a file or a folder of that name.
func (d *disk) exists(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	_, file := d.files[name]
	return file || d.dirs[name]
}

// write makes or replaces a file; false when its folder isn't there.
func (d *disk) write(file, text string, appendTo bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	file = path.Clean(file)
	if !d.dirs[path.Dir(file)] || d.dirs[file] {
		return false
	}
	if appendTo {
		text = d.files[file] + text
	}
	d.files[file] = text
	return true
}

// remove removes a file, or a folder with all that is in it; false when there is none.
func (d *disk) remove(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	if _, ok := d.files[name]; ok {
		delete(d.files, name)
		return true
	}
	if !d.dirs[name] {
		return false
	}
	inside := func(p string) bool { return p == name || strings.HasPrefix(p, name+"/") }
	maps.DeleteFunc(d.files, func(f, _ string) bool { return inside(f) })
	maps.DeleteFunc(d.dirs, func(f string, _ bool) bool { return inside(f) })
	return true
}

// list gives the names of what is in a folder.
func (d *disk) list(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir = path.Clean(dir)
	names := []string{}
	for f := range d.files {
		if path.Dir(f) == dir {
			names = append(names, path.Base(f))
		}
	}
	for f := range d.dirs {
		if f != "/" && path.Dir(f) == dir {
			names = append(names, path.Base(f))
		}
	}
	slices.Sort(names)
	return names
}

// isDir reports whether there is a folder of that name.
func (d *disk) isDir(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirs[path.Clean(name)]
}
