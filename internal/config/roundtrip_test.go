package config_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mayfly/internal/config"
)

// TestShownConfigurationMeansTheSame loads a drawn configuration, shows it, and loads what was shown: only the secrets,
// which show as ***, have to be given again.
func TestShownConfigurationMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := input{map[string][]byte{"mayfly.yaml": []byte(drawYAML(t))}}
		o := in.options()
		o.Env = environ(required())
		first, origins, err := config.Load(o)
		if err != nil {
			t.Fatalf("%v\n%s", err, in.files["mayfly.yaml"])
		}
		var shown bytes.Buffer
		if err := config.Show(&shown, first, origins, rapid.Bool().Draw(t, "origins")); err != nil {
			t.Fatal(err)
		}
		again := input{map[string][]byte{"mayfly.yaml": shown.Bytes()}}.options()
		again.Env = environ(map[string]string{"PROXMOX_TOKEN_SECRET": "pve-secret", "GITHUB_TOKEN": "gh-secret"})
		second, _, err := config.Load(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, shown.String())
		}
		if diff := same(first, second); diff != "" {
			t.Fatalf("(-first +second):\n%s\nshown:\n%s", diff, shown.String())
		}
	})
}

// drawYAML writes a mayfly.yaml that is right in every value, with the keys that were drawn.
func drawYAML(t *rapid.T) string {
	var b strings.Builder
	maybe := func(format string, value func() any) {
		if rapid.Bool().Draw(t, format) {
			fmt.Fprintf(&b, format+"\n", value())
		}
	}
	text := func(pattern string) func() any {
		return func() any { return fmt.Sprintf("%q", rapid.StringMatching(pattern).Draw(t, pattern)) }
	}
	number := func(low, high int) func() any {
		return func() any { return rapid.IntRange(low, high).Draw(t, "number") }
	}
	maybe("installation: %s", text(`[a-z0-9_][a-z0-9_.-]{0,62}`))
	maybe("name_prefix: %s", text(`[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?`))
	maybe("poll_interval: %d", number(1, 600))
	maybe("snippets_dir: %s", text(`/[ -!#-\[\]-~äß☃]{1,20}`))
	maybe("web: {listen: %s, allow_remote: true}", text(`([a-z0-9.-]{0,10}:[1-9][0-9]{0,3})?`))
	maybe("log: {level: %s}", func() any { return rapid.SampledFrom([]string{"debug", "info", "warn", "error"}).Draw(t, "level") })
	maybe("vmids: {start: 200, end: %d}", number(300, 999999999))
	b.WriteString("max_runners: 9\n")
	b.WriteString("pools:\n")
	for i := range rapid.IntRange(1, 3).Draw(t, "pools") {
		fmt.Fprintf(&b, "  - name: p%d\n    target: Owner/repo-%d\n", i, i)
		var labels []string
		for range rapid.IntRange(1, 4).Draw(t, "labels") {
			labels = append(labels, fmt.Sprintf("%q", rapid.StringMatching(`[!-+\--~äß☃]{1,12}|true|null|[0-9]{1,3}|~`).Draw(t, "label")))
		}
		fmt.Fprintf(&b, "    labels: [%s]\n", strings.Join(labels, ", "))
		maybe("    image: %s", text(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`))
		maybe("    cores: %d", number(1, 64))
		maybe("    memory: %dMiB", number(16, 100000))
		maybe("    disk: %dGiB", number(1, 4096))
		maybe("    idle_timeout: %ds", number(10, 86400))
		maybe("    time_zone: %s", func() any { return rapid.SampledFrom([]string{"UTC", "Europe/Berlin"}).Draw(t, "zone") })
		maybe("    spare_max_age: %ds", number(600, 2592000))
		fmt.Fprintf(&b, "    max: %d\n", rapid.IntRange(8, 9).Draw(t, "max"))
		maybe("    min_idle: %d", number(0, 2))
		maybe("    booted_spares: %d", number(0, 2))
		maybe("    min_idle_schedule: [\"* 7-18 * * mon-fri = %d\"]", number(0, 4))
		maybe("    booted_spares_schedule: [\"30-59 * 1,15 * * = %d\"]", number(0, 4))
		maybe("    full_clone: true\n    storage: %s", text(`[A-Za-z][A-Za-z0-9_.-]{0,8}[A-Za-z0-9]`))
		maybe("    accept_unlabeled: %t", func() any { return rapid.Bool().Draw(t, "bool") })
	}
	return b.String()
}
