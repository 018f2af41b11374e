package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// headlineWidth is that of the longest common headline.
const headlineWidth = 10

// headline says in a word what happened: the outcome of what has ended, else the last part of the type.
func headline(e *wire.Event) string {
	var ended struct{ Outcome string }
	switch e.Kind() {
	case quota.KindReservationClosed, quota.KindReservationDequeued:
		if e.Into(&ended) == nil {
			return screen.Clean(strings.ReplaceAll(ended.Outcome, "_", " "))
		}
	case quota.KindNoticesAcknowledged:
		return "seen"
	case quota.KindObservationRecorded:
		return "observed"
	}
	_, last, _ := strings.Cut(e.Kind(), ".")
	return screen.Clean(last)
}

// describe words an event in one line. An event that this version does not know is shown as it is.
func describe(e *wire.Event) (screen.Tone, string) {
	switch e.Kind() {
	case quota.KindReservationGranted, quota.KindReservationDenied, quota.KindReservationExtended, quota.KindReservationExpiring,
		quota.KindReservationPreempting, quota.KindReservationShrunk, quota.KindReservationClosed:
		return describeReservation(e)
	case quota.KindReservationQueued, quota.KindReservationWaiting, quota.KindReservationDequeued:
		return describeQueue(e)
	case quota.KindUsageRecorded:
		var d wire.UsageRecordedData
		if e.Into(&d) == nil {
			return describeUsage(&d)
		}
	case quota.KindLimitWarning:
		var d wire.LimitWarningData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s is at %d%%: %s of %s spent", d.LimitID, d.ThresholdPercent, inUnit(d.Spent, d.Unit), inUnit(d.Capacity, d.Unit))
		}
	case wire.KindSuggestionMade:
		var d wire.Suggestion
		if e.Into(&d) == nil {
			return screen.Strong, d.Title + " (" + screen.Money(d.SavingMicroUSD) + ")"
		}
	}
	return describeOther(e)
}

func describeReservation(e *wire.Event) (screen.Tone, string) {
	switch e.Kind() {
	case quota.KindReservationGranted:
		var d wire.ReservationGrantedData
		if e.Into(&d) == nil {
			return screen.Good, fmt.Sprintf("%s: %s on %s, %s", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)), d.Labels.Account, d.Labels.Model)
		}
	case quota.KindReservationDenied:
		var d wire.ReservationDeniedData
		if e.Into(&d) == nil {
			return screen.Bad, deniedText(&d)
		}
	case quota.KindReservationExtended:
		var d wire.ReservationExtendedData
		if e.Into(&d) == nil {
			return screen.Good, fmt.Sprintf("%s: %s more tokens", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)))
		}
	case quota.KindReservationExpiring:
		var d wire.ReservationExpiringData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s: %s ends at %s", who(&d.Labels), d.ReservationID, d.ExpiresAt.Time().Local().Format("15:04:05"))
		}
	case quota.KindReservationPreempting:
		var d wire.ReservationPreemptingData
		if e.Into(&d) == nil {
			return screen.Caution, preemptingText(&d)
		}
	case quota.KindReservationShrunk:
		var d wire.ReservationShrunkData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s: gave %s back to team %s on %s, keeps %s", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)),
				d.ForTeam, d.LimitID, screen.Short(totalTokens(d.Granted.Tokens)))
		}
	case quota.KindReservationClosed:
		var d wire.ReservationClosedData
		if e.Into(&d) == nil {
			granted, used := totalTokens(d.Granted.Tokens), totalTokens(d.Used.Tokens)
			return outcomeTone(d.Outcome), fmt.Sprintf("%s: %s of %s used (%s), %s", who(&d.Labels),
				screen.Short(used), screen.Short(granted), screen.Percent(used, granted), screen.Money(d.CostUsedMicroUSD))
		}
	}
	return describeOther(e)
}

// describeQueue words the ways into, along and out of the queue.
func describeQueue(e *wire.Event) (screen.Tone, string) {
	switch e.Kind() {
	case quota.KindReservationQueued:
		var d wire.ReservationQueuedData
		if e.Into(&d) == nil {
			return screen.Strong, fmt.Sprintf("%s: place %d, %s for %s", who(&d.Labels), d.Queue.Position, screen.Short(totalTokens(d.Amount.Tokens)), waitsForText(d.WaitsFor))
		}
	case quota.KindReservationWaiting:
		var d wire.ReservationWaitingData
		if e.Into(&d) == nil {
			text := d.ReservationID + " waits for " + waitsForText(d.WaitsFor)
			if d.Kept {
				text += ", and is not passed any more"
			}
			return screen.Faint, text
		}
	case quota.KindReservationDequeued:
		var d wire.ReservationDequeuedData
		if e.Into(&d) == nil {
			tone := screen.Caution
			if d.Outcome == string(quota.QueueGranted) {
				tone = screen.Good
			}
			return tone, fmt.Sprintf("%s: after %s in the queue%s", who(&d.Labels), screen.Span(time.Duration(d.WaitedMS)*time.Millisecond), reasonText(d.Reason))
		}
	}
	return describeOther(e)
}

