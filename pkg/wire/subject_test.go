package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestSubjectRoundTrip(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Subject{
		"quota.v1.acme.agent.ci.worker=2E1.reserve":    {Kind: KindAgent, Workspace: "acme", Principal: "ci", Agent: "worker.1", Verb: "reserve"},
		"quota.v1.acme.admin.root.get-config":          {Kind: KindAdmin, Workspace: "acme", Principal: "root", Verb: "get-config"},
		"quota.v1.a=20b.query.ann.summary":             {Kind: KindQuery, Workspace: "a b", Principal: "ann", Verb: "summary"},
		"quota.v1.acme.event.ci.w.reservation.granted": {Kind: KindEvent, Workspace: "acme", Principal: "ci", Agent: "w", Verb: "reservation.granted"},
		"quota.v1.acme.event.=.=.suggestion.made":      {Kind: KindEvent, Workspace: "acme", Verb: "suggestion.made"},
		"quota.v1.acme.notice.ci.w":                    {Kind: KindNotice, Workspace: "acme", Principal: "ci", Agent: "w"},
	} {
		got, err := s.Build()
		if err != nil || got != want {
			t.Errorf("Build(%+v) = %q, %v; want %q", s, got, err, want)
		}
		back, err := ParseSubject(want)
		if err != nil || back != s {
			t.Errorf("ParseSubject(%q) = %+v, %v; want %+v", want, back, err, s)
		}
	}
}

func TestParseSubjectRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty": "", "other root": "x.v1.acme.agent.ci.w.reserve", "other version": "quota.v2.acme.agent.ci.w.reserve",
		"unknown kind": "quota.v1.acme.root.ci.w.reserve", "wildcard principal": "quota.v1.acme.agent.*.w.reserve",
		"full wildcard": "quota.v1.acme.agent.>", "no verb": "quota.v1.acme.agent.ci.w", "two verbs": "quota.v1.acme.agent.ci.w.reserve.now",
		"upper case verb": "quota.v1.acme.agent.ci.w.Reserve", "empty token": "quota.v1.acme.agent.ci..reserve",
		"second spelling": "quota.v1.acme.agent.=63i.w.reserve", "notice with verb": "quota.v1.acme.notice.ci.w.now",
		"admin without verb": "quota.v1.acme.admin.root", "event with empty type part": "quota.v1.acme.event.ci.w.a..b",
	} {
		if got, err := ParseSubject(in); err == nil {
			t.Errorf("%s: ParseSubject(%q) = %+v, want an error", name, in, got)
		}
	}
	if got, err := ParseSubject("quota.v1.acme.agent.ci.=2e.reserve"); !errors.Is(err, ErrToken) || got != (Subject{Kind: KindAgent, Workspace: "acme", Principal: "ci"}) {
		t.Errorf("an agent in another spelling: %+v, %v", got, err)
	}
	if _, err := (Subject{Kind: KindAdmin, Workspace: "w", Principal: "p", Agent: "a", Verb: "apply"}).Build(); !errors.Is(err, ErrSubject) {
		t.Errorf("an admin subject with an agent: %v", err)
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add("quota.v1.acme.agent.ci.worker=2E1.reserve")
	f.Add("quota.v1.acme.event.=.=.suggestion.made")
	f.Add("quota.v1.acme.notice.ci.w")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseSubject(in)
		if err != nil {
			return
		}
		if out, err := s.Build(); err != nil || out != in {
			t.Fatalf("%q parses to %+v, which builds %q, %v", in, s, out, err)
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	check := func(want string) func(string, error) {
		return func(got string, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
	}
	check("quota.v1.a=2Eb.agent.*.*.reserve")(VerbFilter("a.b", KindAgent, "reserve"))
	check("quota.v1.acme.admin.*.apply")(VerbFilter("acme", KindAdmin, "apply"))
	check("quota.v1.acme.query.*.summary")(VerbFilter("acme", KindQuery, "summary"))
	check("quota.v1.acme.event.>")(KindFilter("acme", KindEvent))
	check("quota.v1.acme.event.ci.>")(PrincipalFilter("acme", KindEvent, "ci"))
	check("_INBOX.acme.c=20i")(InboxPrefix("acme", "c i"))
	check("_INBOX_SERVICE.relay")(ServiceInboxPrefix("relay"))
	check("a b")(WorkspaceOfLedgerSubject("$KV.quota_ledger.a=20b"))
	if _, err := VerbFilter("acme", KindEvent, "x"); !errors.Is(err, ErrSubject) {
		t.Errorf("an event filter by verb: %v", err)
	}
	if _, err := WorkspaceOfLedgerSubject("$KV.quota_lease.a"); !errors.Is(err, ErrSubject) {
		t.Errorf("a foreign bucket: %v", err)
	}
}

func TestParseInboxPrefix(t *testing.T) {
	t.Parallel()
	if ws, p, err := ParseInboxPrefix("_INBOX.a=2Eb.ci"); err != nil || ws != "a.b" || p != "ci" {
		t.Errorf("got %q, %q, %v", ws, p, err)
	}
	for _, bad := range []string{"", "_INBOX", "_INBOX.acme", "_INBOX.acme.ci.x", "X.acme.ci", "_INBOX.acme.*"} {
		if ws, p, err := ParseInboxPrefix(bad); err == nil {
			t.Errorf("%q parses to %q, %q", bad, ws, p)
		}
	}
}

func TestReplyAllowed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reply string
		want  bool
	}{
		"own inbox":              {"_INBOX.acme.ci.abc.1", true},
		"prefix itself":          {"_INBOX.acme.ci", false},
		"prefix and a dot":       {"_INBOX.acme.ci.", false},
		"no reply":               {"", false},
		"other principal":        {"_INBOX.acme.ciso.abc", false},
		"other workspace":        {"_INBOX.other.ci.abc", false},
		"ledger":                 {"$KV.quota_ledger.acme", false},
		"api":                    {"$JS.API.STREAM.DELETE.KV_quota_ledger", false},
		"event":                  {"quota.v1.acme.event.ci.w.reservation.granted", false},
		"wildcard":               {"_INBOX.acme.ci.*", false},
		"full wildcard":          {"_INBOX.acme.ci.>", false},
		"injected protocol line": {"_INBOX.acme.ci.x\r\nPUB y", false},
		"endless":                {"_INBOX.acme.ci." + strings.Repeat("a", 4096), false},
	} {
		if got := ReplyAllowed("acme", "ci", tc.reply); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	if !ReplyAllowed("a.b", "", "_INBOX.a=2Eb.=.1") {
		t.Error("encoded names: refused, want allowed")
	}
}

func TestQueryFilter(t *testing.T) {
	t.Parallel()
	if got, err := QueryFilter("summary"); err != nil || got != "quota.v1.*.query.*.summary" {
		t.Errorf("QueryFilter gives %q, %v", got, err)
	}
	if _, err := QueryFilter("a.b"); !errors.Is(err, ErrSubject) {
		t.Errorf("a query with a dot: %v, want it refused", err)
	}
}
