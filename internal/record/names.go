package record

import (
	"fmt"
	"regexp"
	"strings"

	"mayfly/internal/runner"
)

// kept are names that installers, guides and GitHub give, and that tell nothing.
var kept = regexp.MustCompile(`(?i)^(local|local-lvm|local-zfs|localnetwork|vmbr[0-9]{1,3}|pve[0-9]{0,2}|ci|ci-templates|mayfly(-image|-promoted|-build|-ready|-failed)?|actions|runner|` +
	`self-hosted|linux|windows|macos|x64|arm64|(debian|ubuntu)-[0-9]{2}(\.[0-9]{2})?)$`)

// names gives each name a stand-in, the same wherever it turns up.
type names struct {
	of      map[string]string
	counts  map[string]int
	numbers map[int64]int64
}

func newNames() *names {
	return &names{of: map[string]string{}, counts: map[string]int{}, numbers: map[int64]int64{}}
}

// name is the stand-in of a name, "" of none; kind is what a new one begins with.
func (n *names) name(kind, s string) string {
	if s == "" || kept.MatchString(s) || runner.Hosted(s) {
		return s
	}
	if known, ok := n.of[s]; ok {
		return known
	}
	n.counts[kind]++
	n.of[s] = fmt.Sprintf("%s%d", kind, n.counts[kind])
	return n.of[s]
}

// each gives the stand-ins of a list in one string, separated as Proxmox does.
func (n *names) each(kind, s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(";, ", r) })
	for i, w := range words {
		words[i] = n.name(kind, w)
	}
	return strings.Join(words, ";")
}

// smallID is the largest id of GitHub's that tells nothing: a runner group, a first runner.
const smallID = 9999

// id is the stand-in of an id of GitHub's.
func (n *names) id(id int64) int64 {
	if id <= smallID {
		return id
	}
	if _, ok := n.numbers[id]; !ok {
		n.numbers[id] = smallID + int64(len(n.numbers)) + 1
	}
	return n.numbers[id]
}
