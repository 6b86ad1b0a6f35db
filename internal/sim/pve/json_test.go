package pve

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestRepliesAreWrittenAsEncodingJSONDoes compares the stand-in's own writer with the standard one.
func TestRepliesAreWrittenAsEncodingJSONDoes(t *testing.T) {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Int64().AsAny(), rapid.Bool().AsAny(),
		rapid.Float64Range(-1e20, 1e20).AsAny(), rapid.SliceOf(rapid.String()).AsAny(), rapid.MapOf(rapid.String(), rapid.Int()).AsAny(),
		rapid.Just[any]([]any(nil)), rapid.Just[any](map[string]any(nil)), rapid.SampledFrom([]any{"<a&b>", "\u2028", "\xff", "\x7f", `"`, `\`}),
	)
	value := rapid.OneOf(leaf, rapid.SliceOf(leaf).AsAny(), rapid.MapOf(rapid.String(), rapid.OneOf(leaf, rapid.MapOf(rapid.String(), leaf).AsAny())).AsAny())
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "value")
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got := encodeJSON(v); string(got) != string(bytes.TrimSuffix(want.Bytes(), []byte("\n"))) {
			t.Errorf("%q, want %q", got, want.String())
		}
	})
	if got := string(encodeJSON(map[string]any{"data": make(chan int)})); got == "" || got[0] != '{' || !json.Valid([]byte(got)) {
		t.Errorf("%q for what is no JSON", got)
	}
}
