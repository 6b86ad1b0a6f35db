package gh

import "strings"

// limitJSON is one bucket of GET /rate_limit (OpenAPI, schema "rate-limit").
type limitJSON struct {
	Limit     int   `json:"limit"`
	Used      int   `json:"used"`
	Remaining int   `json:"remaining"`
	Reset     int64 `json:"reset"`
}

// getRateLimit answers GET /rate_limit.
func (s *Server) getRateLimit(c *call) reply {
	resets := c.token.resets.Add(s.world.ahead).Unix()
	core := limitJSON{c.token.limit, c.token.used, c.token.remaining(), resets}
	full := func(n int) limitJSON { return limitJSON{n, 0, n, resets} }
	body := map[string]any{
		"resources": map[string]limitJSON{
			"core": core, "search": full(30), "graphql": full(5000), "integration_manifest": full(5000),
			"actions_runner_registration": full(10000), "code_search": full(10), "source_import": full(100), "scim": full(15000),
			"dependency_snapshots": full(100),
		},
	}
	if c.header.Get("X-GitHub-Api-Version") != "2026-03-10" { // that version no longer has it
		body["rate"] = core
	}
	return answer(200, body)
}

// getUser answers GET /user.
func (s *Server) getUser(c *call) reply {
	body := simpleUser(c, c.token.login, "User")
	for field, value := range map[string]any{
		"name": nil, "company": nil, "blog": "", "location": nil, "email": nil, "hireable": nil, "bio": nil,
		"public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": stamp(s.world.born), "updated_at": stamp(s.world.born), "user_view_type": "public",
	} {
		body[field] = value
	}
	return answer(200, body)
}

// firstLine is what stands before the first line break.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
