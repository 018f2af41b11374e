package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// LogLevelVar is the environment variable for the log level when no flag gives one.
const LogLevelVar = "BURSAR_LOG_LEVEL"

// ParseLevel turns debug, info, warn or error, in any case, into a level; empty means info.
func ParseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if text == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
		return 0, fmt.Errorf("log level %q is not one of debug, info, warn, error", text)
	}
	return level, nil
}

// NewLogger returns a logger that writes to out: text for people when out is a terminal, else one
// JSON object a line. Records made with a context that carries a trace get its trace_id and span_id.
func NewLogger(out io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if isTerminal(out) {
		return slog.New(traceHandler{slog.NewTextHandler(out, options)})
	}
	return slog.New(traceHandler{slog.NewJSONHandler(out, options)})
}

// LoggerFromEnv is [NewLogger] with the level of the flag, or of [LogLevelVar] when the flag is
// empty. It returns an error for a level that is not known.
func LoggerFromEnv(out io.Writer, flag string, getenv func(string) string) (*slog.Logger, error) {
	if flag == "" {
		flag = getenv(LogLevelVar)
	}
	level, err := ParseLevel(flag)
	if err != nil {
		return nil, err
	}
	return NewLogger(out, level), nil
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// traceHandler adds the ids of the current trace to a record, so that logs and traces can be joined.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}
