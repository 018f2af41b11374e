package wire

import "github.com/bursarhq/bursar/pkg/quota"

// StateQueued is the state of a reserve that waits: nothing is held for it yet.
const StateQueued = "queued"

// QueuePlace is where a queued reservation stands.
type QueuePlace struct {
	Position  int64 `json:"position"` // among those that wait for the same; 1 is the head
	QueuedAt  Time  `json:"queued_at,omitzero"`
	WaitUntil Time  `json:"wait_until"` // then the wait ends
	// The predicted grant, as an interval; absent where nothing is known.
	GrantFrom Time `json:"grant_from_at,omitzero"`
	GrantAt   Time `json:"grant_at,omitzero"`
	GrantTo   Time `json:"grant_to_at,omitzero"`
	// GraceMS is within what time of its grant the agent has to give a sign of life, or it expires.
	GraceMS int64 `json:"grace_ms,omitzero"`
}

// WaitsFor is one thing that a queued reservation waits for: a limit, with what it needs there, or something else.
type WaitsFor struct {
	LimitID string `json:"limit_id,omitzero"`
	Units   int64  `json:"units,omitzero"` // in the limit's unit; 1 of concurrent limits
	Other   string `json:"other,omitzero"` // such as "account max-1": held back, closed, or nothing is known of it
	Owed    int64  `json:"owed,omitzero"`  // that floors guarantee there: it is taken back from others as soon as they hold as much
	// Choice is the same for all that is in the way of one account and model: each has to give way. Absent where it is one thing.
	Choice int64 `json:"choice,omitzero"`
}

// WaitingView is a queued reservation with whose it is.
type WaitingView struct {
	ReservationID string     `json:"reservation_id"`
	Principal     string     `json:"principal"`
	Agent         string     `json:"agent"`
	Team          string     `json:"team,omitzero"`
	Provider      string     `json:"provider,omitzero"`
	Account       string     `json:"account,omitzero"`
	Model         string     `json:"model,omitzero"`
	Priority      string     `json:"priority,omitzero"`
	TaskType      string     `json:"task_type,omitzero"`
	Complexity    string     `json:"complexity,omitzero"`
	Files         int64      `json:"files,omitzero"`
	Estimated     int64      `json:"estimated_tokens,omitzero"`
	Wanted        Amount     `json:"wanted"`
	MinTokens     int64      `json:"min_tokens,omitzero"`
	Queue         QueuePlace `json:"queue"`
	WaitsFor      []WaitsFor `json:"waits_for,omitzero"`
	PassedAt      Time       `json:"passed_at,omitzero"` // when something first went past it at the head
	Kept          bool       `json:"kept,omitzero"`      // nothing goes past it any more
}

// QueueRequest asks for the queue of the workspace, in its order: those that match every field given.
type QueueRequest struct {
	Principal string `json:"principal,omitzero"`
	Agent     string `json:"agent,omitzero"`
	Team      string `json:"team,omitzero"`
	Limit     int64  `json:"limit,omitzero"` // items of one reply; default 100
	Offset    int64  `json:"offset,omitzero"`
}

// QueueReply is the queue of a workspace.
type QueueReply struct {
	Now     Time          `json:"now"`
	Waiting []WaitingView `json:"waiting"`
	Total   int64         `json:"total"` // of those that match
}

// Alternative is something that would be granted instead of what was refused; nothing of it is held.
type Alternative struct {
	Kind     string `json:"kind"` // account, provider, smaller, later
	Provider string `json:"provider,omitzero"`
	Account  string `json:"account,omitzero"`
	Model    string `json:"model,omitzero"` // absent: any of the provider's
	Tokens   int64  `json:"tokens,omitzero"`
	At       Time   `json:"at,omitzero"` // from when on; absent means now
}

// Step says what one rung of the ladder gave on one account.
type Step struct {
	Rung      string `json:"rung"` // full, account, smaller, model, queue
	Account   string `json:"account,omitzero"`
	Model     string `json:"model,omitzero"` // where it is another than asked for
	Taken     bool   `json:"taken,omitzero"`
	Code      string `json:"code,omitzero"` // why not
	LimitID   string `json:"limit_id,omitzero"`
	Requested int64  `json:"requested,omitzero"`
	Available int64  `json:"available,omitzero"`
	Skipped   string `json:"skipped,omitzero"` // why the rung was not tried
}

// Verb is queue.
func (*QueueRequest) Verb() string { return VerbQueue }

// Append appends the request's JSON.
func (r *QueueRequest) Append(b []byte) []byte { return queueObject.append(b, r) }

func (r *QueueRequest) decode(d *decoder) { queueObject.decode(d, r) }

// placeOf converts a place; nil for none.
func placeOf(p *quota.Place) *QueuePlace {
	if p == nil {
		return nil
	}
	return &QueuePlace{p.Position, TimeOf(p.Since), TimeOf(p.Until), TimeOf(p.GrantFrom), TimeOf(p.GrantAt), TimeOf(p.GrantTo), int64(p.Grace)}
}

