package wire

import (
	"errors"
	"fmt"
	"strings"
)

// MaxVerbBytes is the longest verb, query name or event type, in bytes.
const MaxVerbBytes = 64

// ErrSubject: a subject that is not one of the protocol's, or parts that make none.
var ErrSubject = errors.New("invalid subject")

// Subject is a subject of the protocol, taken apart. Workspace, Principal and Agent are names, not
// tokens; any of them may be empty in an event that concerns nobody in particular.
type Subject struct {
	Kind      Kind
	Workspace string
	Principal string
	Agent     string // empty for admin and query subjects, which have no such token
	Verb      string // the verb, the query's name, or the event's type; empty for notices
}

// AgentSubject returns the subject of an agent's request. Errors: [ErrName], [ErrSubject].
func AgentSubject(workspace, principal, agent, verb string) (string, error) {
	return Subject{Kind: KindAgent, Workspace: workspace, Principal: principal, Agent: agent, Verb: verb}.Build()
}

// AdminSubject returns the subject of an operator's request. Errors: [ErrName], [ErrSubject].
func AdminSubject(workspace, principal, verb string) (string, error) {
	return Subject{Kind: KindAdmin, Workspace: workspace, Principal: principal, Verb: verb}.Build()
}

// QuerySubject returns the subject of a question to analytics. Errors: [ErrName], [ErrSubject].
func QuerySubject(workspace, principal, name string) (string, error) {
	return Subject{Kind: KindQuery, Workspace: workspace, Principal: principal, Verb: name}.Build()
}

// EventSubject returns the subject of a public event. Errors: [ErrName], [ErrSubject].
func EventSubject(workspace, principal, agent, eventType string) (string, error) {
	return Subject{Kind: KindEvent, Workspace: workspace, Principal: principal, Agent: agent, Verb: eventType}.Build()
}

// NoticeSubject returns the subject of a notice to an agent. Errors: [ErrName], [ErrSubject].
func NoticeSubject(workspace, principal, agent string) (string, error) {
	return Subject{Kind: KindNotice, Workspace: workspace, Principal: principal, Agent: agent}.Build()
}

// Build returns the subject as it goes on the wire. It returns [ErrName] when a name cannot be
// encoded and [ErrSubject] when the kind or the verb is not one that a subject may have.
func (s Subject) Build() (string, error) {
	if err := s.checkParts(); err != nil {
		return "", err
	}
	prefix, err := kindPrefix(s.Workspace, s.Kind)
	if err != nil {
		return "", err
	}
	principal, err := EncodeToken(s.Principal)
	if err != nil {
		return "", fmt.Errorf("principal: %w", err)
	}
	parts := []string{prefix, principal}
	if s.Kind.hasAgent() {
		agent, err := EncodeToken(s.Agent)
		if err != nil {
			return "", fmt.Errorf("agent: %w", err)
		}
		parts = append(parts, agent)
	}
	if s.Verb != "" {
		parts = append(parts, s.Verb)
	}
	return strings.Join(parts, "."), nil
}

// ParseSubject takes a subject apart. Anything [Subject.Build] would not have produced is an
// [ErrSubject] or [ErrToken]: wildcards, empty tokens, names spelled in a second way. Where only the agent's token is
// wrong, kind, workspace and principal are returned beside the error, so that who sent it can be told.
func ParseSubject(subject string) (Subject, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 5 || tokens[0] != SubjectRoot || tokens[1] != SubjectVersion {
		return Subject{}, fmt.Errorf("%w: %q does not start with %s.%s.<workspace>.<kind>.<principal>", ErrSubject, subject, SubjectRoot, SubjectVersion)
	}
	s := Subject{Kind: Kind(tokens[3])}
	if !s.Kind.known() {
		return Subject{}, fmt.Errorf("%w: %q has the unknown kind %q", ErrSubject, subject, tokens[3])
	}
	var err error
	if s.Workspace, err = DecodeToken(tokens[2]); err != nil {
		return Subject{}, fmt.Errorf("workspace: %w", err)
	}
	if s.Principal, err = DecodeToken(tokens[4]); err != nil {
		return Subject{}, fmt.Errorf("principal: %w", err)
	}
	rest := tokens[5:]
	if s.Kind.hasAgent() {
		if len(rest) == 0 {
			return Subject{}, fmt.Errorf("%w: %q names no agent", ErrSubject, subject)
		}
		if s.Agent, err = DecodeToken(rest[0]); err != nil {
			return s, fmt.Errorf("agent: %w", err)
		}
		rest = rest[1:]
	}
	s.Verb = strings.Join(rest, ".")
	if err := s.checkParts(); err != nil {
		return Subject{}, err
	}
	return s, nil
}

func (s Subject) checkParts() error {
	switch {
	case !s.Kind.known():
		return fmt.Errorf("%w: unknown kind %q", ErrSubject, s.Kind)
	case !s.Kind.hasAgent() && s.Agent != "":
		return fmt.Errorf("%w: %s subjects name no agent", ErrSubject, s.Kind)
	case s.Kind == KindNotice:
		if s.Verb != "" {
			return fmt.Errorf("%w: notices have no verb", ErrSubject)
		}
		return nil
	case s.Kind == KindEvent:
		return checkVerb(s.Verb, true)
	}
	return checkVerb(s.Verb, false)
}

func (k Kind) known() bool {
	switch k {
	case KindAgent, KindAdmin, KindQuery, KindEvent, KindNotice:
		return true
	}
	return false
}

func (k Kind) hasAgent() bool { return k == KindAgent || k == KindEvent || k == KindNotice }

// checkVerb allows lower case letters, digits, '-' and '_', and, where dotted, several such tokens.
func checkVerb(verb string, dotted bool) error {
	if verb == "" || len(verb) > MaxVerbBytes {
		return fmt.Errorf("%w: verb %q is not within 1..%d bytes", ErrSubject, verb, MaxVerbBytes)
	}
	if !dotted && strings.Contains(verb, ".") {
		return fmt.Errorf("%w: verb %q contains a dot", ErrSubject, verb)
	}
	for token := range strings.SplitSeq(verb, ".") {
		if token == "" {
			return fmt.Errorf("%w: verb %q has an empty part", ErrSubject, verb)
		}
		for i := range len(token) {
			c := token[i]
			if !plainByte(c) || c >= 'A' && c <= 'Z' {
				return fmt.Errorf("%w: verb %q has characters other than a-z, 0-9, - and _", ErrSubject, verb)
			}
		}
	}
	return nil
}

// kindPrefix returns quota.v1.<workspace>.<kind>.
func kindPrefix(workspace string, kind Kind) (string, error) {
	token, err := EncodeToken(workspace)
	if err != nil {
		return "", fmt.Errorf("workspace: %w", err)
	}
	return SubjectRoot + "." + SubjectVersion + "." + token + "." + string(kind), nil
}
