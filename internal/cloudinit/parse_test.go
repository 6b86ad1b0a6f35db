package cloudinit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
	"mayfly/runners"
)

// jitFile is the least cloud-config that has an identity; tests put more after it.
const jitFile = "#cloud-config\nwrite_files:\n  - {path: /run/id, content: \"${jit_config}\"}\n"

func TestShippedTemplateTakesEitherIdentityAndHasNoWarnings(t *testing.T) {
	tmpl, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.Needs() != cloudinit.NeedsEither {
		t.Errorf("needs %s", tmpl.Needs())
	}
	if w := tmpl.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
}

func TestTemplateTellsWhichIdentityItNeeds(t *testing.T) {
	for text, want := range map[string]cloudinit.Needs{
		jitFile: cloudinit.NeedsJITConfig,
		"#cloud-config\nruncmd: [[x, '${registration_token}']]\n":                             cloudinit.NeedsRegistrationToken,
		"#cloud-config\nruncmd: [[x, '${registration_token}', '${jit_config}']]\n":            cloudinit.NeedsEither,
		"#!/bin/sh\nexec x ${registration_token}\n":                                           cloudinit.NeedsRegistrationToken,
		jitFile + "# ${registration_token} would stand here\n":                                cloudinit.NeedsJITConfig,
		jitFile + "final_message: ready # not ${registration_token}\n":                        cloudinit.NeedsJITConfig,
		"#cloud-config\nx: &id ${jit_config}\nwrite_files: [{path: /run/id, content: *id}]\n": cloudinit.NeedsJITConfig,
	} {
		tmpl, err := cloudinit.Parse("t", text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if tmpl.Needs() != want {
			t.Errorf("%q needs %s, want %s", text, tmpl.Needs(), want)
		}
	}
}

func TestBadTemplatesAreRefusedWithTheirLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown placeholder", jitFile + "hostname: ${runner_nam}\n", "line 4: unknown placeholder ${runner_nam}; want ${runner_name}, ${runner_user}"},
		{"shell variable", jitFile + "runcmd:\n  - echo ${HOME:-/root}\n", "line 5: unknown placeholder ${HOME:-/root}; want "},
		{"shell variable, how to write it", jitFile + "runcmd:\n  - echo ${HOME}\n", "or write $${HOME} for the plain text"},
		{"unknown placeholder in a comment", jitFile + "# ${nothing}\n", "line 4: unknown placeholder ${nothing}"},
		{"no end", jitFile + "runcmd:\n  - 'echo ${runner_name'\n", "line 5: ${ without its }"},
		{"directive", jitFile + "runcmd:\n  - curl -w '%{http_code}' x\n", "line 5: %{ begins a directive"},
		{"placeholder as key", jitFile + "${runner_user}: 1\n", "line 4: ${runner_user} is a key"},
		{"placeholder as anchor", jitFile + "fqdn: &${runner_name} x\n", "line 4: ${runner_name} stands where no value can be"},
		{"placeholder with a tag", jitFile + "random_seed: {data: !!binary \"${runner_name}\"}\n", "line 4: ${runner_name} has the tag !!binary"},
		{"alias of nothing", jitFile + "final_message: *done\n", "line 4: the alias *done has no anchor &done"},
		{"alias before its anchor", jitFile + "x: *a\ny: &a 1\n", "line 4: the alias *a has no anchor"},
		{"tag of one's own", jitFile + "final_message: !done x\n", "line 4: cloud-init knows no tag !done"},
		{"no identity", "#cloud-config\nhostname: ${runner_name}\n", "takes no identity"},
		{"identity in a comment alone", "#cloud-config\n# ${jit_config}\nhostname: x\n", "takes no identity"},
		{"not YAML", jitFile + "runcmd: [\n", "line 4: not YAML: "},
		{"not YAML around a placeholder", jitFile + "hostname: \"${runner_name}\" x\n", "line 4: "},
		{"duplicate key", jitFile + "hostname: a\nhostname: b\n", "line 5: "},
		{"two documents", jitFile + "---\na: b\n", "a second document"},
		{"list", "#cloud-config\n- a\n", "line 2: is a list; want a mapping"},
		{"string", "#cloud-config\njust words ${jit_config}\n", "line 2: is a string; want a mapping"},
		{"empty", "#cloud-config\n", "has no content"},
		{"misspelt key", jitFile + "run_cmd:\n  - x\n", "line 4: cloud-init knows no key run_cmd; want runcmd?"},
		{"dashes", jitFile + "write-files: []\n", "line 4: cloud-init knows no key write-files; want write_files?"},
		{"runcmd text", jitFile + "runcmd: reboot\n", "line 4: runcmd is a string; want a list"},
		{"runcmd nothing", jitFile + "runcmd:\n", "line 4: runcmd is nothing; want a list"},
		{"runcmd with a colon", jitFile + "runcmd:\n  - echo a\n  - echo a: b\n", "line 6: runcmd[1] is a mapping"},
		{"runcmd number", jitFile + "runcmd: [5]\n", "line 4: runcmd[0] is the number"},
		{"runcmd too deep", jitFile + "runcmd: [[a, [b]]]\n", "line 4: runcmd[0][1] is a list; want a string"},
		{"write_files mapping", "#cloud-config\nwrite_files: {path: /run/x, content: '${jit_config}'}\n", "line 2: write_files is a mapping; want a list"},
		{"write_files without path", "#cloud-config\nwrite_files: [{content: '${jit_config}'}]\n", "line 2: write_files[0] has no path:"},
		{"mode as a number", "#cloud-config\nwrite_files:\n  - path: /run/x\n    permissions: 0600\n    content: '${jit_config}'\n", "line 4: write_files[0].permissions is the number"},
		{"users without name", jitFile + "users:\n  - {shell: /bin/sh}\n", "line 5: users[0] has no name:"},
		{"users number", jitFile + "users: 5\n", "line 4: users is the number"},
		{"packages mapping", jitFile + "packages: {git: 1}\n", "line 4: packages is a mapping; want a list or a string"},
		{"hostname list", jitFile + "hostname: [a]\n", "line 4: hostname is a list; want a string"},
		{"too deep", jitFile + "x: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "nested deeper"},
		{"control character", jitFile + "# \x07\n", "line 4: holds the character U+0007"},
		{"not UTF-8", jitFile + "# \xff\n", "not UTF-8"},
		{"too big", jitFile + strings.Repeat("#", 300_000), "bytes; want at most"},
		{"MIME by accident", jitFile + "# Mime-Version: 1\n", "takes it for a MIME message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := cloudinit.Parse("my.yaml", c.text)
			if err == nil {
				t.Fatalf("taken: %v", tmpl)
			}
			var bad *cloudinit.TemplateError
			if !errors.As(err, &bad) || bad.Name != "my.yaml" || len(bad.Problems) == 0 {
				t.Errorf("%T", err)
			}
			if !strings.Contains(err.Error(), "user-data template my.yaml: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant …%s…", err, c.want)
			}
			if strings.Contains(err.Error(), "mark0x") {
				t.Errorf("shows the inside: %v", err)
			}
		})
	}
}

