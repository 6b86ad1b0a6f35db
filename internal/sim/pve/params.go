package pve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are a call's parameters: a string, json.Number, bool, nil, []any or map[string]any for each name. After
// verification scalars are strings or numbers; nil is a null, which counts as not given.
type params map[string]any

// has reports whether the parameter was given.
func (p params) has(k string) bool { return p[k] != nil }

// str returns the parameter's text, "" when it wasn't given.
func (p params) str(k string) string {
	if p[k] == nil {
		return ""
	}
	return scalar(p[k])
}

// num returns a verified integer parameter, or def.
func (p params) num(k string, def int) int {
	if !p.has(k) {
		return def
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(p.str(k), "+")))
	if err != nil {
		return def // beyond an int; the schema's limits refuse it first where it matters
	}
	return n
}

// yes returns a verified boolean parameter, false when it wasn't given.
func (p params) yes(k string) bool { return p.str(k) == "1" }

// list returns an array parameter's texts.
func (p params) list(k string) []string {
	items, _ := p[k].([]any)
	out := make([]string, len(items))
	for i, v := range items {
		out[i] = scalar(v)
	}
	return out
}

// addForm adds a form's or a query's fields; a repeated name makes an array.
func (p params) addForm(values url.Values) {
	for k, vs := range values {
		if len(vs) == 1 {
			p[k] = vs[0]
			continue
		}
		list := make([]any, len(vs))
		for i, v := range vs {
			list[i] = v
		}
		p[k] = list
	}
}

// decodeForm reads an application/x-www-form-urlencoded text. Proxmox takes what it gets: broken escapes stay as they
// are.
func decodeForm(text string) url.Values {
	values := url.Values{}
	for _, pair := range strings.FieldsFunc(text, func(r rune) bool { return r == '&' || r == ';' }) {
		k, v, _ := strings.Cut(pair, "=")
		k, v = unescape(k), unescape(v)
		values[k] = append(values[k], v)
	}
	return values
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// addJSON adds a JSON body's fields.
func (p params) addJSON(body []byte) *apiError {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var fields map[string]any
	err := dec.Decode(&fields)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = fmt.Errorf("garbage after JSON object")
		}
	}
	if err != nil || !utf8.Valid(body) {
		return &apiError{status: 500, text: true, msg: fmt.Sprintf("malformed JSON string, neither tag, array, object, number, string or atom, "+
			"at character offset %d (before \"(end of string)\") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.", dec.InputOffset())}
	}
	for k, v := range fields {
		p[k] = v
	}
	return nil
}
