package pve

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// encodeJSON writes JSON as Proxmox does: no line break at the end, no escapes for HTML.
func encodeJSON(v any) []byte {
	b, err := appendJSON(make([]byte, 0, 1024), v)
	if err != nil {
		return []byte(`{"data":null,"message":` + strconv.Quote(err.Error()) + `}`)
	}
	return b
}

// appendJSON appends v, byte for byte as encoding/json writes it. What lists are made of it writes itself, because a look at a
// cluster is mostly that; encoding/json gets the rest.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		if plainText(v) {
			return append(append(append(b, '"'), v...), '"'), nil
		}
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case []any:
		if v == nil {
			break
		}
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		if v == nil {
			break
		}
		var few [32]string // a node's entry has 12 keys, a VM's 20
		b = append(b, '{')
		keys := slices.AppendSeq(few[:0], maps.Keys(v))
		slices.Sort(keys)
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, k); err != nil {
				return nil, err
			}
			if b, err = appendJSON(append(b, ':'), v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	var rest bytes.Buffer
	enc := json.NewEncoder(&rest)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(rest.Bytes(), []byte("\n"))...), nil
}

// plainText reports whether a string needs no escapes.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
