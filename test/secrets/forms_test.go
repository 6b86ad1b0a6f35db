package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// needle is one form of a secret.
type needle struct {
	secret string // whose: "GitHub token", "JIT configuration of r-1: .credentials"
	form   string
	text   string
}

const (
	// shortest is how long a needle is at least; shorter ones would be found by chance.
	shortest = 12
	// part is how long the parts are by which a secret is searched for, too: a text that was cut off holds some of them.
	part = 20
	// step is from one part to the next.
	step = part / 2
)

// forms are the ways in which a secret may be written.
func forms(name, secret string) []needle {
	var all []needle
	add := func(form, text string) {
		if len(text) >= shortest {
			all = append(all, needle{name, form, text})
		}
	}
	add("raw", secret)
	if u := url.QueryEscape(secret); u != secret {
		add("URL-encoded", u)
	}
	if u := url.PathEscape(secret); u != secret && u != url.QueryEscape(secret) {
		add("URL-encoded", u)
	}
	var every strings.Builder
	for i := range len(secret) {
		fmt.Fprintf(&every, "%%%02X", secret[i])
	}
	add("URL-encoded, every byte", every.String())
	add("hex", hex.EncodeToString([]byte(secret)))
	add("hex", strings.ToUpper(hex.EncodeToString([]byte(secret))))
	for before := range 3 { // bytes of a group that something else fills
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			add("base64", inside(enc, secret, before))
		}
	}
	return all
}

// inside is the base64 of a secret that so many bytes precede, as far as it depends on the secret alone.
func inside(enc *base64.Encoding, secret string, before int) string {
	text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
	from := []int{0, 2, 3}[before]
	to := len(text)
	if (before+len(secret))%3 != 0 {
		to-- // its last letter depends on what follows
	}
	return text[from:max(from, to)]
}

// parts are what a text that was cut off would still hold of a secret.
func parts(name, secret string) []needle {
	var all []needle
	for from := 0; from+part <= len(secret); from += step {
		all = append(all, needle{name, fmt.Sprintf("bytes %d to %d", from, from+part), secret[from : from+part]})
	}
	return all
}

// token is what is searched for of a token.
func token(name, secret string) []needle { return append(forms(name, secret), parts(name, secret)...) }

// sameHead is how many letters all JIT configurations begin with: the base64 of {".credentials":"
const sameHead = 24

// identity is what is searched for of a JIT configuration: itself, and everything that is in it. It is taken apart here, by
// what is known of GitHub's format, and not by the stand-in's own code.
func identity(t *testing.T, name, encoded string) []needle {
	t.Helper()
	all := append(forms(name, encoded), parts(name, encoded[min(sameHead, len(encoded)):])...)
	outer, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	all = append(all, forms(name+", decoded", string(outer))...)
	var files map[string]string
	if err := json.Unmarshal(outer, &files); err != nil || len(files) < 3 {
		t.Fatalf("%s: %d files, %v", name, len(files), err)
	}
	for file, content := range files {
		text, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, file, err)
		}
		all = append(all, forms(name+": "+file, string(text))...)
		all = append(all, forms(name+": "+file+" in base64", content)...)
		var values any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatalf("%s: %s: %v", name, file, err)
		}
		if file != ".runner" { // names and addresses, which logs may tell
			all = append(all, leaves(name+": "+file, values)...)
		}
	}
	return all
}

// leaves are the values in a credentials file that are secret: the inner token, the client's id, the numbers of the key.
func leaves(name string, v any) []needle {
	var all []needle
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if key != "scheme" && key != "authorizationUrl" && key != "exponent" { // the same for everybody
				all = append(all, leaves(name+", "+key, value)...)
			}
		}
	case string:
		all = append(all, token(name, v)...)
		if raw, err := base64.StdEncoding.DecodeString(v); err == nil {
			all = append(all, forms(name+", the number itself", string(raw))...)
		}
	}
	return all
}
