package pve

import "strings"

// Appliance is an entry of the index of container templates that a node can fetch.
type Appliance struct {
	// Template is the file's name: "debian-12-standard_12.12-1_amd64.tar.zst".
	Template string
	// Location is where it can be fetched, http or https.
	Location string
	// SHA512 is the file's, in hexadecimal.
	SHA512 string
}

// appliances is GET /nodes/{node}/aplinfo: everybody may ask (pve-manager PVE/API2/Nodes.pm, aplinfo; the fields are
// those of aplinfo.dat).
func (s *Server) appliances(*call) (any, error) {
	out := []any{}
	for _, a := range s.opts.Appliances {
		name, rest, _ := strings.Cut(a.Template, "_")
		version, rest, _ := strings.Cut(rest, "_")
		arch, _, _ := strings.Cut(rest, ".")
		os := strings.Join(strings.SplitN(name, "-", 3)[:min(2, strings.Count(name, "-")+1)], "-")
		out = append(out, map[string]any{
			"package": name, "version": version, "architecture": arch, "os": os, "section": "system", "type": "lxc", "source": "system",
			"template": a.Template, "location": a.Location, "sha512sum": a.SHA512, "headline": name, "description": name + " for containers",
		})
	}
	return out, nil
}
