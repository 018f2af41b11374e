package wire

import "slices"

// Suggestion is one piece of advice: the data of a suggestion.made event, and an entry of a [SuggestionList].
type Suggestion struct {
	// SuggestionID is made of rule, subject and week: the same advice in the same week has the same id.
	SuggestionID string            `json:"suggestion_id"`
	Rule         string            `json:"rule"` // provider_switch, plan_size, …; readers show rules they do not know
	Subject      SuggestionSubject `json:"subject"`
	Title        string            `json:"title"`  // what is the case, one line
	Advice       string            `json:"advice"` // what to do about it
	// SavingMicroUSD is what following the advice would have been worth over the window, at the catalogue's prices.
	// SavingBasis says in which sense: avoidable_spend (money that would not have been spent), freed_budget (budget
	// that was held and never used), delayed_work (work that was refused, at its price) or bounded_risk (what limits allow
	// beyond the need).
	SavingMicroUSD int64  `json:"saving_micro_usd"`
	SavingBasis    string `json:"saving_basis"`
	// BesideMicroUSD is what is left of the saving once the suggestions before it in the list are followed that save in the
	// same sense; absent for the first of them, and in a list until it was tested.
	BesideMicroUSD    *int64                 `json:"beside_micro_usd,omitzero"`
	ConfidencePercent Percent                `json:"confidence_percent"` // 0 to 100, computed from the evidence
	Evidence          []SuggestionEvidence   `json:"evidence"`
	Occurrences       []SuggestionOccurrence `json:"occurrences,omitzero"` // who and when, most often first
	WindowStartsAt    Time                   `json:"window_starts_at"`     // of the evidence
	WindowEndsAt      Time                   `json:"window_ends_at"`
	MadeAt            Time                   `json:"made_at"`
	UpdatedAt         Time                   `json:"updated_at,omitzero"` // of the figures, in a list
	// Change is what would be done otherwise, Backtest what a replay of the last days with it came to, and Realised what was
	// saved since it was told.
	Change   *SuggestionChange   `json:"change,omitzero"`
	Backtest *SuggestionBacktest `json:"backtest,omitzero"`
	Realised *SuggestionRealised `json:"realised,omitzero"`
}

// SuggestionSubject says what a suggestion is about; what does not matter is left out.
type SuggestionSubject struct {
	Provider string `json:"provider,omitzero"`
	Account  string `json:"account,omitzero"`
	Target   string `json:"target,omitzero"` // the account to move work to
	LimitID  string `json:"limit_id,omitzero"`
	Team     string `json:"team,omitzero"`
	TaskType string `json:"task_type,omitzero"`
}

// SuggestionEvidence is one figure that a suggestion rests on.
type SuggestionEvidence struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
	Unit  string `json:"unit"` // micro_usd, tokens, count, percent, hours
}

// SuggestionOccurrence says to whom something happened, how often, and between when.
type SuggestionOccurrence struct {
	Principal string `json:"principal,omitzero"`
	Agent     string `json:"agent,omitzero"`
	Team      string `json:"team,omitzero"`
	Count     int64  `json:"count"`
	FirstAt   Time   `json:"first_at"`
	LastAt    Time   `json:"last_at"`
}

// SuggestionChange is what a suggestion would have done otherwise. Which fields count depends on the kind; readers show
// kinds they do not know by the suggestion's words.
type SuggestionChange struct {
	Kind string `json:"kind"` // prefer_account, add_accounts, change_tier, set_capacity, lend_floor, bound_fan_out, wait_in_queue, use_model, …
	// Configurable says that it is a change of the configuration; other changes are up to the agents.
	Configurable bool   `json:"configurable"`
	Account      string `json:"account,omitzero"`
	Target       string `json:"target,omitzero"` // the account to prefer
	Provider     string `json:"provider,omitzero"`
	Tier         string `json:"tier,omitzero"`
	LimitID      string `json:"limit_id,omitzero"`
	Team         string `json:"team,omitzero"`
	TaskType     string `json:"task_type,omitzero"`
	Principal    string `json:"principal,omitzero"`
	Agent        string `json:"agent,omitzero"`
	Model        string `json:"model,omitzero"`
	ToModel      string `json:"to_model,omitzero"`
	Amount       int64  `json:"amount,omitzero"` // a capacity, a number, a percentage, a minute of the day, or milliseconds, by kind
	ShiftMS      int64  `json:"shift_ms,omitzero"`
	FromHour     int64  `json:"from_hour,omitzero"` // of the day, UTC
	ToHour       int64  `json:"to_hour,omitzero"`   // excluded
}

// SuggestionBacktest is what the replay of the last days with and without the change came to.
type SuggestionBacktest struct {
	StartsAt Time  `json:"starts_at"`
	EndsAt   Time  `json:"ends_at"`
	Jobs     int64 `json:"jobs"`
	// LowMicroUSD and HighMicroUSD bound the saving with 95 % confidence, by the variation over the days; with one day
	// nothing is known of it and both are the saving.
	LowMicroUSD  int64 `json:"low_micro_usd"`
	HighMicroUSD int64 `json:"high_micro_usd"`
	// AgreementPercent is how many reserves end in the replay of what was as they did in the ledger.
	AgreementPercent Percent         `json:"agreement_percent"`
	Days             []SuggestionDay `json:"days"`
	Assumptions      []string        `json:"assumptions"`
}

