package record

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// redactor makes harmless what was recorded.
type redactor struct {
	names *names
}

// kinds are the keys of replies that are kept, and what their values are. All others are left out.
var kinds = map[string]string{
	"data": "word", "errors": "text", "message": "text", "vmid": "words", "template": "flagOrFile", "release": "word", "version": "word",

	"type": "word", "status": "word", "node": "node", "storage": "storage", "pool": "pool", "poolid": "pool", "members": "word", "name": "name", "tags": "tags", "lock": "word",
	"content": "words", "plugintype": "word", "hastate": "word", "id": "id", "shared": "word", "enabled": "word", "active": "word", "total": "word", "used": "word",
	"avail": "word", "maxcpu": "word", "maxmem": "word", "maxdisk": "word", "cpu": "word", "mem": "word", "disk": "word", "uptime": "word",

	"description": "note", "digest": "digest", "agent": "options", "boot": "boot", "onboot": "word", "protection": "word", "scsihw": "word", "ostype": "word", "cores": "word",
	"memory": "word", "sockets": "word", "balloon": "word", "numa": "word",

	"allowed-tags": "tags", "registered-tags": "tags", "user-tag-access": "word", "user-allow": "word", "user-allow-list": "tags",
	"all": "word", "exclude": "words", "enable": "word", "dhcp": "word", "ipfilter": "word", "policy_out": "word", "policy_in": "word", "iface": "bridge", "package": "package",

	"private": "word", "visibility": "word", "full_name": "repository", "fork": "word", "head_repository": "word", "repository": "word", "owner": "word", "login": "owner", "default_branch": "name",
	"total_count": "word", "workflow_runs": "word", "jobs": "word", "runners": "word", "labels": "name", "run_id": "word", "runner_id": "word", "runner_name": "name",
	"runner_group_id": "word", "created_at": "word", "updated_at": "word", "started_at": "word", "completed_at": "word", "published_at": "word", "event": "word", "conclusion": "word",
	"run_attempt": "word", "busy": "word", "os": "word", "architecture": "word", "ephemeral": "word", "tag_name": "word", "filename": "release", "sha256_checksum": "checksum",
	"sha512sum": "checksum",
}

var (
	driveKey    = regexp.MustCompile(`^(ide|sata|scsi|virtio|efidisk|tpmstate)[0-9]{1,2}$`)
	netKey      = regexp.MustCompile(`^net[0-9]{1,2}$`)
	volumeName  = regexp.MustCompile(`^([0-9]+/)?((base|vm)-[0-9]+-(disk-[0-9]+|cloudinit)(\.(qcow2|raw|vmdk))?/?)+$`)
	bootValue   = regexp.MustCompile(`^(order=)?((ide|sata|scsi|virtio|net)[0-9]{1,2};?)+$`)
	releaseFile = regexp.MustCompile(`^actions-runner-(linux|win|osx)-(x64|arm|arm64)-[0-9]{1,3}(\.[0-9]{1,4}){2}\.(tar\.gz|zip)$`)
	appliance   = regexp.MustCompile(`^(debian|ubuntu)-[0-9.]{1,5}-standard(_[0-9.]{1,7}-[0-9]{1,2}_(amd64|arm64)\.tar\.(zst|gz|xz))?$`)
)

// body makes a reply's body harmless. What isn't JSON is left out.
func (r *redactor) body(b []byte, github bool) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	out, err := json.Marshal(r.value("", v, github))
	if err != nil {
		return nil
	}
	return out
}

// value makes one value harmless; key is the one that it, or the list that it is in, stands under.
func (r *redactor) value(key string, v any, github bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) { // in a fixed order, so that names are numbered alike
			words, text := v[k].(string)
			switch {
			case key == "errors" && text && kinds[k] != "": // what is wrong about a parameter
				out[k] = r.text(words)
			case kinds[k] != "", driveKey.MatchString(k), netKey.MatchString(k), privilege.MatchString(k):
				out[k] = r.value(k, v[k], github)
			case strings.HasPrefix(k, "/"):
				out[r.path(k, false)] = r.value(k, v[k], github)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, r.value(key, e, github))
		}
		return out
	case json.Number:
		if id, err := v.Int64(); err == nil && github && (key == "id" || strings.HasSuffix(key, "_id")) {
			return r.names.id(id)
		}
		return v
	case string:
		return r.string(key, v)
	}
	return v // true, false, null
}

