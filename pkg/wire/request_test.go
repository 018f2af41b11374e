package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

const testID = requestIDExample

func reserveBody(rest string) string {
	return `{"request_id":"` + testID + `","provider":"claude","model":"claude-sonnet-4-5"` + rest + `}`
}

func TestDecodeReserve(t *testing.T) {
	t.Parallel()
	body := reserveBody(`,"task_type":"code_review","priority":"high","tokens":{"input":6000,"cache_read":1,"output":2000},"requests":3,
		"ttl_ms":60000,"lease_ms":5000,"ack_notices":[7,9]`)
	r, err := DecodeRequest(KindAgent, VerbReserve, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	by := quota.Actor{Principal: "ci", Agent: "worker"}
	got := r.(Commanding).Command(by, "r-1")
	want := quota.Reserve{
		Actor: by, Reservation: "r-1", Provider: "claude", Model: "claude-sonnet-4-5", TaskType: "code_review", Priority: quota.PriorityHigh,
		Amount:   quota.Amount{Tokens: quota.Tokens{Input: 6000, CacheRead: 1, Output: 2000}, Requests: 3},
		Lifetime: quota.Minute, Lease: 5 * quota.Second,
	}
	if !reflect.DeepEqual(got, quota.Command(want)) {
		t.Errorf("command\n%+v, want\n%+v", got, want)
	}
	if acks := r.(Acknowledging).Acknowledged(); !reflect.DeepEqual(acks, []uint64{7, 9}) {
		t.Errorf("acks %v", acks)
	}
	if id := r.(Mutation).ID(); id.String() != testID {
		t.Errorf("request id %s", id)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ verb, body, want string }{
		"not JSON":          {VerbReserve, `hello`, "must be an object"},
		"a list":            {VerbReserve, `[]`, "must be an object, not a list"},
		"cut off":           {VerbReserve, `{"provider":"cl`, "without closing quote"},
		"after the end":     {VerbReserve, reserveBody("") + "x", "something follows"},
		"no request id":     {VerbReserve, `{"provider":"claude","model":"m"}`, "request_id: is missing"},
		"UUIDv4":            {VerbReserve, strings.Replace(reserveBody(""), "-7a44", "-4a44", 1), "request_id: must be a UUIDv7"},
		"no model":          {VerbReserve, `{"request_id":"` + testID + `","provider":"p"}`, "model: is missing"},
		"no provider":       {VerbReserve, `{"request_id":"` + testID + `","model":"m"}`, "name a provider"},
		"misspelt":          {VerbReserve, reserveBody(`,"modle":"x"`), `unknown field "modle"; known are request_id, `},
		"twice":             {VerbReserve, reserveBody(`,"model":"x"`), `field "model" stands there twice`},
		"null":              {VerbReserve, reserveBody(`,"account":null`), "account: must be text in double quotes, not null; leave the field out"},
		"negative tokens":   {VerbReserve, reserveBody(`,"tokens":{"input":-1}`), "tokens.input: must be from 0 to 1000000000000, not -1"},
		"fraction":          {VerbReserve, reserveBody(`,"tokens":{"input":1.5}`), "tokens.input: must be a whole number"},
		"exponent":          {VerbReserve, reserveBody(`,"tokens":{"input":1e3}`), "tokens.input: must be a whole number"},
		"NaN":               {VerbReserve, reserveBody(`,"tokens":{"input":NaN}`), "tokens.input: must be a number, not NaN or Infinity"},
		"overflow":          {VerbReserve, reserveBody(`,"ttl_ms":99999999999999999999`), "ttl_ms: must be from 0 to"},
		"leading zero":      {VerbReserve, reserveBody(`,"ttl_ms":01`), "broken number"},
		"unknown priority":  {VerbReserve, reserveBody(`,"priority":"urgent"`), `priority: must be low, normal, high, critical, not "urgent"`},
		"long name":         {VerbReserve, reserveBody(`,"account":"` + strings.Repeat("x", 129) + `"`), "account: has 129 bytes, at most 128"},
		"control character": {VerbReserve, reserveBody(`,"account":"a\u0000b"`), "account: must not contain control"},
		"not UTF-8":         {VerbReserve, reserveBody(",\"account\":\"\xff\""), "account: is not valid UTF-8"},
		"bad item":          {VerbReport, `{"request_id":"` + testID + `","reservation_id":"r","usage":[{},{"tokens":{"output":"9"}}]}`, "usage[1].tokens.output: must be a number, not text"},
		"bad time":          {VerbReport, `{"request_id":"` + testID + `","reservation_id":"r","usage":[{"occurred_at":"yesterday"}]}`, "usage[0].occurred_at: must be an RFC 3339 time"},
		"before 1971":       {VerbReport, `{"request_id":"` + testID + `","reservation_id":"r","usage":[{"occurred_at":"1970-01-01T00:00:00Z"}]}`, "must be an RFC 3339 time"},
		"no files":          {VerbEstimate, `{"task_type":"analysis","files":0}`, "files: must be from 1 to"},
		"nothing observed":  {VerbObserve, `{"request_id":"` + testID + `","account":"a","window":"w"}`, "tell at least one of"},
		"percent":           {VerbObserve, `{"request_id":"` + testID + `","account":"a","window":"w","used_percent":1.2.3}`, "used_percent: must be a number such as 42.5, not 1.2.3"},
		"percent over":      {VerbObserve, `{"request_id":"` + testID + `","account":"a","window":"w","used_percent":1000.001}`, "used_percent: must be from 0 to 1000"},
		"unknown verb":      {"allocate", `{}`, `there is no agent verb "allocate"`},
		"deep":              {VerbReserve, strings.Repeat(`{"tokens":`, 100000), ""},
		"too many acks":     {VerbStatus, `{"ack_notices":[` + strings.Repeat("1,", MaxAcks) + `1]}`, "ack_notices: has more than 100 items"},
		"too large":         {VerbReserve, strings.Repeat(" ", MaxRequestBytes+1), "at most 524288 are allowed: send several"},
	} {
		_, err := DecodeRequest(KindAgent, tc.verb, []byte(tc.body))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestARequestWithoutFieldsSaysSo(t *testing.T) {
	t.Parallel()
	_, err := DecodeRequest(KindAdmin, VerbVerify, []byte(`{"limit":1}`))
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), `unknown field "limit"; send {}`) {
		t.Error(err)
	}
}

func TestEmptyBody(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{VerbStatus, VerbList} {
		if _, err := DecodeRequest(KindAgent, verb, nil); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

func TestParamsHash(t *testing.T) {
	t.Parallel()
	hash := func(verb, body string) ParamsHash {
		t.Helper()
		r, err := DecodeRequest(KindAgent, verb, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		before := string(r.Append(nil))
		h := r.(Mutation).ParamsHash()
		if after := string(r.Append(nil)); after != before {
			t.Errorf("hashing changed the request to %s", after)
		}
		return h
	}
	one := hash(VerbReserve, reserveBody(`,"requests":1`))
	other := strings.Replace(reserveBody(`, "ack_notices":[1], "requests" : 1 , "account":""`), testID, "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e11", 1)
	if hash(VerbReserve, other) != one {
		t.Error("id, acknowledgements and spelling are in the hash")
	}
	if hash(VerbReserve, reserveBody(`,"requests":2`)) == one {
		t.Error("requests is not in the hash")
	}
	body := `{"request_id":"` + testID + `","reservation_id":"r"}`
	if hash(VerbReport, body) == hash(VerbSettle, body) {
		t.Error("the verb is not in the hash")
	}
}

// TestEveryFieldReachesTheCommand: what a request says is in the command that is decided. (What observe tells is read first.)
func TestEveryFieldReachesTheCommand(t *testing.T) {
	t.Parallel()
	for _, r := range []interface {
		Command(by quota.Actor, reservation string) quota.Command
	}{
		new(ReserveRequest), new(ReportRequest), new(SettleRequest), new(ReleaseRequest), new(ExtendRequest),
		new(RevokeRequest), new(HoldRequest), new(ResumeRequest),
	} {
		v := reflect.ValueOf(r).Elem()
		fillAll(v, true)
		if f := v.FieldByName("Priority"); f.IsValid() {
			f.SetString(quota.PriorityHigh.String())
		}
		command := func() string {
			text, err := json.Marshal(r.Command(quota.Actor{}, "r"))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		want := command()
		eachField(v, v.Type().Name(), func(name string, field reflect.Value) {
			if strings.Contains(name, ".Identified.") || strings.Contains(name, ".Acks.") {
				return
			}
			was := reflect.ValueOf(field.Interface())
			field.SetZero()
			if command() == want {
				t.Errorf("%s does not reach the command: add it to pkg/quota/command.go and to Command of the request", name)
			}
			field.Set(was)
		})
	}
}

// TestAppendAgreesWithTags holds the field lists to the json tags. The literals have no keys, so that a field that is added does
// not compile before it is here: give it a value that is not zero.
func TestAppendAgreesWithTags(t *testing.T) {
	t.Parallel()
	n, p := int64(7), Percent(42_500)
	tokens := Tokens{1, 2, 3, 4, 5}
	items := []UsageItem{{Time(1_700_000_000_123), "call", "m", tokens, 1, true, "otlp", "s", "p"}, {}}
	id, acks := Identified{testID}, Acks{[]uint64{1, 2}}
	for _, r := range []Request{
		&ReserveRequest{id, acks, "p", "a", "m", "t", "c", 12, 12_000, "low", tokens, 2, 3, 4, 5, 6, []string{"a"}, []string{"p", "q"}, []string{"m"}, true},
		&ReportRequest{id, acks, "r", "a", "m", items}, &SettleRequest{id, acks, "r", "a", "m", items},
		&ReleaseRequest{id, acks, "r", "why \"quoted\" <&> é\n"}, &ExtendRequest{id, acks, "r", tokens, 1, 2},
		&EstimateRequest{acks, "t", "low", &n, true, true, "m"}, &StatusRequest{acks, "r"}, &ListRequest{acks, true, 5, "x"},
		&ObserveRequest{id, acks, "a", "w", &n, &p, &n, 1_700_000_000_000, "t", "s", 1_700_000_000_001, "exhausted", 5, 6, "m", nil},
		&ObserveRequest{Identified: id, Account: "a", Raw: &RawObservation{"openai", 429, map[string]string{"b": "2", "a": "1\n"}, "x", nil, nil}},
		&ObserveRequest{Identified: id, Account: "a", Raw: &RawObservation{StatusLine: json.RawMessage(`{"a":[1,null]}`)}},
		&ObserveRequest{Identified: id, Account: "a", Raw: &RawObservation{CodexLimits: json.RawMessage(`{}`)}},
		&ApplyRequest{id, "version: 1\n", 3}, &GetConfigRequest{}, &AccountsRequest{"a"},
		&QueueRequest{"p", "a", "t", 3, 4}, &ReservationsRequest{"r", "p", "a", "t", "p", "a", true, 3, "x"}, &RevokeRequest{id, "r", "why"},
		&HoldRequest{id, "team", "t", "why"}, &ResumeRequest{id, "team", "t"}, &VerifyRequest{},
	} {
		kind := KindAgent
		if newAgentRequest(r.Verb()) == nil {
			kind = KindAdmin
		}
		ours := r.Append(nil)
		theirs, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Fatalf("%s: %v", ours, err)
		}
		if err := json.Unmarshal(theirs, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%T: Append gives\n%s, encoding/json\n%s", r, ours, theirs)
		}
		back, err := DecodeRequest(kind, r.Verb(), ours)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%T: decodes to %+v, %v", r, back, err)
		}
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	result := quota.Result{
		Reservation: "r", Provider: "claude", Account: "max-1", Model: "m", Priority: quota.PriorityNormal,
		Granted: quota.Amount{Tokens: quota.Tokens{Input: 5}, Requests: 1}, CostHeld: 9, Expires: 1_700_000_000_000, Pace: 20, Version: 4,
	}
	notices := []quota.Notice{{ID: 3, Kind: quota.NoticeExpired, Reservation: "old", At: 1_700_000_000_000}}
	body := AppendResult(nil, &ReserveRequest{}, &result, notices)
	var got ReservationReply
	pending, err := DecodeReply(body, &got)
	if err != nil || len(pending) != 1 || pending[0].ID != 3 || got.ReservationID != "r" || got.RetryAfterMS != 20 || got.Granted.Tokens.Input != 5 {
		t.Errorf("%s decodes to %+v, %v", body, got, err)
	}
	var plain ReservationReply
	if err := json.Unmarshal(body, &plain); err != nil || !reflect.DeepEqual(plain, got) {
		t.Errorf("encoding/json reads %+v, %v", plain, err)
	}
	newer := strings.Replace(string(body), "{", `{"future":{"x":[1,-2.5e3,null,true,"\u00e9"]},`, 1)
	if _, err := DecodeReply([]byte(newer), &got); err != nil {
		t.Errorf("a reply with an unknown field: %v", err)
	}

	result.Code, result.Message, result.Recorded, result.Outcome = quota.CodeClosed, "it was settled", true, quota.OutcomeSettled
	body = AppendResult(nil, &ReportRequest{}, &result, notices)
	pending, err = DecodeReply(body, &got)
	refused, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrClosed) || !refused.Recorded || refused.Details.Outcome != "settled" || refused.Details.Reservation.ReservationID != "r" || len(pending) != 1 {
		t.Errorf("%s decodes to %v", body, err)
	}
	nothing := quota.Result{Code: quota.CodeInsufficientQuota, Limit: "max-1/session", Requested: 5, Capacity: 10}
	body = AppendResult(nil, &ReserveRequest{}, &nothing, nil)
	_, err = DecodeReply(body, &got)
	refused, ok = errors.AsType[*Error](err)
	if encoded, _ := json.Marshal(refused); !ok || refused.Details.Available == nil || !bytes.Contains(body, []byte(`"available":0`)) || !bytes.Contains(encoded, []byte(`"available":0`)) {
		t.Errorf("nothing is available: %s, %s", body, encoded)
	}
	var status StatusReply
	if _, err := DecodeReply([]byte(`{"now":"2026-03-01T09:30:00Z","principal":"p","agent":"a","more":1}`), &status); err != nil || status.Agent != "a" {
		t.Errorf("%+v, %v", status, err)
	}
	for _, broken := range []string{"", "x", "[]", `{"error":{}}`, `{"error":7}`} {
		if _, err := DecodeReply([]byte(broken), &status); !errors.Is(err, ErrInternal) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for _, code := range Codes() {
		e := NewError(code, "x")
		if !errors.Is(e, SentinelOf(code)) || CodeOf(SentinelOf(code)) != code || ErrorOf(e) != e {
			t.Errorf("%s does not survive the trip", code)
		}
	}
	if e := ErrorOf(errors.New("secret")); e.Code != CodeInternal || strings.Contains(e.Message, "secret") {
		t.Errorf("a foreign error becomes %v", e)
	}
	if e := ErrorOf(ErrUnavailable); !e.Retryable {
		t.Errorf("unavailable is not retryable")
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "42.5": "42.5", "42.50": "42.5", "100": "100", "0.001": "0.001", "33.3333333": "33.333", "66.6666": "66.667", "1e2": "100", "2.9e-7": "0",
		"1000": "1000", "-1": "", "1000.001": "", "01": "", ".5": "", "1.": "", "+1": "", "NaN": "", "1e999": "",
	} {
		d := &decoder{data: []byte(text)}
		p := Percent(d.thousandths(0, int64(MaxPercent)))
		d.end()
		if got := p.String(); d.failed == nil && got != want || d.failed != nil && want != "" {
			t.Errorf("%s is read as %s, want %q; %+v", text, got, want, d.failed)
		}
	}
}

func BenchmarkDecodeReserve(b *testing.B) {
	body := []byte(reserveBody(`,"task_type":"code_review","priority":"high","tokens":{"input":6000,"output":2000},"ttl_ms":60000`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRequest(KindAgent, VerbReserve, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeReserveStdlib(b *testing.B) {
	body := []byte(reserveBody(`,"task_type":"code_review","priority":"high","tokens":{"input":6000,"output":2000},"ttl_ms":60000`))
	b.ReportAllocs()
	for b.Loop() {
		if err := json.Unmarshal(body, new(ReserveRequest)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParamsHash(b *testing.B) {
	r := &ReserveRequest{Identified: Identified{testID}, Provider: "claude", Model: "claude-sonnet-4-5", Tokens: Tokens{Input: 6000, Output: 2000}}
	b.ReportAllocs()
	for b.Loop() {
		r.ParamsHash()
	}
}

func BenchmarkAppendResult(b *testing.B) {
	result := quota.Result{
		Reservation: testID, Provider: "claude", Account: "max-1", Model: "claude-sonnet-4-5", Priority: quota.PriorityNormal,
		Granted: quota.Amount{Tokens: quota.Tokens{Input: 6000, Output: 2000}, Requests: 1}, CostHeld: 9, Expires: 1_700_000_000_000, Version: 4,
	}
	var m Mutation = &ReserveRequest{}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendResult(buf[:0], m, &result, nil)
	}
}
