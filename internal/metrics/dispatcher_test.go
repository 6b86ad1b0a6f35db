package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"mayfly/internal/metrics"
)

// series is what a query may name of ours.
var series = regexp.MustCompile(`\bmayfly_[a-z0-9_]+\b`)

// checkQuery finds names in a query that no metric has, and labels that its metric hasn't.
func checkQuery(t *testing.T, where, query string) {
	t.Helper()
	names := series.FindAllStringIndex(query, -1)
	for _, at := range names {
		name := query[at[0]:at[1]]
		m, ok := find(name)
		if !ok {
			t.Errorf("%s asks for %s, which doesn't exist: %s", where, name, query)
			continue
		}
		rest := query[at[1]:]
		if !strings.HasPrefix(rest, "{") {
			continue
		}
		matchers, _, _ := strings.Cut(rest[1:], "}")
		for _, l := range regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`).FindAllStringSubmatch(matchers, -1) {
			if l[1] != "instance" && l[1] != "le" && !strings.Contains(" "+strings.Join(m.Labels, " ")+" ", " "+l[1]+" ") {
				t.Errorf("%s asks for label %s of %s, which has %v", where, l[1], name, m.Labels)
			}
		}
	}
}

func find(name string) (metrics.Metric, bool) {
	for _, m := range metrics.All() {
		names := []string{m.Name}
		if m.Kind == metrics.Histogram {
			names = []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
		}
		for _, n := range names {
			if n == name {
				return m, true
			}
		}
	}
	return metrics.Metric{}, false
}

func TestAlertRulesAskForWhatExists(t *testing.T) {
	data, err := os.ReadFile("../../dispatcher/prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			checkQuery(t, r.Alert, r.Expr)
			if r.Alert == "" || seen[r.Alert] || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("rule %+v: want a name of its own, a query, a severity, a summary and a description", r)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 5 {
		t.Errorf("%d rules: the test looks in the wrong place", len(seen))
	}
}

func TestDashboardAsksForWhatExists(t *testing.T) {
	data, err := os.ReadFile("../../dispatcher/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID string
		Templating struct {
			List []struct{ Name, Query string }
		}
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %+v: want a title, an id of its own and a query", p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			if !series.MatchString(target.Expr) {
				t.Errorf("panel %q asks for nothing of ours: %q", p.Title, target.Expr)
			}
			checkQuery(t, p.Title, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		checkQuery(t, "variable "+v.Name, v.Query)
	}
	if len(ids) < 5 || d.UID == "" {
		t.Errorf("%d panels, uid %q", len(ids), d.UID)
	}
}
