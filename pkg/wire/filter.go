package wire

import (
	"fmt"
	"strings"
)

// Filters: subjects with wildcards, to subscribe to or to grant.

// VerbFilter returns the filter that one verb of a kind is served on for every principal (and agent)
// of a workspace: quota.v1.<workspace>.agent.*.*.<verb>, ….admin.*.<verb> or ….query.*.<name>.
// Events and notices are not served, they are an [ErrSubject].
func VerbFilter(workspace string, kind Kind, verb string) (string, error) {
	prefix, err := kindPrefix(workspace, kind)
	if err != nil {
		return "", err
	}
	if err := checkVerb(verb, false); err != nil {
		return "", err
	}
	switch kind {
	case KindAgent:
		return prefix + ".*.*." + verb, nil
	case KindAdmin, KindQuery:
		return prefix + ".*." + verb, nil
	}
	return "", fmt.Errorf("%w: %q subjects are not served", ErrSubject, kind)
}

// QueryFilter returns the filter that a query is served on for every principal of every workspace,
// quota.v1.*.query.*.<name>. It returns [ErrSubject] for a name that no query can have.
func QueryFilter(query string) (string, error) {
	if err := checkVerb(query, false); err != nil {
		return "", err
	}
	return SubjectRoot + "." + SubjectVersion + ".*." + string(KindQuery) + ".*." + query, nil
}

// KindFilter returns the filter of everything of a kind in a workspace, quota.v1.<workspace>.<kind>.>.
func KindFilter(workspace string, kind Kind) (string, error) {
	if !kind.known() {
		return "", fmt.Errorf("%w: unknown kind %q", ErrSubject, kind)
	}
	prefix, err := kindPrefix(workspace, kind)
	if err != nil {
		return "", err
	}
	return prefix + ".>", nil
}

// EventFilter returns the filter of the events of one kind, whomever they concern,
// quota.v1.<workspace>.event.*.*.<kind>; workspace * is all of them. Errors: [ErrName], [ErrSubject].
func EventFilter(workspace, kind string) (string, error) {
	if err := checkVerb(kind, true); err != nil {
		return "", err
	}
	prefix := SubjectRoot + "." + SubjectVersion + ".*." + string(KindEvent)
	if workspace != "*" {
		var err error
		if prefix, err = kindPrefix(workspace, KindEvent); err != nil {
			return "", err
		}
	}
	return prefix + ".*.*." + kind, nil
}

// PrincipalFilter returns the filter of everything of a kind that belongs to one principal,
// quota.v1.<workspace>.<kind>.<principal>.>.
func PrincipalFilter(workspace string, kind Kind, principal string) (string, error) {
	if !kind.known() {
		return "", fmt.Errorf("%w: unknown kind %q", ErrSubject, kind)
	}
	prefix, err := kindPrefix(workspace, kind)
	if err != nil {
		return "", err
	}
	token, err := EncodeToken(principal)
	if err != nil {
		return "", fmt.Errorf("principal: %w", err)
	}
	return prefix + "." + token + ".>", nil
}

// LedgerKey returns the key of a workspace in the buckets that hold one key per workspace.
func LedgerKey(workspace string) (string, error) { return EncodeToken(workspace) }

// WorkspaceOfLedgerSubject returns the workspace that a subject of the ledger stream belongs to.
func WorkspaceOfLedgerSubject(subject string) (string, error) {
	key, ok := strings.CutPrefix(subject, kvSubjectPrefix+BucketLedger+".")
	if !ok {
		return "", fmt.Errorf("%w: %q is not a key of bucket %s", ErrSubject, subject, BucketLedger)
	}
	return DecodeToken(key)
}

// InboxPrefix returns the prefix of all inboxes of a principal, _INBOX.<workspace>.<principal>. A
// principal connects with it (nats.CustomInboxPrefix) and may subscribe to nothing else below
// [InboxRoot].
func InboxPrefix(workspace, principal string) (string, error) {
	ws, err := EncodeToken(workspace)
	if err != nil {
		return "", fmt.Errorf("workspace: %w", err)
	}
	p, err := EncodeToken(principal)
	if err != nil {
		return "", fmt.Errorf("principal: %w", err)
	}
	return InboxRoot + "." + ws + "." + p, nil
}

// ServiceInboxPrefix returns the prefix of the inboxes of one of our own services' connections.
func ServiceInboxPrefix(role string) (string, error) {
	token, err := EncodeToken(role)
	if err != nil {
		return "", fmt.Errorf("role: %w", err)
	}
	return ServiceInboxRoot + "." + token, nil
}

// ReplyAllowed reports whether a request of a principal may be answered at reply.
//
// NATS checks what a client publishes to, not what it names as the reply subject, so a responder that
// answers blindly lends its own permissions to every requester. A reply is allowed only below the
// requester's own inbox prefix, in a subject that is well formed and has no wildcards. A request
// that fails this is dropped and counted, never answered.
func ReplyAllowed(workspace, principal, reply string) bool {
	prefix, err := InboxPrefix(workspace, principal)
	return err == nil && ReplyBelow(prefix, reply)
}

// ReplyBelow is [ReplyAllowed] for who has the inbox prefix at hand.
func ReplyBelow(prefix, reply string) bool {
	if len(reply) > maxReplyBytes || len(reply) <= len(prefix) || reply[:len(prefix)] != prefix || reply[len(prefix)] != '.' {
		return false
	}
	token := len(prefix) + 1 // where it begins
	for i := token; i <= len(reply); i++ {
		switch {
		case i == len(reply) || reply[i] == '.':
			if t := reply[token:i]; t == "" || t == "*" || t == ">" {
				return false
			}
			token = i + 1
		case reply[i] == ' ' || reply[i] == '\t' || reply[i] == '\r' || reply[i] == '\n':
			return false
		}
	}
	return true
}

// maxReplyBytes bounds a reply subject: the longest prefix and room for a client's own suffix.
const maxReplyBytes = len(InboxRoot) + 2*(MaxTokenBytes+1) + 256

// ParseInboxPrefix returns the workspace and the principal whose inboxes have the given prefix, the
// inverse of [InboxPrefix]. Errors: [ErrSubject], [ErrToken].
func ParseInboxPrefix(prefix string) (workspace, principal string, err error) {
	tokens := strings.Split(prefix, ".")
	if len(tokens) != 3 || tokens[0] != InboxRoot {
		return "", "", fmt.Errorf("%w: %q is not %s.<workspace>.<principal>", ErrSubject, prefix, InboxRoot)
	}
	if workspace, err = DecodeToken(tokens[1]); err != nil {
		return "", "", fmt.Errorf("workspace: %w", err)
	}
	if principal, err = DecodeToken(tokens[2]); err != nil {
		return "", "", fmt.Errorf("principal: %w", err)
	}
	return workspace, principal, nil
}
