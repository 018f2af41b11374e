package record

import (
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	// MarkerIndex is the index of the row that stands for the commit itself.
	MarkerIndex int32 = -1
	// KindCommit is the kind of that row; the kinds of the others are those of pkg/quota.
	KindCommit = "commit"
)

// Row is one row of bursar.ledger_events; the comments on its columns stand in the migration.
type Row struct {
	Workspace   string
	LedgerID    string
	Commit      uint64
	Index       int32
	Epoch       uint64
	CommittedAt quota.Instant
	Kind        string
	At          quota.Instant

	Reservation string
	Labels      quota.Labels

	Amount   quota.Amount
	Cost     int64 // micro-USD
	Unpriced bool

	OccurredAt quota.Instant
	GrantedAt  quota.Instant
	Standing   quota.Standing
	CallID     string
	Batch      bool
	Overrun    int64 // tokens
	Session    string
	Project    string

	Code       quota.Code
	Limit      string
	Unit       quota.Unit // of what the limit has
	Requested  int64
	Available  int64
	Retryable  bool
	RetryAfter quota.Millis

	Outcome         quota.Outcome
	Reason          string
	GrantedTokens   int64
	GrantedRequests int64
	Expires         quota.Instant

	Window        quota.WindowSpan
	LimitUsed     int64
	LimitCapacity int64
	Threshold     int64 // percent
	PercentMilli  int64
	Tier          string
	Source        string
	Effective     bool
	Target        string

	ConfigVersion uint64
	LimitIDs      []string
	LimitWindows  []quota.Instant
	LimitAmounts  []int64
	LimitWithin   []int64

	Events   uint32
	CommitID string

	event quota.Event
}

// data is the event in its public form, as the relay publishes it; empty for the commit itself. It
// keeps what has no column of its own, such as a configuration.
func (r *Row) data() string {
	if r.event == nil {
		return ""
	}
	public, err := wire.NewEvent(wire.Place{
		Workspace: r.Workspace, LedgerID: r.LedgerID, Commit: r.Commit, Index: int(r.Index), At: r.CommittedAt,
	}, r.event)
	if err != nil {
		return "" // a kind without a public form has its columns only
	}
	return string(public.Data)
}

// EachRow calls yield with the rows of a commit, its marker last, so that a batch which is cut short
// never holds the marker of a commit that is not whole. The row is overwritten by the next one.
func EachRow(workspace string, c *ledger.Commit, yield func(*Row)) {
	var row Row
	common := Row{
		Workspace:   workspace,
		LedgerID:    c.Ledger.String(),
		Commit:      c.Number,
		Epoch:       c.Epoch,
		CommittedAt: c.At,
	}
	for i, event := range c.Events {
		row = common
		row.Index = int32(i)
		row.Kind = event.Kind()
		row.At = c.At
		row.event = event
		row.fill(event)
		yield(&row)
	}
	row = common
	row.Index = MarkerIndex
	row.Kind = KindCommit
	row.At = c.At
	row.Events = uint32(len(c.Events))
	row.CommitID = c.ID.String()
	yield(&row)
}
