package cli

import (
	"io"
	"log/slog"

	"mayfly/internal/config"
)

// newLogger writes to w in the level and format that are set; none means info as text.
func newLogger(w io.Writer, l config.Log) *slog.Logger {
	level := slog.LevelInfo
	switch l.Level {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
