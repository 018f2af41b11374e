package quota

import "fmt"

// Actor is who sends a command: taken from the request's subject, never from its body.
type Actor struct {
	Principal string `cbor:"1,keyasint,omitempty"`
	Agent     string `cbor:"2,keyasint,omitempty"` // empty for operators
}

// Command is one of the types below. A command is validated by Decide; the caller only has to decode it.
type Command interface{ command() }

// Reserve asks to hold units on every limit that binds.
type Reserve struct {
	Actor       Actor
	Reservation string // the id of the reservation to be, unique in the ledger
	Provider    string // required unless Account is given
	Account     string // optional: only this account
	Model       string
	TaskType    string // free text for analysis; see pkg/estimate for the known ones
	Complexity  string
	Files       int64    // that the task touches, at most MaxFiles; 0 where nobody said
	Estimated   int64    // tokens of all classes that an estimate told the agent; 0 where none did
	Priority    Priority // 0 means normal
	Amount      Amount   // Requests 0 means 1
	Lifetime    Millis   // 0 means Policy.MaxLifetime
	Lease       Millis   // 0 means Policy.Lease

	MinTokens int64  // the least total that is of use; 0 means all of Amount
	MaxWait   Millis // how long it may be queued; 0 means not at all
	// AcceptAccounts are acceptable besides Account; where Account is empty they are the only ones.
	AcceptAccounts  []string
	AcceptProviders []string // other providers that will do; an unknown one is refused
	AcceptModels    []string // cheaper or other models that will do; "provider/model" means that provider only
	Preemptible     bool     // what is not used may be taken back, after a notice
}

const (
	// MaxFiles is the most files that a reserve may say.
	MaxFiles = 10_000_000
	// MaxEstimated is the most tokens, of all classes together, that an estimate may have told.
	MaxEstimated = 5 * MaxTokensPerClass
)

// validateTerms checks what a reserve would take instead of all at once.
func (c *Reserve) validateTerms() error {
	if c.MinTokens < 0 || c.MinTokens > c.Amount.Tokens.Total() {
		return fmt.Errorf("min_tokens must be from 0 to the %d tokens asked for", c.Amount.Tokens.Total())
	}
	if c.Files < 0 || c.Files > MaxFiles {
		return fmt.Errorf("files must be from 0 to %d", int64(MaxFiles))
	}
	if c.Estimated < 0 || c.Estimated > MaxEstimated {
		return fmt.Errorf("estimated_tokens must be from 0 to %d", MaxEstimated)
	}
	if c.MaxWait < 0 || c.MaxWait > MaxQueueWait {
		return fmt.Errorf("max_wait must be from 0 to %d ms", MaxQueueWait)
	}
	for _, list := range []struct {
		name  string
		names []string
	}{{"accept_accounts", c.AcceptAccounts}, {"accept_providers", c.AcceptProviders}, {"accept_models", c.AcceptModels}} {
		if len(list.names) > MaxAccept {
			return fmt.Errorf("%s names %d, at most %d are allowed", list.name, len(list.names), MaxAccept)
		}
		for _, n := range list.names {
			if n == "" || len(n) > MaxStringLen {
				return fmt.Errorf("a name in %s has %d bytes, it must have from 1 to %d", list.name, len(n), MaxStringLen)
			}
		}
	}
	return nil
}

// UsageItem is actual usage of one provider call, or a difference since the last report.
type UsageItem struct {
	OccurredAt Instant // 0 means now; later than now means now
	// CallID is the provider's request id. With it Tokens are cumulative: the largest of each class is kept, and a
	// call seen twice counts once. Without it they are a difference.
	CallID   string
	Model    string // empty means the reservation's model
	Tokens   Tokens
	Requests int64 // 0 means one for a call not seen before, none for an item without a call id and without tokens
	Batch    bool  // billed at the provider's batch discount
	// Where the usage was learned from and in which work it happened; free text, empty for an agent's own report.
	Source  string // e.g. "transcript:claude-code", "otlp"
	Session string
	Project string
}

// Report records usage and keeps the reservation open. Without items it is a sign of life that renews the lease.
// Without a reservation it records what an account spent without one, so that the books are complete.
type Report struct {
	Actor       Actor
	Reservation string
	// Account and Model charge usage whose reservation is not known; both are optional. Without a reservation the
	// account is required.
	Account string
	Model   string
	Items   []UsageItem
}

// Settle records the last usage and closes the reservation; what is left returns.
type Settle struct {
	Actor       Actor
	Reservation string
	Account     string // as in Report
	Model       string
	Items       []UsageItem
}

// Release closes a reservation without further usage.
type Release struct {
	Actor       Actor
	Reservation string
	Reason      string
}

// Extend asks for more time, more units, or both.
type Extend struct {
	Actor       Actor
	Reservation string
	Amount      Amount
	Lifetime    Millis // from now; capped by the hard cap counted from the grant
}

// Observe hands in what the provider said of one window, or of an account where the window is not named.
type Observe struct {
	Actor   Actor
	Account string
	// Window is a Limit.Name of the account, or a Limit.ID. A name that the account does not have is kept as an unknown
	// window. It may be empty only with a Signal: then the provider named no window.
	Window       string
	Used         *int64 // in the limit's unit
	PercentMilli *int64 // thousandths of a percent
	Capacity     *int64 // in the limit's unit
	ResetAt      Instant
	Tier         string
	Source       string
	At           Instant // when the provider said it; 0 means now
	Signal       Signal  // that it refused, and why
	RetryAfter   Millis  // what it asked to wait from At on; 0 where not told
	Length       Millis  // how long windows of this name last, for unknown ones; 0 where not told
	Model        string  // that the provider was asked for, where limits are per model group; may be empty
}

// Signal says that the provider refused a request, and why.
type Signal string

// The signals.
const (
	SignalExhausted  Signal = "exhausted"  // a 429 of ours: the window is closed until its reset, or until RetryAfter is over
	SignalOverloaded Signal = "overloaded" // a 529: the provider's trouble and not our quota; recorded, and changes nothing
)

// Acknowledge forgets notices the agent has seen.
type Acknowledge struct {
	Actor   Actor
	Notices []uint64
}

// Revoke closes a reservation against its holder's will.
type Revoke struct {
	Actor       Actor
	Reservation string
	Reason      string
}

// BlockTarget says what a block covers.
type BlockTarget string

// The targets of blocks.
const (
	BlockWorkspace BlockTarget = "workspace"
	BlockAccount   BlockTarget = "account"
	BlockTeam      BlockTarget = "team"
	BlockAgent     BlockTarget = "agent"
)

// Block stops new grants ("bursar hold"); what is held stays held.
type Block struct {
	Actor  Actor
	Target BlockTarget
	Name   string // empty for the workspace
	Reason string
}

// Unblock lifts a block ("bursar resume").
type Unblock struct {
	Actor  Actor
	Target BlockTarget
	Name   string
}

// ApplyConfig replaces the configuration.
type ApplyConfig struct {
	Actor  Actor
	Config Config
	// IfVersion refuses the change with CodeConflict unless the present version is this one; 0 means any.
	IfVersion uint64
}

// Tick lets time pass: it expires leases, warns of those that end soon and rolls windows over.
type Tick struct{}

func (Reserve) command()     {}
func (Report) command()      {}
func (Settle) command()      {}
func (Release) command()     {}
func (Extend) command()      {}
func (Observe) command()     {}
func (Acknowledge) command() {}
func (Revoke) command()      {}
func (Block) command()       {}
func (Unblock) command()     {}
func (ApplyConfig) command() {}
func (Tick) command()        {}
