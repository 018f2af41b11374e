package wire

// EstimatesRequest asks how estimates did against what was then used.
type EstimatesRequest struct{}

// EstimatesReply is how estimates did in the last days, out of sample: against each settled reservation stands what was
// estimated of its work when it was granted.
type EstimatesReply struct {
	Commit        uint64          `json:"commit,omitzero"`         // the last one of the ledger that it accounts for
	SinceAt       Time            `json:"since_at,omitzero"`       // absent where nothing was ever learned
	TargetPercent Percent         `json:"target_percent,omitzero"` // the share of all tasks that are to fit
	Overall       EstimateScore   `json:"overall,omitzero"`
	Types         []EstimateScore `json:"types"` // by task type
}

// EstimateScore is how the estimates of a type did.
type EstimateScore struct {
	TaskType   string          `json:"task_type,omitzero"` // empty for the sum, and for work that named none
	Tasks      int64           `json:"tasks"`
	UsedTokens int64           `json:"used_tokens"`
	AimPercent Percent         `json:"aim_percent,omitzero"` // the share that was to fit
	Learned    EstimateCount   `json:"learned"`
	Table      EstimateCount   `json:"table"`           // the built-in table × 1.3
	Stated     *EstimateStated `json:"stated,omitzero"` // absent where no reservation says which estimate it rests on
}

// EstimateCount is how one way to estimate did.
type EstimateCount struct {
	Covered        int64   `json:"covered"` // tasks that used no more
	CoveredPercent Percent `json:"covered_percent"`
	WasteTokens    int64   `json:"waste_tokens"` // estimated and not used
	ShortTokens    int64   `json:"short_tokens"` // used beyond
}

// EstimateStated is about the reservations that say which estimate they rest on.
type EstimateStated struct {
	Tasks           int64         `json:"tasks"`
	UsedTokens      int64         `json:"used_tokens"`
	EstimatedTokens int64         `json:"estimated_tokens"` // what their agents were told
	GrantedTokens   int64         `json:"granted_tokens"`   // at first, without extensions
	Estimate        EstimateCount `json:"estimate"`         // what they were told against what they used
	Grant           EstimateCount `json:"grant"`            // what they were granted at first against what they used
	Extended        int64         `json:"extended,omitzero"`
}

// Verb is estimates.
func (*EstimatesRequest) Verb() string { return VerbEstimates }

// Append appends the request's JSON.
func (r *EstimatesRequest) Append(b []byte) []byte { return estimatesObject.append(b, r) }

func (r *EstimatesRequest) decode(d *decoder) { estimatesObject.decode(d, r) }

var estimatesObject = object[EstimatesRequest]{}
