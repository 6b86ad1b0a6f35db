package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// propFormat is the form of a property string: "virtio=BC:24:11:00:00:01,bridge=vmbr0".
type propFormat struct {
	props      map[string]*schemaType
	defaultKey string // the field of a part without "="
}

func (f *propFormat) compile() error {
	for k, p := range f.props {
		if err := p.compile(); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		if p.DefaultKey {
			f.defaultKey = k
		}
	}
	return nil
}

// parse reads a property string into its fields; text is what Proxmox would say is wrong, "" for nothing. An alias
// for a field that also names another ("virtio=<mac>": the field macaddr, and model virtio) fills both.
func (f *propFormat) parse(path, data string) (fields map[string]any, text string) {
	fields = map[string]any{}
	seenDefault := false
	for _, part := range strings.Split(data, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		k, v, hasKey := strings.Cut(part, "=")
		switch {
		case hasKey && k != "" && v != "":
			if _, dup := fields[k]; dup {
				return nil, "duplicate key in comma-separated list property: " + k + "\n"
			}
			prop := f.props[k]
			if prop != nil && prop.Alias != "" {
				if prop.KeyAlias != "" {
					if _, dup := fields[prop.KeyAlias]; dup {
						return nil, "key alias '" + prop.KeyAlias + "' is already defined\n"
					}
					fields[prop.KeyAlias] = k
				}
				k = prop.Alias
				prop = f.props[k]
				if _, dup := fields[k]; dup {
					return nil, "key '" + k + "' is already defined (via alias)\n"
				}
			}
			if prop == nil {
				return nil, "invalid key in comma-separated list property: " + k + "\n"
			}
			fields[k] = asBoolean(prop, v)
		case !hasKey:
			if f.defaultKey == "" {
				return nil, "value without key, but schema does not define a default key\n"
			}
			if _, dup := fields[f.defaultKey]; dup || seenDefault {
				return nil, "duplicate key in comma-separated list property: " + f.defaultKey + "\n"
			}
			seenDefault = true
			fields[f.defaultKey] = asBoolean(f.props[f.defaultKey], part)
		default:
			return nil, "missing key in comma-separated list property\n"
		}
	}
	errs := fieldErrors{}
	checkFields(path, f.props, fields, errs)
	if len(errs) > 0 {
		return nil, "format error\n" + errs.lines()
	}
	return fields, ""
}

// asBoolean admits more words for yes and no than parameters do.
func asBoolean(prop *schemaType, v string) string {
	if prop.Type != "boolean" {
		return v
	}
	switch strings.ToLower(v) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return v
}

// namedPropFormat returns the property strings that the schema only names, as far as their fields matter here
// (qemu-server: QemuServer.pm, CPUConfig.pm, Cloudinit); nil for others.
func namedPropFormat(name string) *propFormat { return propFormats()[name] }

var propFormats = sync.OnceValue(func() map[string]*propFormat {
	text := func(pattern string) *schemaType {
		return &schemaType{Type: "string", Optional: true, Pattern: pattern}
	}
	volume := func() *schemaType {
		return &schemaType{Type: "string", Optional: true, Format: []byte(`"pve-volume-id"`)}
	}
	boolean := func() *schemaType { return &schemaType{Type: "boolean", Optional: true} }
	asDefault := func(s *schemaType) *schemaType { s.DefaultKey = true; return s }
	const b64 = `[A-Za-z0-9+\/]+={0,2}`
	all := map[string]*propFormat{
		"pve-qm-smbios1": {props: map[string]*schemaType{
			"uuid":    text(`[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}`),
			"version": text(b64), "serial": text(b64), "manufacturer": text(b64), "product": text(b64),
			"sku": text(b64), "family": text(b64), "base64": boolean(),
		}},
		"pve-qm-boot": {props: map[string]*schemaType{
			"legacy": asDefault(text(`[acdn]{1,4}`)), "order": text(`(?:[a-z]+\d+[;\s]*)+`),
		}},
		"pve-qm-cicustom": {props: map[string]*schemaType{
			"meta": volume(), "network": volume(),
			"user": volume(), "vendor": volume(),
		}},
		"pve-qm-ipconfig": {props: map[string]*schemaType{
			"ip": text(`dhcp|\d+\.\d+\.\d+\.\d+/\d+`), "gw": text(`\d+\.\d+\.\d+\.\d+`),
			"ip6": text(`auto|dhcp|[0-9a-fA-F:]+/\d+`), "gw6": text(`[0-9a-fA-F:]+`),
		}},
		"pve-vm-cpu-conf": {props: map[string]*schemaType{
			"cputype": asDefault(text(`[A-Za-z0-9_.-]+`)), "reported-model": text(""), "hidden": boolean(),
			"hv-vendor-id": text(`[a-zA-Z0-9]{1,12}`), "flags": text(`[+-][a-zA-Z0-9\-_.]+(?:;[+-][a-zA-Z0-9\-_.]+)*`),
			"phys-bits": text(""), "guest-phys-bits": text(""),
		}},
		"pve-qm-watchdog": {props: map[string]*schemaType{
			"model": asDefault(text(`i6300esb|ib700`)), "action": text(`reset|shutdown|poweroff|pause|debug|none`),
		}},
		"pve-qm-rng": {props: map[string]*schemaType{
			"source": asDefault(text(`/dev/urandom|/dev/random|/dev/hwrng`)), "max_bytes": text(`\d+`), "period": text(`\d+`),
		}},
	}
	for name, f := range all {
		if err := f.compile(); err != nil {
			panic(fmt.Sprintf("format %s: %v", name, err)) // constants of this file
		}
	}
	return all
})

// printProps writes fields as a property string, sorted by name.
func printProps(fields map[string]string) string {
	parts := make([]string, 0, len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, k+"="+fields[k])
	}
	return strings.Join(parts, ",")
}
