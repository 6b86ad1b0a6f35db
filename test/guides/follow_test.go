package guides

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mayfly/internal/cli"
	"mayfly/internal/sim/gh"
)

// settingRow is a row of the README's table of what to set in dispatcher.env.
var settingRow = regexp.MustCompile("(?m)^\\| (`[A-Z_`, ]+`) \\| ([^|]+) \\|$")

// TestTheReadmeLeadsToTheFirstJob follows it with the permissions that it has given: the example of the env file filled in as the
// table says, every command of the steps 5 and 6 that changes nothing, then the dispatcher and a job.
func TestTheReadmeLeadsToTheFirstJob(t *testing.T) {
	t.Parallel()
	text := guide(t, "README.md")
	s := readSetup(t, text, "9")
	_, address := fastCluster(t, s)
	github, api := fastGitHub(t, gh.Options{})

	id := s.tokens[0]
	file := envFile(t, text, map[string]string{
		"https://pve1:8006": address, "its secret": secretOf(id), "step 5": github.Info().Token,
	})
	run := func(want []int, args ...string) string {
		t.Helper()
		log := &journal{}
		code := cli.Main(t.Context(), args, strings.NewReader(""), log, log, []string{"GITHUB_API_URL=" + api, "HOME=" + t.TempDir()})
		for _, w := range want {
			if code == w {
				return log.String()
			}
		}
		t.Errorf("mayfly %s: exit code %d, want one of %v\n%s", strings.Join(args, " "), code, want, log)
		return log.String()
	}
	static := staticProgram(t)
	tried := 0
	for _, call := range mayflyCommands(text) {
		w := words(call)[1:]
		if !strings.Contains(call, "--env-file dispatcher/dispatcher.env") || w[0] == "run" || w[0] == "bootstrap" && !strings.Contains(call, "--dry-run") {
			continue
		}
		tried++
		for i := range w {
			w[i] = strings.ReplaceAll(w[i], "dispatcher/dispatcher.env", file)
		}
		if w[0] == "bootstrap" { // this program is a test
			w = append(w, "--program", static)
		}
		run([]int{cli.ExitOK, cli.ExitWarning}, w...)
	}
	if tried < 3 {
		t.Errorf("tried %d commands, want config check, check and bootstrap --dry-run", tried)
	}

	d := start(t, []string{"GITHUB_API_URL=" + api, "POLL_INTERVAL=1"}, "--env-file", file)
	_, job, _ := strings.Cut(text, "`runs-on: [")
	job, _, _ = strings.Cut(job, "]`")
	added := github.AddJobs(gh.JobSpec{Labels: strings.Split(job, ", ")})[0]
	wait(t, "the job of step 8 ends", func() bool { return jobOf(github, added).Conclusion == "success" })
	if code := d.stop(); code != cli.ExitOK {
		t.Errorf("mayfly run: exit code %d\n%s", code, d.log)
	}
}

// envFile fills in the example as the README's table says; what it says in words is given.
func envFile(t *testing.T, readme string, given map[string]string) string {
	t.Helper()
	text := guide(t, "dispatcher/dispatcher.env.example")
	filled := 0
	for _, m := range settingRow.FindAllStringSubmatch(readme, -1) {
		names, values := quoteForm.FindAllStringSubmatch(m[1], -1), strings.Split(m[2], ", ")
		for i, name := range names {
			if i >= len(values) || len(names) != len(values) {
				break // words about a default
			}
			value := strings.Trim(strings.TrimSpace(values[i]), "`")
			if quote := quoteForm.FindStringSubmatch(values[i]); quote != nil {
				value = quote[1]
			}
			if g, ok := given[value]; ok {
				value = g
			} else if strings.Contains(value, " ") {
				break
			}
			line := regexp.MustCompile(`(?m)^(?:export )?` + name[1] + `=.*$`)
			if !line.MatchString(text) {
				t.Errorf("the example has no line for %s", name[1])
			}
			text = line.ReplaceAllLiteralString(text, "export "+name[1]+"="+value)
			filled++
		}
	}
	if filled < 5 {
		t.Errorf("filled in %d values, want 5 at least", filled)
	}
	path := filepath.Join(t.TempDir(), "dispatcher.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// staticProgram builds what may go into a container in the place of the program.
func staticProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "mayfly")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return program
}

// TestMakeBuildsAProgramForContainers holds what the README takes for granted: bin/mayfly needs no shared libraries.
func TestMakeBuildsAProgramForContainers(t *testing.T) {
	if !regexp.MustCompile(`(?m)^\tCGO_ENABLED=0 go build .* -o bin/mayfly `).MatchString(guide(t, "Makefile")) {
		t.Error("make build may link the program against shared libraries, which a container need not have")
	}
}
