package gh

import (
	"encoding/json"
	"net/http"
)

// shorten drops every second item of a list reply, or all: GitHub's lists have been seen to miss what is there. Its
// count and links go along, so that nothing shows it.
func shorten(rep reply, all bool) reply {
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
			if !all && i%2 == 0 {
				kept = append(kept, item)
			}
		}
		out := answer(rep.status, map[string]any{"total_count": len(kept), key: kept})
		rep.body = out.body
		rep.header.Del("Link")
		rep.header.Del("ETag")
		return rep
	}
	return rep
}
