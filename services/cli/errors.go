package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errReported ends a command whose output has told already that it failed.
var errReported = errors.New("reported")

// exit reports err, if any, and gives the status of the process.
func (a *app) exit(err error) int {
	if err == nil {
		return ExitOK
	}
	if !errors.Is(err, errReported) {
		a.report(err)
	}
	return statusOf(err)
}

// statusOf classes an error.
func statusOf(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	if ended, ok := errors.AsType[*client.NotGranted](err); ok && ended.Outcome != quota.QueueRefused {
		return ExitTryLater
	}
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok || !refusal.Retryable {
		return ExitFailure
	}
	switch refusal.Code {
	case quota.CodeInsufficientQuota, quota.CodeConcurrentLimitExceeded, quota.CodeSubscriptionInfoUnavailable:
		return ExitTryLater
	}
	return ExitFailure
}

// failure is how --json tells an error: the wire's shape, whatever went wrong.
type failure struct {
	Error *wire.Error `json:"error"`
	// RequestID is that of a refused reserve: what `bursar explain` takes.
	RequestID string `json:"request_id,omitzero"`
}

// refusedReserve is a reserve that was refused, with the id of the request.
type refusedReserve struct {
	error
	requestID string
}

func (e *refusedReserve) Unwrap() error { return e.error }

// storyOf is the id by which the log tells of a refusal; empty for an error that no decision stands behind.
func storyOf(err error) string {
	reserve, ok := errors.AsType[*refusedReserve](err)
	if refusal, decided := errors.AsType[*wire.Error](err); !ok || !decided || !refusal.Decided {
		return ""
	}
	return reserve.requestID
}

// faultyFlag words a flag's value that cannot be read, as a person would.
func faultyFlag(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	wants := map[string]string{"int": "a whole number", "int64": "a whole number", "uint": "a whole number from 0 on", "duration": "a span of time such as 90s or 2h", "bool": "true or false", "float64": "a number"}
	want := wants[invalid.GetFlag().Value.Type()]
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("--%s %q is out of range", invalid.GetFlag().Name, invalid.GetValue())
	case want == "":
		return err
	}
	return fmt.Errorf("--%s %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), want)
}

// report tells an error: a person on standard error, a script on standard output.
func (a *app) report(err error) {
	if a.options.json {
		refusal, ok := errors.AsType[*wire.Error](err)
		if !ok {
			refusal = &wire.Error{Code: codeOf(err), Message: err.Error()}
		}
		_ = json.NewEncoder(a.process.Stdout).Encode(failure{refusal, storyOf(err)}) // the exit status tells the rest
		return
	}
	s := screen.New(a.process.Stderr, a.process.Getenv)
	for i, line := range strings.Split(explain(err), "\n") { // the faults of a file stand one on a line
		if i > 0 {
			s.Printf("  %s\n", screen.Clean(line))
			continue
		}
		s.Printf("%s %s\n", s.Paint(screen.Bad, "bursar:"), screen.Clean(line))
	}
	a.reportAlternatives(s, err)
	if id := storyOf(err); id != "" {
		s.Printf("%s\n", s.Paint(screen.Faint, "      why bursar explain "+id))
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		s.Printf("%s\n", s.Paint(screen.Faint, "Try `bursar help`, or the command with --help."))
	}
}

// reportAlternatives lists what would be granted instead.
func (a *app) reportAlternatives(s *screen.Screen, err error) {
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return
	}
	for i, line := range alternativesText(refusal.Details.Alternatives, time.Now()) {
		label := "       or "
		if i == 0 {
			label = "  instead "
		}
		s.Printf("%s%s\n", label, screen.Clean(line))
	}
}

// codeOf gives the code of an error that did not come from the wire.
func codeOf(err error) quota.Code {
	if _, ok := errors.AsType[*usageError](err); ok {
		return quota.CodeInvalid
	}
	if code := wire.CodeOf(err); code != wire.CodeInternal {
		return code
	}
	return quota.CodeUnavailable
}

// explain words an error for a person.
func explain(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return err.Error()
	}
	text := strings.ReplaceAll(string(refusal.Code), "_", " ") + ": " + refusal.Message
	for _, fault := range refusal.Details.Faults {
		text += fmt.Sprintf("; line %d: %s", fault.Line, fault.Message)
	}
	if refusal.Retryable && refusal.RetryAfterMS > 0 {
		text += "; try again in " + screen.Span(quota.Millis(refusal.RetryAfterMS).Duration())
	}
	return text
}

// unknownCommand refuses what is no command and says what may have been meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("there is no command %q", args[0])
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		message += "; did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usagef("%s", message)
}

// exactly takes n arguments, named in the message that refuses another number.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("this command takes no arguments, not %q", args)
		}
		return usagef("give %s, not %d arguments", strings.Join(names, " and "), len(args))
	}
}