func TestAllProblemsAreSaidAtOnceInTheOrderOfLines(t *testing.T) {
	_, err := cloudinit.Parse("t", "#cloud-config\nhostname: ${host}\nruncmd: x\nusers: 7\nfoo: ${labels}\n")
	want := []string{"line 2: unknown placeholder ${host}", "line 3: runcmd is", "line 4: users is", "line 5: unknown placeholder ${labels}; want ${runner_labels}"}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%v", err)
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) {
			t.Errorf("problem %d: %s, want …%s…", i, lines[i], w)
		}
	}
}

func TestOnlyWhatCanBeCheckedIsTaken(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "cloud-init won't know what this is",
		"runcmd: []\n":                     "cloud-init won't know what this is",
		"\n#cloud-config\n":                "not at the very start",
		"#Cloud-Config\nx: 1\n":            "not in lower case",
		"\ufeff#cloud-config\n":            "byte order mark",
		"#cloud-config-archive\n- x\n":     "a cloud-config archive",
		"#include\nhttp://x\n":             "addresses to include",
		"#include-once\nhttp://x\n":        "addresses to include",
		"#cloud-boothook\n#!/bin/sh\n":     "a boothook",
		"#part-handler\n":                  "a part handler",
		"## template: jinja\n":             "a Jinja template",
		"Content-Type: multipart/mixed;\n": "a MIME message",
		"MIME-Version: 1.0\n":              "a MIME message",
		"\x1f\x8b\x08":                     "gzip",
		"#!sh\n":                           "want for example #!/bin/sh",
		"#!/bin/sh\r\n":                    `\r\n`,
		"#cloud-config x\na: 1\n":          "#cloud-config alone",
	} {
		_, err := cloudinit.Parse("t", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
}

func TestWhatCloudInitTakesIsTaken(t *testing.T) {
	for _, more := range []string{
		"",
		"packages: [git]\npackage_update: yes\n",
		"packages:\n",
		"users:\n  - default\n  - name: runner\n    sudo: ALL=(ALL) NOPASSWD:ALL\n",
		"users: {name: a}\n",
		"runcmd:\n  - 'echo a: b'\n  - [sh, -c, 'x', 5]\n  -\n  - |\n    many\n    lines\n",
		"my_own_module: {a: 1}\n",
		"defaults: &d {owner: root}\nbootcmd: [[a]]\n",
		"growpart: false\nswap: {filename: /swap, size: 1G}\n",
		"final_message: $${UPTIME} and %%{x} and $UPTIME and $$ and 5%\n",
		"hostname: '${ runner_name }'\n",
		"# a comment, with ${runner_name} in it\n",
		"\r\nhostname: x\r\n",
	} {
		if _, err := cloudinit.Parse("t", jitFile+more); err != nil {
			t.Errorf("%q: %v", more, err)
		}
	}
}

func TestIdentitiesThatManyCanSeeAreWarnedOf(t *testing.T) {
	for text, want := range map[string]string{
		"#cloud-config\nruncmd:\n  - run-once.sh '${repo_url}' '${registration_token}' a b\n":           "line 3: ${registration_token} is in a command",
		"#cloud-config\nruncmd: [[run-once.sh, '${jit_config}']]\n":                                     "line 2: ${jit_config} is in a command",
		"#cloud-config\nwrite_files:\n  - path: /etc/identity\n    content: a ${jit_config}\n":          "line 4: ${jit_config} goes to /etc/identity",
		"#!/bin/sh\nx\nrun-once.sh ${repo_url} ${registration_token} ${runner_labels} ${runner_name}\n": "line 3: the identity is in a script",
	} {
		tmpl, err := cloudinit.Parse("t", text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if w := tmpl.Warnings(); len(w) != 1 || !strings.Contains(w[0].String(), want) {
			t.Errorf("%q: %v, want %s", text, w, want)
		}
	}
}

func TestTemplateNeverPrintsItsText(t *testing.T) {
	tmpl, err := cloudinit.Parse("mine", jitFile+"password: hunter2\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, tmpl); got != "user-data template mine" {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestPoolsAreCheckedBeforeThereIsAnyVM(t *testing.T) {
	command, err := cloudinit.Parse("t", jitFile+"runcmd:\n  - echo '${runner_labels}' ${repo_url}\n")
	if err != nil {
		t.Fatal(err)
	}
	ownString, err := cloudinit.Parse("t", jitFile+"runcmd: [[echo, ${runner_labels}, '${repo_url}']]\n")
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://github.com/NREL/EnergyPlus"
	if err := command.Check(url, "runner", []string{"energyplus", "linux", "x64", "ubuntu-22.04"}); err != nil {
		t.Error(err)
	}
	err = command.Check(url, "runner", []string{"a';reboot;'"})
	if err == nil || !strings.Contains(err.Error(), "line 5: ${runner_labels} is a part of a longer text") {
		t.Errorf("shell code as a label: %v", err)
	}
	if err := ownString.Check(url, "runner", []string{"a';reboot;'", `"\`, "ü"}); err != nil {
		t.Errorf("any label is fine as a string of its own: %v", err)
	}
	for _, bad := range []struct {
		url, user string
		labels    []string
	}{
		{"github.com/a/b", "runner", nil},
		{"https://user:pw@github.com/a/b", "runner", nil},
		{"https://github.com/a/b\nx: y", "runner", nil},
		{url, "root user", nil},
		{url, "", nil},
		{url, "runner", []string{""}},
		{url, "runner", []string{"a,b"}},
		{url, "runner", []string{"a b"}},
		{url, "runner", []string{"a\nb"}},
		{url, "runner", []string{strings.Repeat("x", 257)}},
	} {
		if err := ownString.Check(bad.url, bad.user, bad.labels); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestExactlyTheIdentityThatIsNeededIsTaken(t *testing.T) {
	jit, token := runner.NewSecret("and0and0"), runner.NewSecret("TOKTOKTOK")
	for _, c := range []struct {
		text       string
		jit, token runner.Secret
		ok         bool
	}{
		{jitFile, jit, runner.Secret{}, true},
		{jitFile, runner.Secret{}, token, false},
		{jitFile, jit, token, false},
		{jitFile, runner.Secret{}, runner.Secret{}, false},
		{runners.UserDataTemplate, jit, runner.Secret{}, true},
		{runners.UserDataTemplate, runner.Secret{}, token, true},
		{runners.UserDataTemplate, jit, token, false},
		{runners.UserDataTemplate, runner.Secret{}, runner.Secret{}, false},
		{runners.UserDataTemplate, runner.NewSecret("odd\"secret"), runner.Secret{}, false},
		{runners.UserDataTemplate, runner.Secret{}, runner.NewSecret("odd secret"), false},
	} {
		tmpl, err := cloudinit.Parse("t", c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(cloudinit.Values{RepoURL: "https://github.com/a/b", Name: "ep-0123456789", User: "runner", JITConfig: c.jit, RegistrationToken: c.token})
		if (err == nil) != c.ok || got.IsZero() == c.ok {
			t.Errorf("JIT %q, token %q: %v", c.jit.Reveal(), c.token.Reveal(), err)
		}
		if err != nil && (strings.Contains(err.Error(), "odd") || strings.Contains(err.Error(), "and0") || strings.Contains(err.Error(), "TOK")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