// string makes a string harmless by what its key holds.
func (r *redactor) string(key, s string) string {
	switch {
	case driveKey.MatchString(key):
		return r.drive(s)
	case netKey.MatchString(key):
		return r.card(s)
	}
	switch kind := kinds[key]; kind {
	case "node", "storage", "pool", "name", "bridge", "owner":
		return r.names.name(kind, s)
	case "tags":
		return r.names.each("tag", s)
	case "text":
		return r.text(s)
	case "words":
		return r.list(s)
	case "id":
		return r.path(s, false)
	case "repository":
		owner, repo, _ := strings.Cut(s, "/")
		return r.names.name("owner", owner) + "/" + r.names.name("repo", repo)
	case "digest":
		return r.names.name("digest", s)
	case "note":
		return r.note(s)
	case "options":
		return r.options(s)
	case "boot":
		return only(bootValue, s)
	case "release":
		return only(releaseFile, s)
	case "package", "flagOrFile":
		if appliance.MatchString(s) {
			return s
		}
	case "checksum":
		return strings.Repeat("0", min(len(s), 128))
	}
	return word(s)
}

func only(form *regexp.Regexp, s string) string {
	if form.MatchString(s) {
		return s
	}
	return gone
}

// list keeps the words of a list that tell nothing.
func (r *redactor) list(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(";, ", r) })
	for i, w := range words {
		words[i] = word(w)
	}
	return strings.Join(words, ",")
}

// options keeps key=value pairs of words that tell nothing; what isn't known is left out.
func (r *redactor) options(s string) string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		key, value, pair := strings.Cut(part, "=")
		switch {
		case !pair && word(key) != gone:
			out = append(out, key)
		case pair && (vocabulary[key] || set("discard iothread ssd cache format replicate firewall tag rate mtu queues fstrim_cloned_disks")[key]) && (word(value) != gone || size.MatchString(value)):
			out = append(out, part)
		}
	}
	return strings.Join(out, ",")
}

var size = regexp.MustCompile(`^[0-9]{1,9}[KMGT]?$`)

// drive makes the value of a disk or CD-ROM drive harmless.
func (r *redactor) drive(s string) string {
	volume, rest, more := strings.Cut(s, ",")
	if storage, name, ok := strings.Cut(volume, ":"); ok {
		switch {
		case volumeName.MatchString(name), name == "cloudinit":
		case strings.HasPrefix(name, "iso/"):
			name = "iso/file.iso"
		default:
			name = gone
		}
		volume = r.names.name("storage", storage) + ":" + name
	} else {
		volume = word(volume)
	}
	if more {
		return strings.TrimSuffix(volume+","+r.options(rest), ",")
	}
	return volume
}

// card makes the value of a network card harmless: its address is one for all.
func (r *redactor) card(s string) string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case key == "bridge":
			out = append(out, "bridge="+r.names.name("bridge", value))
		case set("virtio e1000 vmxnet3 rtl8139")[key]:
			out = append(out, key+"=02:00:00:00:00:01")
		default:
			if kept := r.options(part); kept != "" {
				out = append(out, kept)
			}
		}
	}
	return strings.Join(out, ",")
}

// note keeps of a guest's notes only Mayfly's own marker.
func (r *redactor) note(s string) string {
	if m, err := runner.ParseImage(s); err == nil {
		m.Installation, m.Name, m.Version = r.names.name("installation", m.Installation), r.names.name("image-", m.Name), only(imageVersion, m.Version)
		m.RunnerVersion = only(plainVersion, m.RunnerVersion)
		return m.Description()
	}
	if m, err := runner.ParseBuildMarker(s); err == nil {
		m.Installation, m.Image, m.Version = r.names.name("installation", m.Installation), r.names.name("image-", m.Image), only(imageVersion, m.Version)
		return m.Description()
	}
	if m, err := runner.ParseMarker(s); err == nil {
		m.Installation, m.Runner, m.Pool, m.Version = r.names.name("installation", m.Installation), r.names.name("name", m.Runner), r.names.name("name", m.Pool), word(m.Version)
		return m.Description()
	}
	if s == "" {
		return ""
	}
	return gone
}

var imageVersion = regexp.MustCompile(`^[0-9]{8}-[0-9]{4}(\.[0-9]{1,3})?$`)
