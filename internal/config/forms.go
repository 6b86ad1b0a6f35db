package config

import (
	"regexp"
	"strings"

	"mayfly/internal/schedule"
)

// form is what a text must look like.
type form struct {
	pattern string
	want    string // the accepted form, for messages and docs
}

// matches reports whether the whole of s has the form.
func (f form) matches(s string) bool { return regexp.MustCompile(f.pattern).MatchString(s) }

// formOf gives the form of that name; the patterns are those that Go and JSON Schema read alike. The server's own rules
// are Proxmox's formats pve-node, pve-storage-id, pve-poolid, dns-name and pve-tokenid.
func formOf(name string) (form, bool) {
	const hexPair = `[0-9A-Fa-f]{2}`
	const octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	const print256 = hexPair + `(:?` + hexPair + `){31}`
	f, ok := map[string]form{
		"installation":   {`^[a-z0-9_][a-z0-9_.-]{0,62}$`, "want 1 to 63 lower-case letters, digits, '_', '-' and '.'"},
		"prefix":         {`^[A-Za-z0-9]([A-Za-z0-9-]{0,50}[A-Za-z0-9])?$`, "want 1 to 52 letters, digits and inner dashes"},
		"path":           {`^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$`, "want a path"},
		"url":            {`^https?://[^/@?#, ]+(/|/api2/json/?)?$`, "want https://HOST:8006, for example https://pve1.example.org:8006"},
		"api_url":        {`^https?://[^/@?# ]+(/[^@?# ]*)?$`, "want https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server"},
		"node":           {`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`, "want a node's name as Proxmox shows it, for example pve1"},
		"weight":         {`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?=[0-9]{1,4}([.][0-9]{1,3})?$`, "want NODE=NUMBER with a number above 0, for example pve2=1.5"},
		"token_id":       {`^[^ :/]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`, "want USER@REALM!NAME, for example mayfly@pve!dispatcher"},
		"fingerprint":    {`^` + print256 + `( *, *` + print256 + `)*$`, "want the certificate's SHA-256 as 32 pairs of hex digits, AA:BB:…; several separated by commas"},
		"config_id":      {`^[A-Za-z][A-Za-z0-9_-]{1,62}$`, "want 2 to 63 letters, digits, '_' and '-' that begin with a letter, for example mayfly"},
		"resource_pool":  {`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,2}$`, "want a resource pool's name, for example ci"},
		"storage":        {`^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$`, "want a storage's name, for example local-lvm"},
		"image":          {`^[a-z0-9]([a-z0-9-]{0,36}[a-z0-9])?$`, "want an image's name of lower-case letters, digits and inner dashes, for example debian-12 or ubuntu-2404"},
		"schedule":       {`^(daily|weekly|[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,?-]+){4})$`, "want daily, weekly or five cron fields, for example 30 4 * * 1"},
		"warm_rule":      {`^ *[^ =]+( +[^ =]+){4} *= *[0-9]{1,5} *$`, schedule.Want},
		"time_zone":      {`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`, "want a name of the IANA list, for example Europe/Berlin or UTC"},
		"bridge":         {`^[A-Za-z][A-Za-z0-9_.-]{0,14}$`, "want a bridge's name, for example vmbr0"},
		"hostname":       {`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`, "want a host name without a domain, for example mayfly"},
		"ipv4":           {`^` + octet + `([.]` + octet + `){3}$`, "want an IPv4 address, for example 192.0.2.1"},
		"container_ip":   {`^(dhcp|` + octet + `([.]` + octet + `){3}/([89]|[12][0-9]|30))$`, "want dhcp, or an IPv4 address with the network's size, for example 192.0.2.5/24"},
		"runner_version": {`^[0-9]{1,9}[.][0-9]{1,9}[.][0-9]{1,9}$`, "want a release such as 2.330.0"},
		"sha256":         {`^[0-9A-Fa-f]{64}$`, "want 64 hex digits"},
		"checksum":       {`^(sha256:[0-9A-Fa-f]{64}|sha512:[0-9A-Fa-f]{128})$`, "want sha256: and 64 hex digits, or sha512: and 128"},
		"download_url":   {`^https?://[^/@?# ]+/[^@# ]+$`, "want https://HOST/FILE, without credentials"},
		"runner_url":     {`^(https?://[^/@?# ]+|file://)/[^@# ]+$`, "want https://HOST/FILE, or file:///FILE in the guest, without credentials"},
		"proxy_url":      {`^https?://[^/@?# ]+/?$`, "want http://HOST:PORT, without credentials, which jobs could read"},
		"package":        {`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+)?$`, "want the name of a Debian package, for example libssl-dev"},
		"pool":           {`^[a-z0-9_][a-z0-9_.-]{0,62}$`, "want 1 to 63 lower-case letters, digits, '_', '-' and '.'"},
		"target":         {`^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$`, "want OWNER/REPO, for example NREL/EnergyPlus"},
		"event":          {`^[a-z]+(_[a-z]+)*$`, "want a GitHub event, for example push or pull_request"},
		"label":          {`^[^,\s]{1,256}$`, "want 1 to 256 characters without comma or white space"},
		"vm":             {`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`, "want a VM template's name, for example ubuntu-2204-runner-template"},
		"user":           {`^[a-z_][a-z0-9_-]{0,31}$`, "want the name of an unprivileged user, for example runner"},
		"listen":         {`^$|^[^ /]*:[0-9]{1,5}$`, `want HOST:PORT, for example 127.0.0.1:9180, or "" for no web server`},
	}[name]
	return f, ok
}

// among reads the values of a oneof tag.
func among(tag string) []string { return strings.Fields(tag) }
