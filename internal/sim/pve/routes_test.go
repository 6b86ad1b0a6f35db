package pve

import "testing"

func TestEveryMethodOfTheSchemaHasAHandlerAndNothingElse(t *testing.T) {
	for _, release := range []string{"8.4.14", "9.2.11"} {
		t.Run(release, func(t *testing.T) {
			s := New(Options{Release: release})
			defer s.Close()
			known := map[string]bool{}
			for _, m := range s.methods.methods {
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
		})
	}
}
