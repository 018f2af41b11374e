package wire

import "github.com/bursarhq/bursar/pkg/quota"

// ApplyRequest replaces the configuration.
type ApplyRequest struct {
	Identified
	// Document is the configuration as YAML or JSON text. It is taken as text so that faults can be told with their line.
	Document string `json:"document"`
	// IfVersion refuses the change with conflict unless the present version is this one; absent means any.
	IfVersion uint64 `json:"if_version,omitzero"`
}

// ApplyReply tells the version that holds from now on.
type ApplyReply struct {
	ConfigVersion uint64 `json:"config_version"`
}

// GetConfigRequest asks for the configuration that holds.
type GetConfigRequest struct{}

// ConfigReply is the configuration that holds, with every default filled in.
type ConfigReply struct {
	ConfigVersion uint64 `json:"config_version"`
	Config        Config `json:"config"`
}

// AccountsRequest asks for every account and limit, or for one account.
type AccountsRequest struct {
	Account string `json:"account,omitzero"`
}

// AccountsReply is how the accounts and limits of a workspace stand.
type AccountsReply struct {
	Now           Time         `json:"now"`
	ConfigVersion uint64       `json:"config_version,omitzero"`
	Accounts      []Account    `json:"accounts"`
	Limits        []Limit      `json:"limits,omitzero"` // those of no account: of teams, agents and the workspace
	Teams         []TeamStatus `json:"teams,omitzero"`  // by name
	Blocks        []Block      `json:"blocks,omitzero"`
	Totals        *Totals      `json:"totals,omitzero"`
}

// ReservationsRequest asks for reservations of the workspace, oldest first, that match every field given.
type ReservationsRequest struct {
	ReservationID string `json:"reservation_id,omitzero"`
	Principal     string `json:"principal,omitzero"`
	Agent         string `json:"agent,omitzero"`
	Team          string `json:"team,omitzero"`
	Provider      string `json:"provider,omitzero"`
	Account       string `json:"account,omitzero"`
	Closed        bool   `json:"closed,omitzero"` // the recently closed ones too
	Limit         int64  `json:"limit,omitzero"`  // items of one reply; default 100
	After         string `json:"after,omitzero"`  // Next of the reply before
}

// RevokeRequest closes a reservation against its holder's will; the holder gets a notice.
type RevokeRequest struct {
	Identified
	ReservationID string `json:"reservation_id"`
	Reason        string `json:"reason,omitzero"`
}

// HoldRequest stops new grants; what is held stays held.
type HoldRequest struct {
	Identified
	Target string `json:"target"`        // workspace, account, team or agent
	Name   string `json:"name,omitzero"` // absent for the workspace
	Reason string `json:"reason,omitzero"`
}

// ResumeRequest allows grants again.
type ResumeRequest struct {
	Identified
	Target string `json:"target"`
	Name   string `json:"name,omitzero"`
}

// BlockReply answers hold and resume.
type BlockReply struct {
	Target string `json:"target"`
	Name   string `json:"name,omitzero"`
	Held   bool   `json:"held"` // whether new grants are stopped from now on
}

// VerifyRequest asks the allocator to fold the kept log again and check every invariant.
type VerifyRequest struct{}

// VerifyReply is what the check found.
type VerifyReply struct {
	OK           bool     `json:"ok"`
	LedgerID     string   `json:"ledger_id,omitzero"`
	Epoch        uint64   `json:"epoch,omitzero"`
	FirstCommit  uint64   `json:"first_commit,omitzero"` // the oldest that was folded
	LastCommit   uint64   `json:"last_commit,omitzero"`
	Commits      uint64   `json:"commits"`
	Events       uint64   `json:"events"`
	Reservations uint64   `json:"reservations"` // granted within the kept log
	Violations   []string `json:"violations"`
	Totals       *Totals  `json:"totals,omitzero"`
}

// Verb is apply.
func (*ApplyRequest) Verb() string { return VerbApply }

// Verb is get-config.
func (*GetConfigRequest) Verb() string { return VerbGetConfig }

// Verb is accounts.
func (*AccountsRequest) Verb() string { return VerbAccounts }

// Verb is reservations.
func (*ReservationsRequest) Verb() string { return VerbReservations }

// Verb is revoke.
func (*RevokeRequest) Verb() string { return VerbRevoke }

// Verb is hold.
func (*HoldRequest) Verb() string { return VerbHold }

// Verb is resume.
func (*ResumeRequest) Verb() string { return VerbResume }

// Verb is verify.
func (*VerifyRequest) Verb() string { return VerbVerify }

// Append appends the request's JSON.
func (r *ApplyRequest) Append(b []byte) []byte { return applyObject.append(b, r) }

// Append appends the request's JSON.
func (r *GetConfigRequest) Append(b []byte) []byte { return getConfigObject.append(b, r) }

// Append appends the request's JSON.
func (r *AccountsRequest) Append(b []byte) []byte { return accountsObject.append(b, r) }

// Append appends the request's JSON.
func (r *ReservationsRequest) Append(b []byte) []byte { return reservationsObject.append(b, r) }

// Append appends the request's JSON.
func (r *RevokeRequest) Append(b []byte) []byte { return revokeObject.append(b, r) }

