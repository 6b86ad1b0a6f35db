package runnerproto

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 20, -1)
		want := Config{
			AgentID: rapid.Int64Range(1, 1<<50).Draw(t, "id"), Name: text.Draw(t, "name"), PoolID: 1, PoolName: text.Draw(t, "pool"),
			ServerURL: "http://10.0.2.2:8080/_runner", WorkFolder: text.Draw(t, "work"), Ephemeral: rapid.Bool().Draw(t, "ephemeral"),
			DisableUpdate: rapid.Bool().Draw(t, "update"), ClientID: text.Draw(t, "client"), AuthorizationURL: text.Draw(t, "url"), Token: text.Draw(t, "token"),
			RSA: RSAParameters{D: []byte{1}, DP: []byte{2}, DQ: []byte{3}, Exponent: []byte{1, 0, 1}, InverseQ: []byte{4}, Modulus: []byte{5}, P: []byte{6}, Q: []byte{7}},
		}
		encoded, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(encoded + "\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read back as %#v, %v", got, err)
		}
	})
}

// pack makes an encoded configuration of files.
func pack(t testing.TB, files map[string]string) string {
	t.Helper()
	content := map[string][]byte{}
	for name, file := range files {
		content[name] = []byte(file)
	}
	b, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// github is a configuration as GitHub writes it: strings where its runner writes booleans and numbers, and a byte order
// mark.
func github() map[string]string {
	return map[string]string{
		RunnerFile: "\xef\xbb\xbf" + `{"AgentId":"23","AgentName":"ep-1","PoolId":"1","PoolName":"Default","Ephemeral":"True","DisableUpdate":null,` +
			`"ServerUrlV2":"https://broker.example/","UseV2Flow":"true","WorkFolder":"_work"}`,
		CredentialsFile: `{"scheme":"OAuth","data":{"clientId":"c","authorizationUrl":"https://a.example","token":"secret-0123456789"}}`,
		RSAFile:         `{"d":"AQ==","exponent":"AQAB"}`,
	}
}

func TestDecodeReadsGitHubsSpelling(t *testing.T) {
	c, err := Decode(pack(t, github()))
	if err != nil || c.AgentID != 23 || !c.Ephemeral || c.DisableUpdate || c.ServerURL != "https://broker.example" || c.PoolID != 1 {
		t.Errorf("%#v, %v", c, err)
	}
}

func TestDecodeRefusesWhatIsNoConfigurationWithoutQuotingIt(t *testing.T) {
	broken := map[string]string{"not base64": "secret-0123456789!", "not JSON": base64.StdEncoding.EncodeToString([]byte("secret-0123456789"))}
	for name, change := range map[string]func(map[string]string){
		"no credentials": func(f map[string]string) { delete(f, CredentialsFile) },
		"bad .runner":    func(f map[string]string) { f[RunnerFile] = `secret-0123456789` },
		"no agent":       func(f map[string]string) { f[RunnerFile] = `{"ServerUrlV2":"http://x"}` },
		"no address": func(f map[string]string) {
			f[RunnerFile] = `{"AgentId":1,"AgentName":"a","ServerUrlV2":"ftp://secret-0123456789"}`
		},
		"bad boolean": func(f map[string]string) {
			f[RunnerFile] = `{"AgentId":1,"AgentName":"a","Ephemeral":"secret-0123456789"}`
		},
		"no token": func(f map[string]string) {
			f[CredentialsFile] = `{"scheme":"OAuth","data":{"clientId":"secret-0123456789"}}`
		},
		"other scheme": func(f map[string]string) {
			f[CredentialsFile] = strings.Replace(f[CredentialsFile], "OAuth", "Basic", 1)
		},
	} {
		files := github()
		change(files)
		broken[name] = pack(t, files)
	}
	for name, encoded := range broken {
		c, err := Decode(encoded)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), "decode JIT configuration: ") {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pack(f, github()))
	f.Add("e30=")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Decode(s)
		if err != nil {
			return
		}
		again, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(again); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%#v became %#v, %v", c, back, err)
		}
	})
}

