package bootstrap_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
)

func TestSecretsComeBackWithBothHalvesOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(rapid.StringN(1, 20, -1), rapid.StringN(9, 100, -1), 1, 4).Draw(t, "secrets")
		secrets := map[string]runner.Secret{}
		for name, s := range want {
			secrets[name] = runner.NewSecret(s)
		}
		sealed, key, err := bootstrap.Seal(secrets)
		if err != nil {
			t.Fatal(err)
		}
		_, other, err := bootstrap.Seal(secrets)
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range want {
			if bytes.Contains(sealed, []byte(s)) || strings.Contains(key.Reveal(), s) {
				t.Errorf("%q shows in one half", name)
			}
		}
		got, err := bootstrap.Open(sealed, key)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%v, %v", got, err)
		}
		for name, s := range want {
			if got[name].Reveal() != s {
				t.Errorf("%q came back as %q", s, got[name].Reveal())
			}
		}
		for what, wrong := range map[string]runner.Secret{"another key": other, "no key": {}, "nonsense": runner.NewSecret("AGE-SECRET-KEY-1XYZ")} {
			if got, err := bootstrap.Open(sealed, wrong); err == nil || strings.Contains(err.Error(), "XYZ") {
				t.Errorf("%s: %v, %v", what, got, err)
			}
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		broken := bytes.Clone(sealed)
		broken[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := bootstrap.Open(broken, key); err == nil {
			t.Errorf("with a bit flipped at %d: %v", at, got)
		}
		if got, err := bootstrap.Open(sealed[:at], key); err == nil {
			t.Errorf("cut at %d: %v", at, got)
		}
	})
}

func TestKeyTravelsInALineThatIsAValidPublicKeyAndIsTakenOut(t *testing.T) {
	_, key, err := bootstrap.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bootstrap.CarrierLine(key)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(line.Reveal())
	if len(fields) != 3 || fields[0] != "ssh-ed25519" {
		t.Fatalf("%d fields", len(fields))
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || string(blob[:19]) != "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" || len(blob) != 19+ed25519.PublicKeySize {
		t.Errorf("blob %q, %v", blob, err)
	}
	if s := fmt.Sprintf("%v %+v %#v", line, line, line); strings.Contains(s, key.Reveal()) {
		t.Error("the line shows its key when it is printed")
	}
	const theirs = "ssh-ed25519 AAAA someone@example\n# a remark\n"
	got, rest, ok := bootstrap.TakeKey([]byte(theirs + line.Reveal() + "\nssh-rsa BBBB\n"))
	if !ok || got.Reveal() != key.Reveal() || string(rest) != theirs+"ssh-rsa BBBB\n" {
		t.Errorf("%v, %q left", ok, rest)
	}
	if _, rest, ok := bootstrap.TakeKey([]byte(theirs)); ok || string(rest) != theirs {
		t.Errorf("without one: %v, %q left", ok, rest)
	}
}
