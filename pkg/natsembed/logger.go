package natsembed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// slogLogger hands the server's log lines to slog, one level down: what a server calls a notice is
// information for whoever debugs us. It remembers the first fatal line, because the server reports
// a failed start nowhere else, and unlike the server's own logger it does not exit the process.
type slogLogger struct {
	log *slog.Logger

	mu         sync.Mutex
	firstFatal string
}

func newLogger(log *slog.Logger) *slogLogger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &slogLogger{log: log.With("component", "nats-server")}
}

func (l *slogLogger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firstFatal
}

func (l *slogLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *slogLogger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *slogLogger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *slogLogger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

// Warnf leaves out what is no reason to worry: a server that was killed has not written what it keeps beside its streams, and
// works that out anew from them. That is what a start after a power cut looks like.
func (l *slogLogger) Warnf(format string, v ...any) {
	text, level := fmt.Sprintf(format, v...), slog.LevelWarn
	if strings.Contains(text, "state is outdated; attempting to recover") || strings.Contains(text, "Stream state outdated") {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, text)
}

func (l *slogLogger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	if l.firstFatal == "" {
		l.firstFatal = text
	}
	l.mu.Unlock()
	l.log.Error(text)
}
