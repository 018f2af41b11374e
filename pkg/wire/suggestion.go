package wire

// Suggestion is one piece of advice: the data of a suggestion.made event, and an entry of a [SuggestionList].
type Suggestion struct {
	// SuggestionID is made of rule, subject and week: the same advice in the same week has the same id.
	SuggestionID string            `json:"suggestion_id"`
	Rule         string            `json:"rule"` // provider_switch, quota_management, reservation_size; readers show rules they do not know
	Subject      SuggestionSubject `json:"subject"`
	Title        string            `json:"title"`  // what is the case, one line
	Advice       string            `json:"advice"` // what to do about it
	// SavingMicroUSD is what following the advice would have been worth over the window, at the catalogue's prices.
	// SavingBasis says in which sense: avoidable_spend (money that would not have been spent), freed_budget (budget
	// that was held and never used) or delayed_work (work that was refused, at its price).
	SavingMicroUSD    int64                  `json:"saving_micro_usd"`
	SavingBasis       string                 `json:"saving_basis"`
	ConfidencePercent Percent                `json:"confidence_percent"` // 0 to 100, computed from the evidence
	Evidence          []SuggestionEvidence   `json:"evidence"`
	Occurrences       []SuggestionOccurrence `json:"occurrences,omitzero"` // who and when, most often first
	WindowStartsAt    Time                   `json:"window_starts_at"`     // of the evidence
	WindowEndsAt      Time                   `json:"window_ends_at"`
	MadeAt            Time                   `json:"made_at"`
	UpdatedAt         Time                   `json:"updated_at,omitzero"` // of the figures, in a list
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

// SuggestionList is the current advice of a workspace, the value of [SuggestionsKey] in [BucketSuggestions].
type SuggestionList struct {
	Workspace   string       `json:"workspace"`
	AsOf        Time         `json:"as_of"`  // ledger time of the last commit that was looked at
	Commit      uint64       `json:"commit"` // its number
	Suggestions []Suggestion `json:"suggestions"`
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
