package runner

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// signalExitBase is what a shell adds to a signal's number in the exit status of a process it ended.
const signalExitBase = 128

// WithSignals returns a context that the first SIGINT or SIGTERM ends with the cause [ErrSignal]. The
// second one ends the process at once with status 128 + the signal's number: a drain that hangs never
// needs kill -9. Call stop to give the signals back their usual effect.
func WithSignals(parent context.Context, log *slog.Logger) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		first := true
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				if !first {
					log.Error("a second signal: ending at once", "signal", sig.String())
					os.Exit(exitStatus(sig))
				}
				first = false
				log.Info("draining; a second signal ends at once", "signal", sig.String())
				cancel(fmt.Errorf("%w: %s", ErrSignal, sig))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(context.Canceled)
	}
}

func exitStatus(sig os.Signal) int {
	if number, ok := sig.(syscall.Signal); ok {
		return signalExitBase + int(number)
	}
	return 1
}
