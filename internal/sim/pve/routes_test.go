package pve

import "testing"

func TestEveryMethodOfTheSchemaHasAHandlerAndNothingElse(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	known := map[string]bool{}
	for _, m := range loadMethods().methods {
		known[m.name()] = true
		if s.handlers[m.name()] == nil {
			t.Errorf("no handler for %s", m.name())
		}
	}
	for name := range s.handlers {
		if !known[name] {
			t.Errorf("a handler for %s, which the schema doesn't have", name)
		}
	}
}
