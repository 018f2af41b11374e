// Package wire holds everything that crosses a process boundary: the names of subjects, streams,
// buckets and consumers, the encoding of names into subject tokens, and the JSON shapes of requests,
// replies and events.
//
// It guarantees that a subject is built and read in one place only, that a name survives the trip
// into a subject and back unchanged, and that two different subjects never stand for the same
// principal. Callers must tolerate that building a subject can fail: names come from strangers.
package wire

// Names on the wire. Changing one of these changes the protocol: clients, permissions and stored
// streams all depend on them.
const (
	// SubjectRoot is the first token of every subject of the protocol.
	SubjectRoot = "quota"
	// SubjectVersion is the second token: the major version of the protocol.
	SubjectVersion = "v1"

	// InboxRoot is the first token of every inbox of a principal; see [InboxPrefix].
	InboxRoot = "_INBOX"
	// ServiceInboxRoot is the first token of the inboxes of our own services. It differs from
	// [InboxRoot] so that whoever may answer agents can never answer a service.
	ServiceInboxRoot = "_INBOX_SERVICE"
)

// Buckets (NATS key-value) and the streams under them.
const (
	// BucketLedger holds the commits: key = workspace, each revision one commit, its history the log.
	BucketLedger = "quota_ledger"
	// BucketKeyframes holds states as of a commit, in chunks: a cache, rebuildable from the ledger.
	BucketKeyframes = "quota_keyframes"
	// BucketLease holds who tries to lead a workspace: key = workspace. It guards nothing.
	BucketLease = "quota_lease"
	// BucketSuggestions holds the current advice: keys start with the workspace.
	BucketSuggestions = "quota_suggestions"
	// BucketEstimates holds what is learned about tasks: key = workspace, see [EstimatesKey].
	BucketEstimates = "quota_estimates"

	// StreamLedger, StreamKeyframes, StreamLease, StreamSuggestions and StreamEstimates are the streams of the buckets.
	StreamLedger      = kvStreamPrefix + BucketLedger
	StreamKeyframes   = kvStreamPrefix + BucketKeyframes
	StreamLease       = kvStreamPrefix + BucketLease
	StreamSuggestions = kvStreamPrefix + BucketSuggestions
	StreamEstimates   = kvStreamPrefix + BucketEstimates

	// StreamEvents holds the public CloudEvents that the relay makes out of commits.
	StreamEvents = "QUOTA_EVENTS"

	kvStreamPrefix  = "KV_"
	kvSubjectPrefix = "$KV."
)

// Durable consumers of the ledger stream.
const (
	ConsumerRelay      = "relay"
	ConsumerAnalytics  = "analytics"
	ConsumerSuggestion = "suggestion"
)

// LedgerConsumers returns the names of all durable consumers of the ledger stream: those whose
// acknowledgement floor bounds how far the ledger may be trimmed.
func LedgerConsumers() []string {
	return []string{ConsumerRelay, ConsumerAnalytics, ConsumerSuggestion}
}

// Filters over all workspaces.
const (
	// FilterEvents matches every public event.
	FilterEvents = SubjectRoot + "." + SubjectVersion + ".*.event.>"
	// FilterLedger matches every commit.
	FilterLedger = kvSubjectPrefix + BucketLedger + ".>"
)

// BucketSubject returns the subject filter of all keys of a bucket.
func BucketSubject(bucket string) string { return kvSubjectPrefix + bucket + ".>" }

// BucketStream returns the name of the stream under a bucket.
func BucketStream(bucket string) string { return kvStreamPrefix + bucket }

// KeySubject returns the subject that a bucket's key is published to. The key must be valid already
// (tokens from [EncodeToken] joined with dots are).
func KeySubject(bucket, key string) string { return kvSubjectPrefix + bucket + "." + key }

// Kind is the fourth token of a subject: what kind of traffic it carries.
type Kind string

// The kinds of subjects.
const (
	// KindAgent: requests of agents, quota.v1.<workspace>.agent.<principal>.<agent>.<verb>.
	KindAgent Kind = "agent"
	// KindAdmin: requests of operators, quota.v1.<workspace>.admin.<principal>.<verb>.
	KindAdmin Kind = "admin"
	// KindQuery: questions to analytics, quota.v1.<workspace>.query.<principal>.<name>.
	KindQuery Kind = "query"
	// KindEvent: public events, quota.v1.<workspace>.event.<principal>.<agent>.<type>, where the
	// type is one or more tokens (reservation.granted).
	KindEvent Kind = "event"
	// KindNotice: hurry-ups pushed to an agent, quota.v1.<workspace>.notice.<principal>.<agent>.
	KindNotice Kind = "notice"
)