// Append appends the request's JSON.
func (r *HoldRequest) Append(b []byte) []byte { return holdObject.append(b, r) }

// Append appends the request's JSON.
func (r *ResumeRequest) Append(b []byte) []byte { return resumeObject.append(b, r) }

// Append appends the request's JSON.
func (r *VerifyRequest) Append(b []byte) []byte { return verifyObject.append(b, r) }

func (r *ApplyRequest) decode(d *decoder)        { applyObject.decode(d, r) }
func (r *GetConfigRequest) decode(d *decoder)    { getConfigObject.decode(d, r) }
func (r *AccountsRequest) decode(d *decoder)     { accountsObject.decode(d, r) }
func (r *ReservationsRequest) decode(d *decoder) { reservationsObject.decode(d, r) }
func (r *RevokeRequest) decode(d *decoder)       { revokeObject.decode(d, r) }
func (r *HoldRequest) decode(d *decoder)         { holdObject.decode(d, r) }
func (r *ResumeRequest) decode(d *decoder)       { resumeObject.decode(d, r) }
func (r *VerifyRequest) decode(d *decoder)       { verifyObject.decode(d, r) }

// ParamsHash identifies what is asked for.
func (r *ApplyRequest) ParamsHash() ParamsHash { return hashOf(VerbApply, r) }

// ParamsHash identifies what is asked for.
func (r *RevokeRequest) ParamsHash() ParamsHash { return hashOf(VerbRevoke, r) }

// ParamsHash identifies what is asked for.
func (r *HoldRequest) ParamsHash() ParamsHash { return hashOf(VerbHold, r) }

// ParamsHash identifies what is asked for.
func (r *ResumeRequest) ParamsHash() ParamsHash { return hashOf(VerbResume, r) }

// Command makes a quota.ApplyConfig of the configuration that the document was parsed to.
func (r *ApplyRequest) Command(by quota.Actor, config quota.Config) quota.Command {
	return quota.ApplyConfig{Actor: by, Config: config, IfVersion: r.IfVersion}
}

// Command makes a quota.Revoke.
func (r *RevokeRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Revoke{Actor: by, Reservation: r.ReservationID, Reason: r.Reason}
}

// Command makes a quota.Block.
func (r *HoldRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Block{Actor: by, Target: quota.BlockTarget(r.Target), Name: r.Name, Reason: r.Reason}
}

// Command makes a quota.Unblock.
func (r *ResumeRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Unblock{Actor: by, Target: quota.BlockTarget(r.Target), Name: r.Name}
}

var blockTargets = []string{
	string(quota.BlockWorkspace), string(quota.BlockAccount), string(quota.BlockTeam), string(quota.BlockAgent),
}

var applyObject = object[ApplyRequest]{
	requestID(func(r *ApplyRequest) *string { return &r.RequestID }),
	must(text("document", MaxConfigBytes, func(r *ApplyRequest) *string { return &r.Document })),
	counter("if_version", func(r *ApplyRequest) *uint64 { return &r.IfVersion }),
}

var (
	getConfigObject = object[GetConfigRequest]{}
	verifyObject    = object[VerifyRequest]{}
)

var accountsObject = object[AccountsRequest]{
	name("account", MaxNameBytes, func(r *AccountsRequest) *string { return &r.Account }),
}

var reservationsObject = object[ReservationsRequest]{
	name("reservation_id", MaxTextBytes, func(r *ReservationsRequest) *string { return &r.ReservationID }),
	name("principal", MaxNameBytes, func(r *ReservationsRequest) *string { return &r.Principal }),
	name("agent", MaxNameBytes, func(r *ReservationsRequest) *string { return &r.Agent }),
	name("team", MaxNameBytes, func(r *ReservationsRequest) *string { return &r.Team }),
	name("provider", MaxNameBytes, func(r *ReservationsRequest) *string { return &r.Provider }),
	name("account", MaxNameBytes, func(r *ReservationsRequest) *string { return &r.Account }),
	boolean("closed", func(r *ReservationsRequest) *bool { return &r.Closed }),
	integer("limit", 1, MaxListLimit, func(r *ReservationsRequest) *int64 { return &r.Limit }),
	name("after", MaxTextBytes, func(r *ReservationsRequest) *string { return &r.After }),
}

var revokeObject = object[RevokeRequest]{
	requestID(func(r *RevokeRequest) *string { return &r.RequestID }),
	mustName("reservation_id", MaxTextBytes, func(r *RevokeRequest) *string { return &r.ReservationID }),
	text("reason", MaxTextBytes, func(r *RevokeRequest) *string { return &r.Reason }),
}

var holdObject = object[HoldRequest]{
	requestID(func(r *HoldRequest) *string { return &r.RequestID }),
	must(choice("target", blockTargets, func(r *HoldRequest) *string { return &r.Target })),
	name("name", MaxNameBytes, func(r *HoldRequest) *string { return &r.Name }),
	text("reason", MaxTextBytes, func(r *HoldRequest) *string { return &r.Reason }),
}

var resumeObject = object[ResumeRequest]{
	requestID(func(r *ResumeRequest) *string { return &r.RequestID }),
	must(choice("target", blockTargets, func(r *ResumeRequest) *string { return &r.Target })),
	name("name", MaxNameBytes, func(r *ResumeRequest) *string { return &r.Name }),
}