// WaitingViewOf converts a queued reservation.
func WaitingViewOf(w *quota.WaitingView) WaitingView {
	l := &w.Labels
	return WaitingView{
		ReservationID: w.Reservation, Principal: l.Principal, Agent: l.Agent, Team: l.Team, Provider: l.Provider, Account: l.Account,
		Model: l.Model, Priority: priorityName(l.Priority), TaskType: l.TaskType, Complexity: l.Complexity, Files: l.Files, Estimated: l.Estimated,
		Wanted:    amountOf(w.Wish.Amount),
		MinTokens: w.Wish.MinTokens, Queue: *placeOf(&w.Place), WaitsFor: boundsOf(w.Bounds), PassedAt: TimeOf(w.Passed), Kept: w.Kept,
	}
}

func boundsOf(bounds []quota.Bound) []WaitsFor {
	var list []WaitsFor
	for i := range bounds {
		limit, other := bounds[i].WaitsFor()
		w := WaitsFor{LimitID: limit, Other: other, Choice: bounds[i].Choice}
		if limit != "" {
			w.Units, w.Owed = bounds[i].Units, bounds[i].Owed
		}
		list = append(list, w)
	}
	return list
}

func alternativesOf(list []quota.Alternative) []Alternative {
	var converted []Alternative
	for _, a := range list {
		converted = append(converted, Alternative{string(a.Kind), a.Provider, a.Account, a.Model, a.Tokens, TimeOf(a.At)})
	}
	return converted
}

func stepsOf(list []quota.Step) []Step {
	var converted []Step
	for _, s := range list {
		converted = append(converted, Step{
			string(s.Rung), s.Account, s.Model, s.Taken, string(s.Code), s.Limit, s.Requested, s.Available, s.Skipped,
		})
	}
	return converted
}

// Bounds of what a reader accepts from a server.
const (
	maxAlternatives = 100
	maxSteps        = 1000
)

var queueObject = object[QueueRequest]{
	name("principal", MaxNameBytes, func(r *QueueRequest) *string { return &r.Principal }),
	name("agent", MaxNameBytes, func(r *QueueRequest) *string { return &r.Agent }),
	name("team", MaxNameBytes, func(r *QueueRequest) *string { return &r.Team }),
	integer("limit", 1, MaxListLimit, func(r *QueueRequest) *int64 { return &r.Limit }),
	integer("offset", 0, quota.MaxQueued, func(r *QueueRequest) *int64 { return &r.Offset }),
}

var placeObject = object[QueuePlace]{
	must(integer("position", 0, maxInteger, func(p *QueuePlace) *int64 { return &p.Position })),
	instant("queued_at", func(p *QueuePlace) *Time { return &p.QueuedAt }),
	must(instant("wait_until", func(p *QueuePlace) *Time { return &p.WaitUntil })),
	instant("grant_from_at", func(p *QueuePlace) *Time { return &p.GrantFrom }),
	instant("grant_at", func(p *QueuePlace) *Time { return &p.GrantAt }),
	instant("grant_to_at", func(p *QueuePlace) *Time { return &p.GrantTo }),
	integer("grace_ms", 0, maxInteger, func(p *QueuePlace) *int64 { return &p.GraceMS }),
}

var alternativeObject = object[Alternative]{
	must(name("kind", MaxNameBytes, func(a *Alternative) *string { return &a.Kind })),
	name("provider", MaxTextBytes, func(a *Alternative) *string { return &a.Provider }),
	name("account", MaxTextBytes, func(a *Alternative) *string { return &a.Account }),
	name("model", MaxTextBytes, func(a *Alternative) *string { return &a.Model }),
	integer("tokens", 0, maxInteger, func(a *Alternative) *int64 { return &a.Tokens }),
	instant("at", func(a *Alternative) *Time { return &a.At }),
}

var stepObject = object[Step]{
	must(text("rung", maxReplyTextBytes, func(s *Step) *string { return &s.Rung })),
	text("account", maxReplyTextBytes, func(s *Step) *string { return &s.Account }),
	text("model", maxReplyTextBytes, func(s *Step) *string { return &s.Model }),
	boolean("taken", func(s *Step) *bool { return &s.Taken }),
	text("code", maxReplyTextBytes, func(s *Step) *string { return &s.Code }),
	text("limit_id", maxReplyTextBytes, func(s *Step) *string { return &s.LimitID }),
	integer("requested", -maxInteger, maxInteger, func(s *Step) *int64 { return &s.Requested }),
	integer("available", -maxInteger, maxInteger, func(s *Step) *int64 { return &s.Available }),
	text("skipped", maxReplyTextBytes, func(s *Step) *string { return &s.Skipped }),
}
