package wire

import "github.com/bursarhq/bursar/pkg/quota"

// about is what the envelope and the subject of an event take from it.
type about struct {
	subject string
	at      quota.Instant // 0 where the event does not tell: then it is the commit's
	actor   quota.Actor
}

func aboutOf(e quota.Event) about {
	switch e := e.(type) {
	case *quota.ReservationGranted:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationDenied:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationQueued:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationWaiting:
		return about{subject: e.Reservation, at: e.At}
	case *quota.ReservationDequeued:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationExtended:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationRenewed:
		return about{subject: e.Reservation, at: e.At}
	case *quota.ReservationExpiring:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationPreempting:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationShrunk:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ReservationClosed:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.UsageRecorded:
		return about{e.Reservation, e.At, holder(&e.Labels)}
	case *quota.ConfigApplied:
		return about{"", e.At, e.Actor}
	case *quota.WindowOpened:
		return about{subject: e.Span.Limit, at: e.At}
	case *quota.WindowRolled:
		return about{subject: e.Ended.Limit, at: e.At}
	case *quota.LimitWarning:
		return about{subject: e.Limit, at: e.At}
	case *quota.ObservationRecorded:
		return about{e.Limit, e.At, e.Actor}
	case *quota.BlockPlaced:
		return about{e.Name, e.At, e.Actor}
	case *quota.BlockLifted:
		return about{e.Name, e.At, e.Actor}
	case *quota.NoticesAcknowledged:
		return about{"", e.At, e.Actor}
	default:
		return about{}
	}
}

// publicData converts a ledger event to a pointer to its …Data struct; nil for a kind that has no public form.
func publicData(e quota.Event) any {
	switch e := e.(type) {
	case *quota.ReservationGranted:
		return grantedData(e)
	case *quota.ReservationDenied:
		return deniedData(e)
	case *quota.ReservationExtended:
		return extendedData(e)
	case *quota.ReservationQueued:
		return queuedData(e)
	case *quota.ReservationWaiting:
		return &ReservationWaitingData{e.Reservation, boundsOf(e.Bounds), e.Kept}
	case *quota.ReservationDequeued:
		return dequeuedData(e)
	case *quota.ReservationRenewed:
		return &ReservationRenewedData{e.Reservation, TimeOf(e.Expires)}
	case *quota.ReservationExpiring:
		return &ReservationExpiringData{e.Reservation, labelsOf(&e.Labels), TimeOf(e.Expires)}
	case *quota.ReservationPreempting:
		return &ReservationPreemptingData{
			e.Reservation, labelsOf(&e.Labels), TimeOf(e.Expires), e.Limit, e.For, e.Units, partGiven(e.Units > 0, e.Amount),
		}
	case *quota.ReservationShrunk:
		return &ReservationShrunkData{
			e.Reservation, labelsOf(&e.Labels), amountOf(e.Amount), limitAmounts(e.Returned), e.CostHeld, e.Limit, e.For, amountOf(e.Granted),
		}
	case *quota.ReservationClosed:
		return closedData(e)
	case *quota.UsageRecorded:
		return usageData(e)
	case *quota.EpochClaimed:
		return &EpochClaimedData{e.Epoch, e.Writer}
	case *quota.ConfigApplied:
		return &ConfigAppliedData{actorOf(e.Actor), ConfigOf(&e.Config), spansOf(e.Opened)}
	case *quota.WindowOpened:
		return &WindowOpenedData{spanOf(e.Span)}
	case *quota.WindowRolled:
		return &WindowRolledData{spanOf(e.Ended), e.Used, spanOf(e.Next)}
	case *quota.LimitWarning:
		return &LimitWarningData{e.Limit, TimeOf(e.Window), e.Threshold, e.Spent, e.Capacity, e.Account, e.Team, string(e.Unit)}
	case *quota.ObservationRecorded:
		return &ObservationRecordedData{
			actorOf(e.Actor), e.Account, e.Limit, observationOf(e.Observation), e.Effective, spanOf(e.Span), e.Capacity,
			e.Window, TimeOf(e.ClosedUntil), lessonOf(e.Lesson),
		}
	case *quota.BlockPlaced:
		return &BlockPlacedData{actorOf(e.Actor), string(e.Target), e.Name, e.Reason}
	case *quota.BlockLifted:
		return &BlockLiftedData{actorOf(e.Actor), string(e.Target), e.Name}
	case *quota.NoticesAcknowledged:
		return &NoticesAcknowledgedData{actorOf(e.Actor), e.Notices}
	default:
		return nil
	}
}

// partGiven is what a reservation that goes on gives back; nil where it does not go on.
func partGiven(goesOn bool, a quota.Amount) *Amount {
	if !goesOn {
		return nil
	}
	amount := amountOf(a)
	return &amount
}

// PreemptingNotice is what is pushed to an agent of a reservation that is to give something back.
func PreemptingNotice(e *quota.ReservationPreempting) Notice {
	return Notice{
		Kind: string(quota.NoticePreempting), ReservationID: e.Reservation, At: TimeOf(e.At), ExpiresAt: TimeOf(e.Expires),
		Amount: partGiven(e.Units > 0, e.Amount),
	}
}

