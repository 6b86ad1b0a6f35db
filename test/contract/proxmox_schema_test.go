package contract_test

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// property is what Proxmox's schema says of one parameter, or of one key of a property string.
type property struct {
	Type      string
	Optional  json.RawMessage // 1, "1" or absent
	Format    json.RawMessage // a name, or an object: the keys of a property string
	Pattern   string
	Minimum   json.RawMessage // a number, sometimes in quotes
	Maximum   json.RawMessage
	MaxLength int
	Enum      []string
	Items     *property
	Requires  string
	Alias     string
	KeyAlias  string
}

func (p property) optional() bool { return strings.Trim(string(p.Optional), `"`) == "1" }

// format is the format's name, "" for none and for property strings.
func (p property) format() string {
	var name string
	_ = json.Unmarshal(p.Format, &name)
	return name
}

// keys are those of a property string, nil for other values.
func (p property) keys() map[string]property {
	var keys map[string]property
	_ = json.Unmarshal(p.Format, &keys)
	return keys
}

// limit reads a minimum or maximum; nil when there is none.
func limit(raw json.RawMessage) *big.Rat {
	n, ok := new(big.Rat).SetString(strings.Trim(string(raw), `"`))
	if !ok {
		return nil
	}
	return n
}

// What Proxmox says of a value that breaks a rule (PVE::JSONSchema, check_prop), in the order that it looks.
const (
	wrongType    = "type check ("
	wrongFormat  = "invalid format - "
	wrongPattern = "value does not match the regex pattern"
	tooLong      = "value may only be "
	tooLarge     = "value must have a maximum value of "
	tooSmall     = "value must have a minimum value of "
	notInEnum    = "does not have a value in the enumeration "
	missing      = "property is missing and it is not optional"
	unknown      = "property is not defined in schema and the schema does not allow additional properties"
	needsOther   = "missing property required by "
)

// schemaTexts are all of them: an answer that has none comes from the method's own code.
var schemaTexts = []string{wrongType, wrongFormat, wrongPattern, tooLong, tooLarge, tooSmall, notInEnum, missing, unknown, needsOther}

var typeForms = map[string]*regexp.Regexp{
	"boolean": re(`0|1`),
	"integer": re(`[+-]?\d+`),
	"number":  re(`[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?`),
}

// formatForms are the named formats that these tests read: the values that Proxmox takes.
var formatForms = map[string]*regexp.Regexp{
	"pve-node":                 re(`[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`),
	"pve-vmid":                 re(`[1-9][0-9]{2,8}`),
	"pve-storage-id":           re(`[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]`),
	"pve-poolid":               re(`([A-Za-z0-9._-]+/){0,2}[A-Za-z0-9._-]+`),
	"pve-configid":             re(`[a-zA-Z][a-zA-Z0-9_-]+`),
	"pve-tag":                  re(`[a-zA-Z0-9_][a-zA-Z0-9_.+-]*`),
	"pve-volume-id":            re(`[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]:.+`),
	"pve-volume-id-or-qm-path": re(`none|cdrom|/.*|[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]:.+`),
	"pve-storage-content":      re(`images|rootdir|vztmpl|iso|backup|snippets|none|import`),
	"pve-task-status-type":     re(`(?i)ok|error|warning|unknown`),
	"dns-name":                 re(`([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`),
	"urlencoded":               re(`[-%a-zA-Z0-9_.!~*'()]*`),
	"disk-size":                re(`\d+(\.\d+)?[KMGT]?`),
	"mac-addr":                 re(`(?i)[a-f0-9][02468ace](:[a-f0-9]{2}){5}`),
}

// form is the named format's, and whether it is of a list's elements; nil when the format isn't read here.
func (p property) form() (form *regexp.Regexp, list bool) {
	name, list := strings.CutSuffix(p.format(), "-list")
	return formatForms[name], list
}

// perl turns Perl's printed pattern into one of Go's.
func perl(pattern string) string {
	return strings.ReplaceAll(pattern, "(?^:", "(?:")
}

// judge tells what Proxmox has to say of a value, "" for nothing. sure is false when the format isn't read here.
func (p property) judge(v string) (text string, sure bool) {
	if form := typeForms[p.Type]; form != nil && !form.MatchString(v) {
		return wrongType, true
	}
	if p.format() != "" {
		form, list := p.form()
		if form == nil {
			return "", false
		}
		elements := []string{v}
		if list {
			elements = strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",; ", r) })
		}
		if slices.ContainsFunc(elements, func(e string) bool { return !form.MatchString(e) }) {
			return wrongFormat, true
		}
	}
	if p.Pattern != "" && !re(perl(p.Pattern)).MatchString(v) {
		return wrongPattern, true
	}
	if p.MaxLength > 0 && utf8.RuneCountInString(v) > p.MaxLength {
		return tooLong, true
	}
	if n, ok := new(big.Rat).SetString(v); ok && typeForms["number"].MatchString(v) {
		if most := limit(p.Maximum); most != nil && n.Cmp(most) > 0 {
			return tooLarge, true
		}
		if least := limit(p.Minimum); least != nil && n.Cmp(least) < 0 {
			return tooSmall, true
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
		return notInEnum, true
	}
	return "", true
}

var yesAndNo = re(`(?i)1|on|yes|true|0|off|no|false`)

// judgeKey is judge for a key of a property string, where booleans have more words.
func (p property) judgeKey(v string) (ok, sure bool) {
	if p.Type == "boolean" && yesAndNo.MatchString(v) {
		return true, true
	}
	text, sure := p.judge(v)
	return text == "", sure
}
