package pve

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

//go:embed data/schema.json
var schemaJSON []byte

//go:embed data/schema-8.4.json
var schemaJSON84 []byte

// Each embedded schema is read once for all servers; nothing changes it afterwards. What is stored is read by that of 9.2
// alone, which has all options of 8.4's.
var (
	loadMethods   = sync.OnceValue(func() *methodTable { return mustParse(schemaJSON) })
	loadMethods84 = sync.OnceValue(func() *methodTable { return mustParse(schemaJSON84) })
)

func mustParse(data []byte) *methodTable {
	t, err := parseMethods(data)
	if err != nil {
		panic(fmt.Sprintf("embedded schema: %v", err)) // the file is part of the program
	}
	return t
}

// schemaType is one node of Proxmox's JSON schema dialect, as far as parameters use it.
type schemaType struct {
	Type       string                 `json:"type"`
	Optional   flag                   `json:"optional"`
	Format     json.RawMessage        `json:"format"` // a name, or an object: a property string
	Pattern    string                 `json:"pattern"`
	MaxLength  *int                   `json:"maxLength"`
	MinLength  *int                   `json:"minLength"`
	Maximum    *json.Number           `json:"-"`
	Minimum    *json.Number           `json:"-"`
	RawMax     json.RawMessage        `json:"maximum"`
	RawMin     json.RawMessage        `json:"minimum"`
	Enum       []string               `json:"enum"`
	Items      *schemaType            `json:"items"`
	Properties map[string]*schemaType `json:"properties"`
	Requires   string                 `json:"requires"`
	Alias      string                 `json:"alias"`
	KeyAlias   string                 `json:"keyAlias"`
	DefaultKey flag                   `json:"default_key"`

	format  string      // the name
	fields  *propFormat // the property string
	pattern *regexp.Regexp
}

// flag is a boolean as Perl writes it: 1, 0, "1", true.
type flag bool

// UnmarshalJSON accepts every form that the schema uses.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "1", "true":
		*f = true
	case "0", "false", "", "null":
		*f = false
	default:
		return fmt.Errorf("flag %s", b)
	}
	return nil
}

// method is one call of the API.
type method struct {
	Method     string     `json:"method"`
	Path       string     `json:"path"`
	Parameters schemaType `json:"parameters"`
	Permission *struct {
		Check json.RawMessage `json:"check"`
		User  string          `json:"user"`
	} `json:"permissions"`
	Protected flag   `json:"protected"` // a daemon worker runs it
	ProxyTo   string `json:"proxyto"`   // "node": it runs on the node that the path names

	segments []string
	check    check
}

// name is the key by which handlers are found: "GET /nodes/{node}/qemu".
func (m *method) name() string { return m.Method + " " + m.Path }

type methodTable struct {
	methods []*method
	// config are the options of a VM's configuration: those of PUT config that are stored.
	config map[string]*schemaType
	// container are the options of a container's configuration.
	container map[string]*schemaType
}

func parseMethods(data []byte) (*methodTable, error) {
	t := &methodTable{}
	if err := json.Unmarshal(data, &t.methods); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	for _, m := range t.methods {
		m.segments = strings.Split(strings.TrimPrefix(m.Path, "/"), "/")
		m.Parameters.Properties = expand(m.Parameters.Properties)
		if err := m.Parameters.compile(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name(), err)
		}
		if m.Permission != nil && len(m.Permission.Check) > 0 {
			c, err := parseCheck(m.Permission.Check)
			if err != nil {
				return nil, fmt.Errorf("%s: permissions: %w", m.name(), err)
			}
			m.check = c
		}
		switch m.name() {
		case "PUT /nodes/{node}/qemu/{vmid}/config":
			t.config = configOptions(m.Parameters.Properties)
		case "PUT /nodes/{node}/lxc/{vmid}/config":
			t.container = configOptions(m.Parameters.Properties)
		}
	}
	return t, nil
}

