package secrets

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/test/process"
)

// plant is a secret in one of its forms, as it might lie somewhere. Each has a secret of its own, so that it is found for
// itself alone.
type plant struct {
	form    string
	text    string
	needles []needle
}

// plants are a token's and a JIT configuration's forms.
func plants(t *testing.T) []plant {
	t.Helper()
	var all []plant
	add := func(form string, needles func(name string) []needle, text string) {
		all = append(all, plant{form, text, needles("planted: " + form)})
	}
	for form, written := range map[string]func(string) string{
		"token":                          func(s string) string { return s },
		"token in base64":                func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"token amid base64":              func(s string) string { return base64.URLEncoding.EncodeToString([]byte("user:" + s + "\n")) },
		"token, URL-encoded":             url.QueryEscape,
		"token, every byte URL-encoded":  func(s string) string { return "%" + strings.Join(pairs(hex.EncodeToString([]byte(s))), "%") },
		"token in hex":                   func(s string) string { return hex.EncodeToString([]byte(s)) },
		"token, cut off":                 func(s string) string { return s[:len(s)-4] },
		"token in quotes within quotes":  func(s string) string { return fmt.Sprintf("%q", fmt.Sprintf("a %q", s)) },
		"token in an address of its own": func(s string) string { return "https://x:" + url.PathEscape(s) + "@example.org/" },
	} {
		secret := "pl&nt+/=" + random(16)
		add(form, func(name string) []needle { return token(name, secret) }, written(secret))
	}
	for form, part := range map[string]func(encoded string, files map[string]string) string{
		"JIT configuration":                func(e string, _ map[string]string) string { return e },
		"JIT configuration, URL-encoded":   func(e string, _ map[string]string) string { return url.QueryEscape(e) },
		"JIT configuration in base64":      func(e string, _ map[string]string) string { return base64.StdEncoding.EncodeToString([]byte(e)) },
		"JIT configuration, cut off":       func(e string, _ map[string]string) string { return e[len(e)/2:] },
		"JIT configuration, decoded":       func(e string, _ map[string]string) string { return plain(t, e) },
		".runner":                          func(_ string, f map[string]string) string { return plain(t, f[".runner"]) },
		".credentials":                     func(_ string, f map[string]string) string { return plain(t, f[".credentials"]) },
		".credentials_rsaparams":           func(_ string, f map[string]string) string { return plain(t, f[".credentials_rsaparams"]) },
		".credentials_rsaparams in base64": func(_ string, f map[string]string) string { return f[".credentials_rsaparams"] },
		"inner token":                      func(_ string, f map[string]string) string { return field(t, f[".credentials"], "data", "token") },
		"RSA number":                       func(_ string, f map[string]string) string { return field(t, f[".credentials_rsaparams"], "d") },
		"RSA number in hex": func(_ string, f map[string]string) string {
			return hex.EncodeToString([]byte(plain(t, field(t, f[".credentials_rsaparams"], "d"))))
		},
	} {
		encoded, files := jitConfiguration(t)
		add(form, func(name string) []needle { return identity(t, name, encoded) }, part(encoded, files))
	}
	slices.SortFunc(all, func(a, b plant) int { return strings.Compare(a.form, b.form) })
	return all
}

func TestASecretThatIsPlantedAnywhereIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	l := newLife(t, 112, "text", "")
	l.planted = true
	all := plants(t)
	var needles []needle
	var texts []string
	owner := map[string]string{} // the form that a needle belongs to
	for _, p := range all {
		needles = append(needles, p.needles...)
		texts = append(texts, p.text)
		for _, n := range p.needles {
			owner[n.text] = p.form
		}
	}
	l.plantInProcesses(texts)
	l.plantInProxmox(texts)
	l.plantInFiles(texts)
	l.plantInHealth(texts)
	l.configs(l.standIns)
	l.tasks(l.standIns)
	l.requests(l.standIns)

	found := map[string]bool{}
	for _, k := range search(l.all(), needles) {
		found[k.place+owner[k.needle.text]] = true
	}
	places := append([]string{placeErrors, placePanic}, everywhere()...)
	var table strings.Builder
	for _, p := range all {
		var row strings.Builder
		for _, place := range places {
			mark := "found"
			if !found[place+p.form] {
				mark = "MISSED"
				t.Errorf("%s in %s is not found", p.form, place)
			}
			fmt.Fprintf(&row, " %-6s", mark)
		}
		fmt.Fprintf(&table, "%-34s%s\n", p.form, row.String())
	}
	t.Logf("planted in: %s\n%s", strings.Join(places, "; "), table.String())
}

