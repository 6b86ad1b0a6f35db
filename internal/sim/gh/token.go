package gh

type token struct{}

func newToken(t TokenSpec, id int64, limit int) *token { return &token{} }