func preemptingText(d *wire.ReservationPreemptingData) string {
	at, what := d.ExpiresAt.Time().Local().Format("15:04:05"), "ends"
	if d.Amount != nil {
		what = "gives " + screen.Short(totalTokens(d.Amount.Tokens)) + " back"
	}
	return fmt.Sprintf("%s: %s at %s, team %s reclaims %s", who(&d.Labels), what, at, d.ForTeam, d.LimitID)
}

func outcomeTone(outcome string) screen.Tone {
	if outcome == string(quota.OutcomeExpired) || outcome == string(quota.OutcomePreempted) || outcome == string(quota.OutcomeRevoked) {
		return screen.Caution
	}
	return screen.Plain
}

func deniedText(d *wire.ReservationDeniedData) string {
	text := who(&d.Labels) + ": " + strings.ReplaceAll(d.Code, "_", " ")
	if d.LimitID != "" {
		text += fmt.Sprintf(", %s has %s of %s", d.LimitID, inUnit(d.Available, d.Unit), inUnit(d.Requested, d.Unit))
	}
	switch {
	case !d.Retryable:
		text += ", for good"
	case d.RetryAfterMS > 0:
		text += ", again in " + screen.Span(time.Duration(d.RetryAfterMS)*time.Millisecond)
	}
	return text
}

func describeUsage(d *wire.UsageRecordedData) (screen.Tone, string) {
	text := fmt.Sprintf("%s: %s of %s, %s", who(&d.Labels), screen.Short(totalTokens(d.Tokens)), d.Labels.Model, screen.Money(d.CostMicroUSD))
	if d.OverrunTokens > 0 {
		return screen.Caution, text + ", " + screen.Short(d.OverrunTokens) + " beyond"
	}
	return screen.Faint, text
}

// describeOther words what concerns no labels of a reservation.
func describeOther(e *wire.Event) (screen.Tone, string) {
	var d struct {
		By      wire.Actor
		Expires wire.Time `json:"expires_at"`
		Config  struct{ Version uint64 }
		Writer  string
		Epoch   uint64
		Span    wire.Span
		Ended   wire.Span
		Used    int64
		LimitID string `json:"limit_id"`
		Target  string
		Name    string
		Reason  string
	}
	if e.Into(&d) != nil {
		return screen.Faint, e.Subject
	}
	switch e.Kind() {
	case quota.KindConfigApplied:
		return screen.Strong, fmt.Sprintf("configuration version %d", d.Config.Version)
	case quota.KindEpochClaimed:
		return screen.Faint, fmt.Sprintf("%s writes the ledger from now on, epoch %d", d.Writer, d.Epoch)
	case quota.KindWindowOpened:
		return screen.Faint, fmt.Sprintf("%s counts until %s", d.Span.LimitID, stamp(d.Span.EndsAt, time.Local))
	case quota.KindWindowRolled:
		return screen.Faint, fmt.Sprintf("%s begins anew after %s", d.Ended.LimitID, screen.Short(d.Used))
	case quota.KindBlockPlaced, quota.KindBlockLifted:
		return screen.Caution, strings.TrimSpace(d.Target+" "+d.Name) + reasonText(d.Reason)
	case quota.KindObservationRecorded:
		return screen.Faint, observedText(e)
	case quota.KindReservationRenewed:
		return screen.Faint, fmt.Sprintf("%s ends at %s", e.Subject, d.Expires.Time().Local().Format("15:04:05"))
	case quota.KindNoticesAcknowledged:
		return screen.Faint, cmp.Or(d.By.Agent, d.By.Principal) + " has seen its notices"
	}
	return screen.Faint, e.Subject
}

// observedText words what a provider said of a window.
func observedText(e *wire.Event) string {
	var d wire.ObservationRecordedData
	if e.Into(&d) != nil {
		return e.Subject
	}
	text := cmp.Or(d.LimitID, strings.TrimSuffix(d.Account+"/"+d.Window, "/")) // the account alone where it is told of as a whole
	switch quota.Signal(d.Observation.Signal) {
	case quota.SignalExhausted:
		text += " is refused by the provider (429)"
	case quota.SignalOverloaded:
		text += " is overloaded (529)"
	}
	if used := d.Observation.UsedPercent; used != nil {
		text += fmt.Sprintf(" is at %g%%", float64(*used)/1000)
	}
	if d.Observation.Source != "" {
		text += ", says " + d.Observation.Source
	}
	if !d.Effective {
		text += ", which was known"
	}
	return text
}

// inUnit writes units of a limit shortly: money as money.
func inUnit(n int64, unit string) string {
	if unit == string(quota.UnitMicroUSD) {
		return screen.Money(n)
	}
	return screen.Short(n)
}

// who is the agent with its team.
func who(l *wire.Labels) string {
	if l.Team == "" {
		return l.Agent
	}
	return l.Agent + " (" + l.Team + ")"
}
