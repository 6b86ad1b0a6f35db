package gh

import (
	"encoding/json"
	"net/http"
	"slices"
)

// reshape changes a list reply. "partial_list" drops every second item, "empty_list" all: GitHub's lists have been seen to
// miss what is there. "double_list" has each item twice, "reverse_list" has them in the opposite order. The count and the
// links go along, so that nothing shows it.
func reshape(rep reply, how string) reply {
	var body map[string]json.RawMessage
	if rep.status != http.StatusOK || json.Unmarshal(rep.body, &body) != nil {
		return rep
	}
	for key, raw := range body {
		var items []json.RawMessage
		if body["total_count"] == nil || json.Unmarshal(raw, &items) != nil || items == nil {
			continue // null is no list either
		}
		kept := []json.RawMessage{}
		for i, item := range items {
			switch {
			case how == "double_list":
				kept = append(kept, item, item)
			case how == "reverse_list" || how == "partial_list" && i%2 == 0:
				kept = append(kept, item)
			}
		}
		if how == "reverse_list" {
			slices.Reverse(kept)
		}
		out := answer(rep.status, map[string]any{"total_count": len(kept), key: kept})
		rep.body = out.body
		rep.header.Del("Link")
		rep.header.Del("ETag")
		return rep
	}
	return rep
}
