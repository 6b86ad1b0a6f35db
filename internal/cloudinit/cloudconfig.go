package cloudinit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// shape is what a value must be.
type shape int

const (
	anything shape = iota
	text           // a string
	scalar         // a string, number or boolean
	list
	mapping
	listOrText
	commands // a list of strings and of lists of strings
	files    // a list of mappings with path
	accounts // a string, a mapping, or a list of either
)

// wanted says the shape for people, with an example where that helps.
var wanted = map[shape]string{
	text:       "a string",
	scalar:     "one value",
	list:       "a list",
	mapping:    "a mapping",
	listOrText: "a list or a string",
	commands:   "a list, each entry a string (for the shell) or a list of strings (a command and its arguments)",
	files:      "a list of mappings, each with path: and content:",
	accounts:   "a list of names and of mappings with name:",
}

// wellKnown are the keys of cloud-config (cloudinit/config/schemas/schema-cloud-config-v1.json of cloud-init 25) and, of
// those whose module takes one shape only, that shape.
var wellKnown = map[string]shape{
	"allow_public_ssh_keys": scalar, "ansible": mapping, "apk_repos": mapping, "apt": mapping, "apt_pipelining": scalar,
	"apt_reboot_if_required": scalar, "apt_update": scalar, "apt_upgrade": scalar, "authkey_hash": scalar,
	"autoinstall": mapping, "bootcmd": commands, "byobu_by_default": scalar, "ca-certs": mapping, "ca_certs": mapping,
	"chef": mapping, "chpasswd": mapping, "cloud_config_modules": list, "cloud_final_modules": list, "cloud_init_modules": list,
	"create_hostname_file": scalar, "device_aliases": mapping, "disable_ec2_metadata": scalar, "disable_piwiz": scalar,
	"disable_root": scalar, "disable_root_opts": scalar, "disk_setup": mapping, "drivers": mapping, "enable_rpi_connect": scalar,
	"fan": mapping, "final_message": text, "fqdn": text, "fs_setup": list, "groups": anything, "growpart": anything,
	"grub-dpkg": mapping, "grub_dpkg": mapping, "hostname": text, "keyboard": mapping, "landscape": mapping,
	"launch-index": scalar, "locale": scalar, "locale_configfile": text, "lxd": mapping, "manage_etc_hosts": scalar,
	"manage_resolv_conf": scalar, "mcollective": mapping, "merge_how": anything, "merge_type": anything, "migrate": scalar,
	"mount_default_fields": list, "mounts": list, "no_ssh_fingerprints": scalar, "ntp": anything, "output": mapping,
	"package_reboot_if_required": scalar, "package_update": scalar, "package_upgrade": scalar, "packages": listOrText,
	"password": text, "phone_home": mapping, "power_state": mapping, "prefer_fqdn_over_hostname": scalar,
	"preserve_hostname": scalar, "puppet": mapping, "random_seed": mapping, "reporting": mapping, "resize_rootfs": scalar,
	"resolv_conf": mapping, "rh_subscription": mapping, "rpi_interfaces": mapping, "rpi_userconf": mapping,
	"rsyslog": anything, "runcmd": commands, "salt_minion": mapping, "snap": mapping, "spacewalk": mapping, "ssh": mapping,
	"ssh_authorized_keys": list, "ssh_deletekeys": scalar, "ssh_fp_console_blacklist": list, "ssh_genkeytypes": list,
	"ssh_import_id": listOrText, "ssh_key_console_blacklist": list, "ssh_keys": mapping, "ssh_publish_hostkeys": mapping,
	"ssh_pwauth": scalar, "ssh_quiet_keygen": scalar, "swap": mapping, "system_info": mapping, "timezone": text,
	"ubuntu_advantage": mapping, "ubuntu_pro": mapping, "updates": mapping, "user": anything, "users": accounts,
	"vendor_data": mapping, "version": anything, "wireguard": mapping, "write_files": files, "yum_repo_dir": text,
	"yum_repos": mapping, "zypper": mapping,
	// Older spellings that cloud-init still takes.
	"apt_mirror": text, "apt_sources": anything, "byobu": anything, "package-update": scalar, "snappy": mapping, "ssh-import-id": listOrText,
}

// checkKeys checks cloud-config's keys. cloud-init only warns of what it doesn't know or can't use, in a log inside the
// VM, so it is said here. A key that is near no known one passes: images may have modules of their own.
func checkKeys(root *ast.MappingNode) []Problem {
	known := make([]string, 0, len(wellKnown))
	for k := range wellKnown {
		known = append(known, k)
	}
	slices.Sort(known)
	var problems []Problem
	for _, v := range root.Values {
		key := keyOf(v)
		want, ok := wellKnown[key]
		if !ok {
			if near, found := nearest(key, known); found {
				problems = append(problems, Problem{lineOf(v.Key), fmt.Sprintf("cloud-init knows no key %s; want %s?", key, near)})
			}
			continue
		}
		problems = append(problems, want.check(key, v.Value, lineOf(v.Key))...)
	}
	return problems
}

// check returns what is wrong with a value. An alias is taken on trust.
func (s shape) check(path string, n ast.Node, line int) []Problem {
	n = bare(n)
	// An empty key is nothing to do, except for commands: shellify stops at it.
	if isAlias(n) || (isNothing(n) && s != commands) {
		return nil
	}
	if at := lineOf(n); at != 0 {
		line = at
	}
	wrong := []Problem{{line, fmt.Sprintf("%s is %s; want %s", path, nameOf(n), wanted[s])}}
	isText, isScalar, seq, isMapping := shapeOf(n)
	switch s {
	case text:
		if isText {
			return nil
		}
	case scalar:
		if isScalar {
			return nil
		}
	case list:
		if seq != nil {
			return nil
		}
	case mapping:
		if isMapping {
			return nil
		}
	case listOrText:
		if seq != nil || isText {
			return nil
		}
	case commands, files:
		if seq != nil {
			return s.checkEntries(path, seq)
		}
	case accounts:
		switch {
		case seq != nil:
			return s.checkEntries(path, seq)
		case isText, isMapping:
			return nil
		}
	default:
		return nil
	}
	return wrong
}