// indexLimits are how many of each numbered option there are (qemu-server: QemuServer.pm, Drive.pm,
// Network.pm; pve-container: LXC/Config.pm).
var indexLimits = map[string]int{
	"net": 32, "ide": 4, "scsi": 31, "virtio": 16, "sata": 6, "serial": 4, "parallel": 3, "ipconfig": 32,
	"unused": 256, "usb": 14, "hostpci": 16, "numa": 8, "virtiofs": 10, "mp": 256, "dev": 256,
}

// expand turns "net[n]" into net0 to net31.
func expand(props map[string]*schemaType) map[string]*schemaType {
	out := make(map[string]*schemaType, len(props))
	for k, v := range props {
		base, indexed := strings.CutSuffix(k, "[n]")
		if !indexed {
			out[k] = v
			continue
		}
		for i := range indexLimits[base] {
			out[fmt.Sprintf("%s%d", base, i)] = v
		}
	}
	return out
}

// configOptions leaves out what PUT config takes but doesn't store.
func configOptions(props map[string]*schemaType) map[string]*schemaType {
	out := make(map[string]*schemaType, len(props))
	for k, v := range props {
		switch k {
		case "node", "vmid", "digest", "delete", "revert", "force", "skiplock", "background_delay", "cdrom", "import-working-storage":
		default:
			out[k] = v
		}
	}
	return out
}

func (s *schemaType) compile() error {
	if s.format != "" || s.fields != nil || s.pattern != nil {
		return nil // shared by several numbered options, done already
	}
	if len(s.Format) > 0 {
		if s.Format[0] == '"' {
			if err := json.Unmarshal(s.Format, &s.format); err != nil {
				return err
			}
		} else {
			s.fields = &propFormat{}
			if err := json.Unmarshal(s.Format, &s.fields.props); err != nil {
				return fmt.Errorf("format: %w", err)
			}
			if err := s.fields.compile(); err != nil {
				return err
			}
		}
	}
	if s.Pattern != "" {
		re, err := regexp.Compile("^(?:" + perlPattern(s.Pattern) + ")\n?$") // Perl's $ admits a final line break
		if err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
		s.pattern = re
	}
	s.Maximum, s.Minimum = number(s.RawMax), number(s.RawMin)
	for k, p := range s.Properties {
		if err := p.compile(); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	if s.Items != nil {
		return s.Items.compile()
	}
	return nil
}

// perlPattern turns Perl's stringified qr// into what Go reads.
func perlPattern(p string) string {
	p = strings.ReplaceAll(p, "(?^i:", "(?i:")
	p = strings.ReplaceAll(p, "(?^:", "(?:")
	return strings.ReplaceAll(p, `\/`, `/`)
}

// number reads a limit, which the schema writes as a number or as a string.
func number(raw json.RawMessage) *json.Number {
	if len(raw) == 0 {
		return nil
	}
	n := json.Number(strings.Trim(string(raw), `"`))
	return &n
}

// find returns the method for a path (already percent-decoded, below /api2/json) and the parameters in it; nil when
// there is none.
func (t *methodTable) find(verb, path string) (*method, map[string]string) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, m := range t.methods {
		if m.Method != verb {
			continue
		}
		if args, ok := m.match(segments); ok {
			return m, args
		}
	}
	return nil, nil
}

// match is literal segments before placeholders: no two served paths of one method differ only there, except
// content/{volume}, which takes the rest of the path because volume ids hold slashes.
func (m *method) match(segments []string) (map[string]string, bool) {
	last := m.segments[len(m.segments)-1]
	if last == "{volume}" && len(segments) > len(m.segments) {
		n := len(m.segments) - 1
		segments = append(append([]string{}, segments[:n]...), strings.Join(segments[n:], "/"))
	}
	if len(segments) != len(m.segments) {
		return nil, false
	}
	var args map[string]string
	for i, want := range m.segments {
		if strings.HasPrefix(want, "{") {
			if args == nil {
				args = map[string]string{}
			}
			args[strings.Trim(want, "{}")] = segments[i]
		} else if want != segments[i] {
			return nil, false
		}
	}
	return args, true
}
