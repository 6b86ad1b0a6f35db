package secrets

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// text is something to search: where it was found, and what it says.
type text struct {
	place string // one of the places of this package
	name  string
	body  string
}

// The places where no secret may be.
const (
	placeLog     = "log"
	placeErrors  = "error of a failing start"
	placePanic   = "panic"
	placeArgs    = "process arguments"
	placeEnviron = "process environments"
	placeConfigs = "VM configurations"
	placeAsked   = "what was asked of Proxmox"
	placeTasks   = "task logs"
	placeFiles   = "files left behind"
	placeHealth  = "/healthz and /readyz"
	placePaths   = "addresses of requests"
)

// index finds any of many needles in one pass.
type index struct{ byHead map[[shortest]byte][]needle }

func newIndex(needles []needle) index {
	x := index{map[[shortest]byte][]needle{}}
	seen := map[string]bool{}
	for _, n := range needles {
		if len(n.text) < shortest || seen[n.text] {
			continue
		}
		seen[n.text] = true
		head := [shortest]byte([]byte(n.text[:shortest]))
		x.byHead[head] = append(x.byHead[head], n)
	}
	return x
}

// find tells which needles a text holds, each once.
func (x index) find(body string) []needle {
	var found []needle
	seen := map[string]bool{}
	for _, b := range readings(body) {
		for i := 0; i+shortest <= len(b); i++ {
			for _, n := range x.byHead[[shortest]byte([]byte(b[i:i+shortest]))] {
				if !seen[n.text] && strings.HasPrefix(b[i:], n.text) {
					seen[n.text] = true
					found = append(found, n)
				}
			}
		}
	}
	return found
}

// readings are the ways to read a text: as it is; without its backslashes, which undoes the quotes of JSON, of Go and of
// logs inside logs, however often a text was quoted; and as an address, even if it was escaped twice.
func readings(body string) []string {
	all := []string{body}
	if strings.Contains(body, `\`) {
		all = append(all, strings.ReplaceAll(decoded(codePoint, body), `\`, ""))
	}
	for range 2 {
		plain := decoded(percent, body)
		if plain == body {
			break
		}
		all, body = append(all, plain), plain
	}
	return all
}

// What stands for a character: in addresses, and in JSON, which writes & as \u0026.
var (
	percent   = regexp.MustCompile(`%([0-9A-Fa-f]{2})`)
	codePoint = regexp.MustCompile(`\\u00([0-9A-Fa-f]{2})`)
)

// decoded puts bytes into the places of what stands for them.
func decoded(form *regexp.Regexp, s string) string {
	return form.ReplaceAllStringFunc(s, func(e string) string {
		n, err := strconv.ParseUint(e[len(e)-2:], 16, 8)
		if err != nil {
			return e
		}
		return string([]byte{byte(n)})
	})
}

// leak is what was found where it may not be. It shows the surroundings with the secret itself taken out.
type leak struct {
	text
	needle
}

func (l leak) String() string {
	flat := strings.ReplaceAll(l.body, `\`, "")
	at := max(strings.Index(flat, l.needle.text), 0)
	before := flat[max(0, at-60):at]
	before = before[strings.LastIndex(before, "\n")+1:]
	return fmt.Sprintf("%s, %s: %s (%s) after %q", l.place, l.text.name, l.secret, l.form, before)
}

// search looks for all needles in all texts.
func search(texts []text, needles []needle) []leak {
	x := newIndex(needles)
	var found []leak
	for _, t := range texts {
		for _, n := range x.find(t.body) {
			found = append(found, leak{t, n})
		}
	}
	return found
}
