package contract_test

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// value is a parameter's value and what Proxmox has to say of it.
type value struct {
	text string
	says string // "" for nothing
}

// values draws values of a parameter, of which about half are right; ok is false when its format isn't read here.
func values(p property) (g *rapid.Generator[value], ok bool) {
	if keys := p.keys(); keys != nil {
		return propertyStrings(keys)
	}
	right := rightTexts(p)
	if right == nil {
		return nil, false
	}
	return rapid.Custom(func(t *rapid.T) value {
		v := rapid.OneOf(right, right, wildTexts(p)).Draw(t, "text")
		says, _ := p.judge(v)
		return value{v, says}
	}), true
}

// rightTexts draws values in the form that the schema wants, if not always within its limits.
func rightTexts(p property) *rapid.Generator[string] {
	form, list := p.form()
	switch {
	case p.format() != "" && form == nil:
		return nil
	case len(p.Enum) > 0:
		return rapid.SampledFrom(p.Enum)
	case p.Pattern != "":
		return rapid.StringMatching(perl(p.Pattern))
	case form != nil:
		one := rapid.StringMatching(form.String())
		if !list {
			return one
		}
		return rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(one, 1, 3).Draw(t, "elements"), rapid.SampledFrom([]string{",", ";", " "}).Draw(t, "between"))
		})
	}
	switch p.Type {
	case "boolean":
		return rapid.SampledFrom([]string{"0", "1"})
	case "integer", "number":
		least, most := int64(-1000), int64(1_000_000)
		if n := limit(p.Minimum); n != nil {
			least = whole(n)
		}
		if n := limit(p.Maximum); n != nil {
			most = whole(n)
		}
		return rapid.Map(rapid.Int64Range(least, max(least, most)), func(n int64) string { return big.NewInt(n).String() })
	}
	return rapid.StringMatching(`[!-~]([ -~äß→]{0,10}[!-~])?`)
}

func whole(n *big.Rat) int64 { return new(big.Int).Quo(n.Num(), n.Denom()).Int64() }

// wildTexts draws values that are wrong for most parameters, among them those just outside of the limits.
func wildTexts(p property) *rapid.Generator[string] {
	edges := []string{"true", "yes", "off", "1.5", "-1", "+7", "2", "0x10", "1e3", "nosuch", "a b", "ümlaut", "99999999999999999999", "."}
	one := big.NewInt(1)
	for _, raw := range [][]byte{p.Minimum, p.Maximum} {
		if n := limit(raw); n != nil && n.IsInt() {
			edges = append(edges, new(big.Int).Sub(n.Num(), one).String(), n.Num().String(), new(big.Int).Add(n.Num(), one).String())
		}
	}
	if p.MaxLength > 0 {
		edges = append(edges, strings.Repeat("a", p.MaxLength), strings.Repeat("a", p.MaxLength+1), strings.Repeat("ä", p.MaxLength))
	}
	for _, e := range p.Enum {
		edges = append(edges, strings.ToUpper(e), e+"x")
	}
	return rapid.OneOf(rapid.SampledFrom(edges), rapid.StringMatching(`[!-~]{1,12}`))
}

// propertyStrings draws "key=value,key=value" with any of the keys, with wrong values and unknown keys among them.
func propertyStrings(keys map[string]property) (*rapid.Generator[value], bool) {
	names := slices.Sorted(maps.Keys(keys))
	var drawn, needed []string
	for _, k := range names {
		p := keys[k]
		if p.Alias != "" || p.KeyAlias != "" {
			continue // another name of a key that is drawn itself
		}
		if rightTexts(p) != nil && p.keys() == nil && p.Requires == "" {
			drawn = append(drawn, k)
		} else if !p.optional() {
			return nil, false
		}
		if !p.optional() {
			needed = append(needed, k)
		}
	}
	if len(drawn) == 0 {
		return nil, false
	}
	return rapid.Custom(func(t *rapid.T) value {
		with := map[string]bool{}
		for _, k := range needed {
			with[k] = rapid.IntRange(0, 9).Draw(t, "leave out "+k) > 0
		}
		for _, k := range rapid.SliceOfN(rapid.SampledFrom(drawn), 1, 4).Draw(t, "keys") {
			with[k] = true
		}
		says := ""
		var parts []string
		for _, k := range drawn {
			p := keys[k]
			if !with[k] {
				if !p.optional() {
					says = wrongFormat
				}
				continue
			}
			text := rapid.OneOf(rightTexts(p), rightTexts(p), rightTexts(p), wildTexts(p)).Filter(func(s string) bool {
				return s != "" && !strings.ContainsAny(s, ",=; ")
			}).Draw(t, k)
			if ok, _ := p.judgeKey(text); !ok {
				says = wrongFormat
			}
			parts = append(parts, k+"="+text)
		}
		if rapid.IntRange(0, 9).Draw(t, "unknown key") == 0 {
			parts, says = append(parts, "nosuchkey=1"), wrongFormat
		}
		return value{strings.Join(parts, ","), says}
	}).Filter(func(v value) bool { return v.text != "" }), true
}