// ShrunkNotice is what is pushed to an agent of a reservation that has given a part back.
func ShrunkNotice(e *quota.ReservationShrunk) Notice {
	return Notice{Kind: string(quota.NoticeShrunk), ReservationID: e.Reservation, At: TimeOf(e.At), Amount: partGiven(true, e.Amount)}
}

func holder(l *quota.Labels) quota.Actor { return quota.Actor{Principal: l.Principal, Agent: l.Agent} }

func actorOf(a quota.Actor) Actor { return Actor(a) }

func labelsOf(l *quota.Labels) Labels {
	return Labels{
		l.Principal, l.Agent, l.Team, l.Provider, l.Account, l.Model, l.TaskType, l.Complexity, priorityName(l.Priority), l.Files, l.Estimated,
	}
}

func spanOf(s quota.WindowSpan) Span { return Span{s.Limit, TimeOf(s.Start), TimeOf(s.End)} }

func spansOf(spans []quota.WindowSpan) []Span {
	if len(spans) == 0 {
		return nil
	}
	converted := make([]Span, len(spans))
	for i, s := range spans {
		converted[i] = spanOf(s)
	}
	return converted
}

func limitAmounts(amounts []quota.LimitAmount) []LimitAmount {
	if len(amounts) == 0 {
		return nil
	}
	converted := make([]LimitAmount, len(amounts))
	for i, a := range amounts {
		converted[i] = LimitAmount{a.Limit, a.Amount}
	}
	return converted
}

// rateOf converts a price; nil where there is none.
func rateOf(r quota.Rate, unpriced bool) *Rate {
	if unpriced {
		return nil
	}
	rate := Rate(r)
	return &rate
}

func grantedData(e *quota.ReservationGranted) *ReservationGrantedData {
	return &ReservationGrantedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Amount: amountOf(e.Amount), Holds: limitAmounts(e.Holds),
		Rate: rateOf(e.Rate, e.Unpriced), Unpriced: e.Unpriced, CostHeldMicroUSD: e.CostHeld, ExpiresAt: TimeOf(e.Expires),
		DeadlineAt: TimeOf(e.Deadline), LeaseMS: int64(e.Lease), ConfigVersion: e.Config,
		QueuedAt: TimeOf(e.QueuedAt), Unclaimed: e.Unclaimed, Preemptible: e.Preemptible, Steps: stepsOf(e.Steps),
	}
}

func deniedData(e *quota.ReservationDenied) *ReservationDeniedData {
	return &ReservationDeniedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Amount: amountOf(e.Amount), Code: string(e.Code), LimitID: e.Limit,
		Requested: e.Requested, Available: e.Available, Retryable: e.Retryable, RetryAfterMS: int64(e.RetryAfter), ConfigVersion: e.Config,
		Reason: string(e.Reason), HeldBack: e.HeldBack, Unit: string(e.Unit),
		Alternatives: alternativesOf(e.Alternatives), Steps: stepsOf(e.Steps),
	}
}

func extendedData(e *quota.ReservationExtended) *ReservationExtendedData {
	return &ReservationExtendedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Amount: amountOf(e.Amount), Holds: limitAmounts(e.Holds),
		CostHeldMicroUSD: e.CostHeld, ExpiresAt: TimeOf(e.Expires),
	}
}

func closedData(e *quota.ReservationClosed) *ReservationClosedData {
	return &ReservationClosedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Outcome: string(e.Outcome), By: actorOf(e.By), Reason: e.Reason,
		Returned: limitAmounts(e.Returned), Granted: amountOf(e.Granted), Used: amountOf(e.Used), CostHeldMicroUSD: e.CostHeld,
		CostUsedMicroUSD: e.CostUsed, GrantedAt: TimeOf(e.GrantedAt),
	}
}

func usageData(e *quota.UsageRecorded) *UsageRecordedData {
	return &UsageRecordedData{
		ReservationID: e.Reservation, Standing: string(e.Standing), Labels: labelsOf(&e.Labels), OccurredAt: TimeOf(e.OccurredAt),
		CallID: e.CallID, Tokens: Tokens(e.Tokens), Requests: e.Requests, Rate: rateOf(e.Rate, e.Unpriced), CostMicroUSD: e.Cost,
		Unpriced: e.Unpriced, Batch: e.Batch, Charges: chargesOf(e.Charges), GrantedAt: TimeOf(e.GrantedAt), OverrunTokens: e.Overrun,
		Source: e.Source, Session: e.Session, Project: e.Project,
	}
}

func chargesOf(charges []quota.Charge) []Charge {
	if len(charges) == 0 {
		return nil
	}
	converted := make([]Charge, len(charges))
	for i, c := range charges {
		converted[i] = Charge{c.Limit, TimeOf(c.Window), c.Amount, c.Within}
	}
	return converted
}
