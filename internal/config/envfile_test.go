package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEnvFileIsReadAsAShellWould(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		line := "X=" + rapid.StringMatching(`(["'\\ #a-z$=~\x60;!%äß-]|"[a-z #'\\]*"|'[a-z #"\\$]*'){0,8}`).Draw(rt, "value")
		list, faults := parseEnvFile(rapid.SampledFrom([]string{"", "export ", "  export\t", " "}).Draw(rt, "lead") + line + "\n")
		if len(faults) > 0 {
			return // a shell may know what to do with it
		}
		file := filepath.Join(t.TempDir(), "x.env")
		if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
			rt.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", `. "$1" && printf %s "$X"`, "sh", file).Output()
		if err != nil {
			rt.Fatalf("%s: a shell refuses what we read as %+v: %v", line, list, err)
		}
		if len(list) != 1 || list[0].value != string(out) {
			rt.Fatalf("%s: read as %+v, a shell reads %q", line, list, out)
		}
	})
}

func TestEnvFileLines(t *testing.T) {
	text := "\ufeff# comment\r\n\r\nA=1\r\n export  B='two words' # comment\nC=\"a # b \\\" \\$ \\x\"\nD=a'b'\"c\"#d\nE=\n\tF=x\\ y\nexportG=1"
	list, faults := parseEnvFile(text)
	want := []assignment{
		{"A", "1", 3, 1}, {"B", "two words", 4, 10}, {"C", `a # b " $ \x`, 5, 1}, {"D", "abc#d", 6, 1}, {"E", "", 7, 1}, {"F", "x y", 8, 2}, {"exportG", "1", 9, 1},
	}
	if diff := cmp.Diff(want, list, cmp.AllowUnexported(assignment{})); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v (-want +got):\n%s", faults, diff)
	}
}

func TestEnvFileRefusesWhatOnlyAShellCanDo(t *testing.T) {
	for line, wrong := range map[string]string{
		"A=$(date)": "$", `A="$(date)"`: "$", "A=`date`": "backticks", `A="x$B"`: "$", "A=${B}": "$", "A=a b": "more after", "A='a": "not closed", `A="a`: "not closed",
		"A=a;b": "shell", "A=a&": "shell", "A=a|b": "shell", "A=a>b": "shell", `A=a\`: "next line", "A=~/x": "~", "A": "not an assignment", "A =1": "not an assignment", "1A=1": "not an assignment",
		"export": "not an assignment", "if true; then": "not an assignment", "A+=1": "not an assignment",
	} {
		list, faults := parseEnvFile(line)
		if len(faults) != 1 || len(list) != 0 || !strings.Contains(faults[0].wrong, wrong) || faults[0].want == "" {
			t.Errorf("%s: %+v, %+v", line, list, faults)
		}
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("export A=\"b\"\r\n# c\nD='e'\n")
	f.Add("A=$(x)\nB=\\\n=\n'")
	f.Fuzz(func(t *testing.T, text string) {
		list, faults := parseEnvFile(text)
		lines := strings.Count(text, "\n") + 1
		if len(list)+len(faults) > lines {
			t.Errorf("%d lines give %d variables and %d faults", lines, len(list), len(faults))
		}
		for _, a := range list {
			if !envName.MatchString(a.name) || a.line < 1 || a.line > lines || a.column < 1 || strings.Contains(a.value, "\n") {
				t.Errorf("%+v", a)
			}
			// What was read and is written in single quotes comes back.
			if strings.Contains(a.value, "'") || strings.HasSuffix(a.value, "\r") {
				continue
			}
			again, faults := parseEnvFile(a.name + "='" + a.value + "'")
			if len(faults) != 0 || len(again) != 1 || again[0].value != a.value {
				t.Errorf("%q comes back as %+v, %v", a.value, again, faults)
			}
		}
	})
}