// plantInProcesses has programs say secrets, have them in their arguments and in their environment, and die of them.
func (l *life) plantInProcesses(texts []string) {
	l.t.Helper()
	env := process.Environment(childRole + "=" + roleWait)
	for i, text := range texts {
		env = append(env, fmt.Sprintf("PLANTED_%d=%s", i, text))
		// The program's own words about what it was given wrongly.
		p := launch(l.t, l.dir, "", process.Environment(childRole+"="), process.Program(), "run", "--log-level", text)
		_ = p.Wait()
		l.add(placeErrors, "mayfly run --log-level", p.out.String())
	}
	said := launch(l.t, l.dir, strings.Join(texts, "\n"), process.Environment(), "sh", "-c", "cat >&2")
	_ = said.Wait()
	l.add(placeLog, "said", said.out.String())
	died := launch(l.t, l.dir, "", process.Environment(childRole+"="+rolePanic), os.Args[0], texts...)
	_ = died.Wait()
	l.add(placePanic, "died", died.out.String())

	withArguments := launch(l.t, l.dir, "", process.Environment(childRole+"="+roleWait), os.Args[0], texts...)
	withEnvironment := launch(l.t, l.dir, "", env, os.Args[0])
	l.processes(0)
	withArguments.End(syscall.SIGKILL)
	withEnvironment.End(syscall.SIGKILL)
}

// plantInProxmox has the administrator write secrets into a VM's notes, asks for addresses with secrets, and lets tasks fail
// with secrets in their message.
func (l *life) plantInProxmox(texts []string) {
	l.t.Helper()
	auth := "PVEAPIToken=" + l.pve.AdminTokenID + "=" + l.pve.AdminTokenSecret
	vm := fmt.Sprintf("/nodes/%s/qemu/%d", l.pve.Node, plantedVM)
	for i, text := range texts {
		l.call(http.MethodPut, "https://"+l.toPVE.address()+"/api2/json"+vm+"/config", auth, map[string]any{"description": text}, nil)
		l.configs(l.standIns)
		l.knock(l.pve.URL + "/api2/json/version?x=" + url.QueryEscape(text))
		l.fault(l.pve.URL, map[string]any{"fault": "fail", "reason": text}, map[string]any{"task": "qmstart"})
		l.admin(http.MethodPost, vm+"/status/start", map[string]any{}, nil)
		for deadline := time.Now().Add(patience); l.finished("qmstart") <= i; time.Sleep(glance / 10) {
			if time.Now().After(deadline) {
				l.t.Fatal("a task doesn't end")
			}
		}
	}
}

// knock asks for an address and doesn't care for the answer.
func (l *life) knock(address string) {
	l.t.Helper()
	resp, err := l.web.Get(address)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// plantedVM is a VM of somebody else's that doesn't run.
const plantedVM = 222

// finished counts the tasks of a kind that have ended.
func (l *life) finished(kind string) int {
	n := 0
	for _, task := range l.proxmoxState().Tasks {
		if task.Type == kind && task.EndedAt != nil {
			n++
		}
	}
	return n
}

// plantInFiles leaves files.
func (l *life) plantInFiles(texts []string) {
	l.t.Helper()
	for i, text := range texts {
		dir := filepath.Join(l.dir, []string{"home", "work", "tmp"}[i%3], ".cache")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	l.files(l.t, l.dir)
}

// plantInHealth has pages show secrets.
func (l *life) plantInHealth(texts []string) {
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(texts)
	}))
	defer pages.Close()
	l.health(pages.Client(), pages.URL)
}

// jitConfiguration is one in GitHub's form that no server ever made, and its files.
func jitConfiguration(t *testing.T) (encoded string, files map[string]string) {
	t.Helper()
	number := func() string { return base64.StdEncoding.EncodeToString([]byte(random(24))) }
	file := func(v any) string { return base64.StdEncoding.EncodeToString([]byte(encode(t, v))) }
	files = map[string]string{
		".runner": file(map[string]any{"AgentId": 7, "AgentName": "planted-" + random(8), "ServerUrlV2": "https://example.org/"}),
		".credentials": file(map[string]any{
			"scheme": "OAuth", "data": map[string]string{"clientId": random(16), "authorizationUrl": "https://example.org/token", "token": random(24)},
		}),
		".credentials_rsaparams": file(map[string]string{"d": number(), "modulus": number(), "p": number(), "q": number(), "exponent": "AQAB"}),
	}
	return base64.StdEncoding.EncodeToString([]byte(encode(t, files))), files
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func plain(t *testing.T, encoded string) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// field is a value in a file of JSON in base64.
func field(t *testing.T, file string, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(plain(t, file)), &v); err != nil {
		t.Fatal(err)
	}
	for _, key := range path {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	text, _ := v.(string)
	if text == "" {
		t.Fatalf("no %q in the file", path)
	}
	return text
}

// random is a text of so many random bytes in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// pairs cuts a text into pairs.
func pairs(s string) []string {
	var out []string
	for i := 0; i+2 <= len(s); i += 2 {
		out = append(out, s[i:i+2])
	}
	return out
}
