package attacktest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// reserveBody is a well-formed request that nobody has sent before.
func reserveBody(t testing.TB) []byte {
	t.Helper()
	r := wire.ReserveRequest{Provider: "claude", Model: "claude-sonnet-4-5", TaskType: "code_review", Requests: 1}
	wire.SetRequestID(&r, newRequestID(t))
	return r.Append(nil)
}

// malformed are requests in the attacker's own name, answered at his own inbox, that make no sense.
func malformed() []attack {
	body := func(name string, change func(valid string) string) attack {
		return attack{name: "a request " + name, as: mallory, want: unheard, do: func(x *attacker) {
			subject := subjectOf(workspace, wire.KindAgent, "mallory", "w", wire.VerbReserve)
			x.ask(subject, x.nc.NewInbox(), []byte(change(string(reserveBody(x.t)))))
		}}
	}
	instead := func(text string) func(string) string { return func(string) string { return text } }
	with := func(field string) func(string) string {
		return func(valid string) string { return strings.TrimSuffix(valid, "}") + "," + field + "}" }
	}
	subject := func(name, subject string) attack {
		return attack{name: "a request " + name, as: mallory, want: unheard, do: func(x *attacker) {
			x.ask(subject, x.nc.NewInbox(), reserveBody(x.t))
		}}
	}
	mine := func(rest ...string) string { return subjectOf(workspace, wire.KindAgent, "mallory", rest...) }
	return []attack{
		body("of nothing", instead("")),
		body("that is no JSON", instead("hello")),
		body("that is a list", instead("[]")),
		body("of nested brackets", instead(strings.Repeat("[", 100_000))),
		body("of a million bytes", instead(strings.Repeat("x", 1_000_000))),
		body("without an id", instead(`{"provider":"claude","model":"m"}`)),
		body("with an id of long ago", instead(`{"request_id":"00000000-0000-7000-8000-000000000000","provider":"claude","model":"m"}`)),
		body("with an id that is not a UUID", instead(`{"request_id":"1","provider":"claude","model":"m"}`)),
		body("with negative tokens", with(`"tokens":{"input":-5}`)),
		body("with tokens that overflow", with(`"tokens":{"input":99999999999999999999999999}`)),
		body("with a fraction", with(`"tokens":{"input":1.5}`)),
		body("with NaN", with(`"tokens":{"input":NaN}`)),
		body("with an unknown field", with(`"principal":"`+victimName+`"`)),
		body("with a repeated field", with(`"model":"x"`)),
		body("with a name that never ends", with(`"account":"`+strings.Repeat("a", 100_000)+`"`)),
		subject("of a verb that is none", mine("w", "plunder")),
		subject("of two verbs", mine("w", wire.VerbReserve, wire.VerbReserve)),
		subject("without a verb", mine("w")),
		subject("of an agent spelled in a second way", mine("=77", wire.VerbReserve)),
		subject("of an agent that is a wildcard", mine("*", wire.VerbReserve)),
		subject("of an agent with control characters", mine("=0A=1B", wire.VerbReserve)),
		{name: "a message without a reply subject", as: mallory, want: unheard, do: func(x *attacker) {
			x.ask(mine("w", wire.VerbReserve), "", reserveBody(x.t))
		}},
	}
}

// outsiders have no key, or somebody else's, or speak the protocol badly.
func outsiders() []attack {
	refuse := func(name string, option func(t *testing.T, a *arena) nats.Option) attack {
		return attack{name: name, bare: func(t *testing.T, a *arena) {
			t.Helper()
			nc, err := nats.Connect(a.system.URL, option(t, a), nats.MaxReconnects(0))
			if err == nil {
				nc.Close()
				t.Error("the server let him in")
			}
		}}
	}
	raw := func(name, lines string) attack {
		return attack{name: name, bare: func(t *testing.T, a *arena) {
			t.Helper()
			speak(t, a, lines)
		}}
	}
	reserve := subjectOf(workspace, wire.KindAgent, "mallory", "w", wire.VerbReserve)
	return []attack{
		refuse("connect without credentials", func(*testing.T, *arena) nats.Option { return nats.Name("nobody") }),
		refuse("connect with a password", func(*testing.T, *arena) nats.Option { return nats.UserInfo("admin", "admin") }),
		refuse("connect with a key of one's own", func(t *testing.T, _ *arena) nats.Option {
			t.Helper()
			pair := newPair(t)
			public, err := pair.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			return nats.Nkey(public, pair.Sign)
		}),
		refuse("connect with another's public key", func(t *testing.T, a *arena) nats.Option {
			t.Helper()
			return nats.Nkey(a.system.Keys.PublicKey(agent(victimName)), newPair(t).Sign)
		}),
		raw("announce a payload of 2 GB", "PUB "+reserve+" 2147483647\r\n"),
		raw("announce a negative payload", "PUB "+reserve+" -1\r\n"),
		raw("send more than a message may hold", "PUB "+reserve+" 1048577\r\n"+strings.Repeat("x", 1<<20+1)+"\r\n"),
		raw("send a line that never ends", "PUB "+strings.Repeat("a", 1<<20)),
		raw("send headers longer than their message", "HPUB "+reserve+" 100 10\r\nNATS/1.0\r\n\r\n\r\n"),
		raw("send what is no protocol", "GET / HTTP/1.1\r\n\r\n"),
		raw("answer for the server", "MSG x 1 0\r\n\r\n+OK\r\n"),
		raw("reply where only the server may", "PUB "+reserve+" _R_.x 0\r\n\r\nPING\r\n"),
		raw("smuggle a second message in a payload", "PUB "+reserve+" 4\r\nxxxx\r\nPUB $KV.quota_ledger.default 6\r\n"+forged+"\r\nPING\r\n"),
		raw("subscribe ten thousand times", manySubscriptions(wire.InboxRoot+"."+workspace+".mallory.")),
	}
}

func manySubscriptions(prefix string) string {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "SUB %s%d %d\r\n", prefix, i, i)
	}
	return b.String() + "PING\r\n"
}

func newPair(t *testing.T) nkeys.KeyPair {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// speak logs in as mallory on a plain socket, sends lines as they are, and waits until the server hangs
// up or answers.
func speak(t *testing.T, a *arena, lines string) {
	t.Helper()
	u, err := url.Parse(a.system.URL)
	if err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	login(t, a, conn, in)
	go func() { _, _ = conn.Write([]byte(lines)) }() // the server may hang up in the middle
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil && strings.Contains(err.Error(), "timeout"):
			t.Error("the server neither answered nor hung up")
			return
		case err != nil, strings.HasPrefix(line, "PONG"):
			return
		}
	}
}

func login(t *testing.T, a *arena, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	greeting, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(greeting, "INFO ")), &info); err != nil {
		t.Fatal(err)
	}
	signature := sign(t, a, mallory, info.Nonce)
	hello, err := json.Marshal(map[string]any{
		"nkey": a.system.Keys.PublicKey(mallory), "sig": signature, "headers": true, "verbose": false, "protocol": 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", hello); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-ERR") {
			t.Fatalf("log in: %s %v", line, err)
		}
		if strings.HasPrefix(line, "PONG") {
			return
		}
	}
}

func sign(t *testing.T, a *arena, id natsauth.Identity, nonce string) string {
	t.Helper()
	file, err := a.system.Keys.SeedFile(id)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(signature)
}
