package pve

import (
	"maps"
	"sync"
)

// propFields reads a stored property string; it was verified before it was stored.
func propFields(opt, value string) map[string]string {
	if value == "" {
		return map[string]string{}
	}
	return maps.Clone(readFields.get(opt, value))
}

// readFields remembers property strings that were read: each list of VMs asks for every drive of every VM again.
var readFields = fieldsMemo{read: map[[2]string]map[string]string{}}

// fieldsMemo is what strings were read as, by option and value. What it holds is never changed.
type fieldsMemo struct {
	mu   sync.Mutex
	read map[[2]string]map[string]string
}

// memoSize is when a memo forgets everything: most strings of a long run are of VMs that are no more.
const memoSize = 4096

func (m *fieldsMemo) get(opt, value string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{opt, value}
	out, ok := m.read[key]
	if !ok {
		if len(m.read) >= memoSize {
			clear(m.read)
		}
		out = parseFields(opt, value)
		m.read[key] = out
	}
	return out
}

func parseFields(opt, value string) map[string]string {
	out := map[string]string{}
	s := loadMethods().config[opt]
	if s == nil {
		return out
	}
	f := s.fields
	if f == nil {
		f = namedPropFormat(s.format)
	}
	if f == nil {
		return out
	}
	fields, _ := f.parse(opt, value)
	for k, v := range fields {
		out[k] = scalar(v)
	}
	return out
}
