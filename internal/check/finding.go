package check

import "strings"

// Level is how bad a finding is.
type Level string

// The levels. An error keeps jobs from running, a warning may do so later or costs something else. What the token isn't shown is neither:
// somebody else has to look.
const (
	OK      Level = "ok"
	Unseen  Level = "unseen"
	Warning Level = "warning"
	Error   Level = "error"
)

// Bad reports whether something is to be mended.
func (l Level) Bad() bool { return l.rank() > 0 }

// rank orders levels by how bad they are.
func (l Level) rank() int {
	switch l {
	case Error:
		return 2
	case Warning:
		return 1
	}
	return 0
}

// Finding is what one look has shown.
type Finding struct {
	// ID names the kind of finding for programs: "proxmox-version". It doesn't change between releases.
	ID    string `json:"id"`
	Level Level  `json:"level"`
	// What is looked at: "template ubuntu-2204 (VM 9000)".
	What string `json:"what"`
	// Reason is what was seen, and what follows from it.
	Reason string `json:"reason"`
	// Cure is the command to run or the click to make; "" where nothing is to be mended.
	Cure string `json:"cure,omitempty"`
	// Commands are those of Cure, where it is commands alone; nil where somebody has to think or click.
	Commands *Commands `json:"commands,omitempty"`
	// Change is the same by the API; nil where this installation may not or can't.
	Change *Change `json:"change,omitempty"`
}

// Worst is the worst level among findings, OK of none.
func Worst(list []Finding) Level {
	worst := OK
	for _, f := range list {
		if f.Level.rank() > worst.rank() {
			worst = f.Level
		}
	}
	return worst
}

// tell adds a finding, and gives it for more to be said.
func (c *checker) tell(id string, level Level, what, reason, cure string) *Finding {
	c.findings = append(c.findings, Finding{ID: id, Level: level, What: what, Reason: oneLine(reason), Cure: oneLine(cure)})
	return &c.findings[len(c.findings)-1]
}

// ok adds a finding that all is well.
func (c *checker) ok(id, what, reason string) { c.tell(id, OK, what, reason, "") }

// oneLine keeps a server's words in a line of the table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