func (s shape) checkEntries(path string, seq *ast.SequenceNode) []Problem {
	var problems []Problem
	for i, e := range seq.Values {
		e = bare(e)
		at := fmt.Sprintf("%s[%d]", path, i)
		line := lineOf(e)
		if line == 0 {
			line = lineOf(seq)
		}
		switch s {
		case commands:
			problems = append(problems, checkCommand(at, e, line)...)
		case files:
			problems = append(problems, checkFile(at, e, line)...)
		case accounts:
			problems = append(problems, checkAccount(at, e, line)...)
		}
	}
	return problems
}

// checkCommand checks an entry of runcmd or bootcmd (cloudinit/subp.py and util.shellify: a string goes to the shell as
// it is, a list is quoted word by word; anything else stops the module). "- echo a: b" is a mapping, the usual mistake.
func checkCommand(path string, n ast.Node, line int) []Problem {
	isText, _, seq, isMapping := shapeOf(n)
	switch {
	case isText, isAlias(n), isNothing(n):
		return nil
	case isMapping:
		return []Problem{{line, path + ` is a mapping; want a string or a list of strings (a command that holds ": " needs quotes)`}}
	case seq == nil:
		return []Problem{{line, fmt.Sprintf("%s is %s; want a string or a list of strings", path, nameOf(n))}}
	}
	var problems []Problem
	for i, word := range seq.Values {
		word = bare(word)
		// cloud-init makes numbers in a list into words; a boolean it writes as True.
		if _, isWord, _, _ := shapeOf(word); !isWord && !isAlias(word) {
			problems = append(problems, Problem{max(lineOf(word), line), fmt.Sprintf("%s[%d] is %s; want a string", path, i, nameOf(word))})
		}
	}
	return problems
}

// checkFile checks an entry of write_files (cloudinit/config/cc_write_files.py).
func checkFile(path string, n ast.Node, line int) []Problem {
	if isAlias(n) {
		return nil
	}
	_, _, _, isMapping := shapeOf(n)
	if !isMapping {
		return []Problem{{line, fmt.Sprintf("%s is %s; want a mapping with path: and content:", path, nameOf(n))}}
	}
	var problems []Problem
	hasPath := false
	for _, v := range pairs(n) {
		key, at := keyOf(v), lineOf(v.Key)
		isText, _, _, _ := shapeOf(bare(v.Value))
		isText = isText || isAlias(bare(v.Value))
		switch key {
		case "<<":
			hasPath = true
		case "path":
			hasPath = true
			if !isText {
				problems = append(problems, Problem{at, fmt.Sprintf("%s.path is %s; want a string", path, nameOf(bare(v.Value)))})
			}
		case "permissions":
			// 644 without the quotes and the zero is the mode 01204.
			if !isText {
				problems = append(problems, Problem{at, fmt.Sprintf(`%s.permissions is %s; want a string in quotes, for example "0600"`, path, nameOf(bare(v.Value)))})
			}
		case "content", "owner", "encoding":
			if _, isScalar, _, _ := shapeOf(bare(v.Value)); !isScalar && !isText {
				problems = append(problems, Problem{at, fmt.Sprintf("%s.%s is %s; want a string", path, key, nameOf(bare(v.Value)))})
			}
		}
	}
	if !hasPath {
		problems = append(problems, Problem{line, path + " has no path:; want the path of the file"})
	}
	return problems
}

// checkAccount checks an entry of users (cloudinit/config/cc_users_groups.py).
func checkAccount(path string, n ast.Node, line int) []Problem {
	isText, _, _, isMapping := shapeOf(n)
	switch {
	case isText, isAlias(n):
		return nil
	case !isMapping:
		return []Problem{{line, fmt.Sprintf("%s is %s; want a name or a mapping with name:", path, nameOf(n))}}
	}
	for _, v := range pairs(n) {
		if slices.Contains([]string{"name", "snapuser", "<<"}, keyOf(v)) {
			return nil
		}
	}
	return []Problem{{line, path + " has no name:; cloud-init would leave it out"}}
}

// bare takes anchors and tags off a node.
func bare(n ast.Node) ast.Node {
	for {
		switch m := n.(type) {
		case *ast.AnchorNode:
			n = m.Value
		case *ast.TagNode:
			n = m.Value
		default:
			return n
		}
	}
}

func shapeOf(n ast.Node) (isText, isScalar bool, seq *ast.SequenceNode, isMapping bool) {
	switch n := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return true, true, nil, false
	case *ast.SequenceNode:
		return false, false, n, false
	case *ast.MappingNode, *ast.MappingValueNode:
		return false, false, nil, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return false, true, nil, false
	}
	return false, false, nil, false
}

func isAlias(n ast.Node) bool {
	_, ok := n.(*ast.AliasNode)
	return ok
}

func isNothing(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, ok := n.(*ast.NullNode)
	return ok
}

func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// isCommand reports whether a leaf's path is in a list of commands.
func isCommand(path string) bool {
	return strings.HasPrefix(path, "runcmd[") || strings.HasPrefix(path, "bootcmd[")
}