// SuggestionDay is one day of a back-test, in UTC.
type SuggestionDay struct {
	StartsAt     Time              `json:"starts_at"`
	GainMicroUSD int64             `json:"gain_micro_usd"` // in the sense of saving_basis
	Was          SuggestionOutcome `json:"was"`
	Would        SuggestionOutcome `json:"would"`
}

// SuggestionOutcome is what a day of a replay came to.
type SuggestionOutcome struct {
	SpentMicroUSD  int64 `json:"spent_micro_usd"` // on accounts that are paid by use
	FeesMicroUSD   int64 `json:"fees_micro_usd"`  // of subscriptions, the day's part
	Granted        int64 `json:"granted"`
	Refusals       int64 `json:"refusals"`
	Denied         int64 `json:"denied"` // work that gave up
	DeniedMicroUSD int64 `json:"denied_micro_usd"`
	WaitedMS       int64 `json:"waited_ms"`
	ExhaustedMS    int64 `json:"exhausted_ms"` // of windows without anything left, summed over the limits
	IdleMicroUSD   int64 `json:"idle_micro_usd"`
}

// SuggestionRealised is what was saved on whole days after a suggestion was told: what would have been avoidable at the
// former share of the work, less what still was.
type SuggestionRealised struct {
	Days             int64 `json:"days"`
	PromisedMicroUSD int64 `json:"promised_micro_usd"` // for as many days
	SavedMicroUSD    int64 `json:"saved_micro_usd"`
}

// SuggestionPast is a suggestion that was told and holds no more.
type SuggestionPast struct {
	SuggestionID string             `json:"suggestion_id"`
	Rule         string             `json:"rule"`
	Subject      SuggestionSubject  `json:"subject"`
	Title        string             `json:"title"`
	SavingBasis  string             `json:"saving_basis"`
	MadeAt       Time               `json:"made_at"`
	Realised     SuggestionRealised `json:"realised"`
}

// SuggestionDismissal says that a rule's advice on a subject is not wanted.
type SuggestionDismissal struct {
	SuggestionID string            `json:"suggestion_id"` // under which it was seen
	Rule         string            `json:"rule"`
	Subject      SuggestionSubject `json:"subject"`
	Title        string            `json:"title,omitzero"`
	By           string            `json:"by,omitzero"` // the principal who says so
	Reason       string            `json:"reason,omitzero"`
	At           Time              `json:"at"`
}

// SuggestionDismissals is the value of [DismissalsKey] in [BucketSuggestions].
type SuggestionDismissals struct {
	Dismissed []SuggestionDismissal `json:"dismissed"`
}

// AnyDismissals matches the keys of dismissed advice of all workspaces.
const AnyDismissals = "*." + dismissed

const dismissed = "dismissed"

// MaxDismissals bounds a list of dismissals.
const MaxDismissals = 500

// DismissalsKey is the key of a workspace's dismissed advice in [BucketSuggestions]. Errors: [ErrName].
func DismissalsKey(workspace string) (string, error) { return suggestionKey(workspace, dismissed) }

// SuggestionList is the current advice of a workspace, the value of [SuggestionsKey] in [BucketSuggestions].
type SuggestionList struct {
	Workspace   string       `json:"workspace"`
	AsOf        Time         `json:"as_of"`  // ledger time of the last commit that was looked at
	Commit      uint64       `json:"commit"` // its number
	Suggestions []Suggestion `json:"suggestions"`
	// Past are suggestions that hold no more, with what was saved since they were told; the latest first.
	Past []SuggestionPast `json:"past,omitzero"`
}

// NoSuggestions is the list of a workspace of which nothing was looked at yet: as of now there are none.
func NoSuggestions(workspace string, now Time) SuggestionList {
	return SuggestionList{Workspace: workspace, AsOf: now, Suggestions: []Suggestion{}}
}

// LeaveOut takes out what was dismissed since the list was made.
func (l *SuggestionList) LeaveOut(d SuggestionDismissals) {
	l.Suggestions = slices.DeleteFunc(l.Suggestions, func(s Suggestion) bool {
		return slices.ContainsFunc(d.Dismissed, func(one SuggestionDismissal) bool { return one.Rule == s.Rule && one.Subject == s.Subject })
	})
}

// SuggestionsKey is the key of a workspace's current advice in [BucketSuggestions]. Errors: [ErrName].
func SuggestionsKey(workspace string) (string, error) { return suggestionKey(workspace, "list") }

// SuggestionStateKey is the key under which the suggestion service keeps its own state of a workspace; its value is
// not part of the protocol. Errors: [ErrName].
func SuggestionStateKey(workspace string) (string, error) { return suggestionKey(workspace, "state") }

func suggestionKey(workspace, part string) (string, error) {
	token, err := EncodeToken(workspace)
	if err != nil {
		return "", err
	}
	return token + "." + part, nil
}