func TestConfigPrintsNoSecret(t *testing.T) {
	c, err := Decode(pack(t, github()))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb, c); s != "runner ep-1 (id 23)" {
			t.Errorf("%s: %s", verb, s)
		}
	}
}

func TestKeyIsWrittenInFullLength(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := NewRSAParameters(key)
	for name, n := range map[string][]byte{"d": p.D, "modulus": p.Modulus} {
		if len(n) != 256 {
			t.Errorf("%s has %d bytes", name, len(n))
		}
	}
	for name, n := range map[string][]byte{"dp": p.DP, "dq": p.DQ, "inverseQ": p.InverseQ, "p": p.P, "q": p.Q} {
		if len(n) != 128 {
			t.Errorf("%s has %d bytes", name, len(n))
		}
	}
	product := new(big.Int).Mul(new(big.Int).SetBytes(p.P), new(big.Int).SetBytes(p.Q))
	if product.Cmp(key.N) != 0 || new(big.Int).SetBytes(p.Exponent).Int64() != int64(key.E) {
		t.Error("the numbers aren't the key's")
	}
}

func TestRefusalsMeanWhatTheirStatusAndTypeSay(t *testing.T) {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c := NewClient(Config{ServerURL: server.URL + "/", Token: "secret"}, nil)
	open := func() error { return c.Open(t.Context(), "host", "1") }
	start := func() error { return c.Start(t.Context(), 7) }
	for _, tc := range []struct {
		call   func() error
		status int
		body   string
		want   error
	}{
		{open, 200, `{"sessionId":"s"}`, nil},
		{open, 404, `{"message":"no such runner"}`, ErrGone},
		{open, 409, `{}`, ErrConflict},
		{open, 401, `{}`, ErrUnauthorized},
		{open, 403, `{}`, ErrUnauthorized},
		{open, 403, `{"typeName":"RunnerVersionDeprecatedException"}`, ErrDeprecated},
		{open, 409, `{"typeName":"X.TaskAgentExistsException"}`, ErrExists},
		{open, 400, `{}`, ErrInvalid},
		{open, 429, `{}`, ErrUnavailable},
		{open, 502, `<html>`, ErrUnavailable},
		{open, 200, `<html>`, ErrUnavailable},
		{start, 200, ``, nil},
		{start, 404, `{}`, ErrLost},
		{start, 409, `{}`, ErrLost},
		{start, 422, `{}`, ErrLost},
		{start, 500, `{}`, ErrUnavailable},
	} {
		status, body = tc.status, tc.body
		if err := tc.call(); !errors.Is(err, tc.want) {
			t.Errorf("%d %s: %v, want %v", tc.status, tc.body, err, tc.want)
		}
	}
}

func TestPollWithoutAMessageIsNoError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("timeout"); got != "50" {
			t.Errorf("timeout %q", got)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	c := NewClient(Config{ServerURL: server.URL}, nil)
	if m, err := c.Message(t.Context(), time.Hour); m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("close without a session: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Message(ctx, 0); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled poll: %v", err)
	}
}

func TestAPIURLOfARunnersTarget(t *testing.T) {
	for target, want := range map[string]string{
		"https://github.com/NREL/EnergyPlus": "https://api.github.com", "http://127.0.0.1:8080/octo-org": "http://127.0.0.1:8080/api/v3",
		"https://ghes.example/o/r/": "https://ghes.example/api/v3", "ghes.example/o/r": "", "https://github.com": "", "ftp://x/o": "",
	} {
		if got, err := APIURL(target); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", target, got, err)
		}
	}
}

func TestKindsReadAsErrors(t *testing.T) {
	for k := ErrGone; k <= ErrUnavailable; k++ {
		if k.Error() == "unknown kind" || !errors.Is(&Error{Kind: k}, k) || errors.Is(&Error{Kind: k}, k+1) {
			t.Errorf("kind %d: %v", k, k)
		}
	}
	e := &Error{Kind: ErrGone, Op: "open session", Status: 404, Message: "not found"}
	if e.Error() != "open session: not found (HTTP 404)" {
		t.Error(e)
	}
}
