//go:build page

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/bursarhq/bursar/pkg/wire"
)

// browserPatience is how long a page may take to show something on a machine that runs other tests.
const browserPatience = 30 * time.Second

// browser is a tab of a real Chromium, without a window.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// open starts a Chromium and loads a page. What the page writes to its console fails the test, but for mayFail.
func open(t *testing.T, address string, mayFail ...string) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(sandbox()...))
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // the browser ends with the context of the first call
		t.Fatalf("start Chromium (Debian: apt-get install chromium): %v", err)
	}
	b.do(chromedp.EmulateViewport(1440, 1000))
	b.watchConsole(mayFail...)
	b.do(chromedp.Navigate(address))
	return b
}

// sandbox leaves Chromium's sandbox away where it cannot work: as root, as in a container of CI.
func sandbox() []chromedp.ExecAllocatorOption {
	if os.Geteuid() == 0 {
		return []chromedp.ExecAllocatorOption{chromedp.NoSandbox}
	}
	return nil
}

// expected are the failures of requests that find nobody, or no analytics yet, while a Bursar is started again.
func expected() []string {
	return []string{"502 (Bad Gateway)", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"}
}

// watchConsole fails the test for everything else that goes wrong in the page.
func (b *browser) watchConsole(mayFail ...string) {
	messages := chromedp.Console(b.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			text := m.String()
			if !slices.ContainsFunc(append(expected(), mayFail...), func(part string) bool { return strings.Contains(text, part) }) {
				b.t.Errorf("the page writes: %s", text)
			}
		}
	}()
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// await waits until an expression of the page is true.
func (b *browser) await(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(browserPatience)))
		if err == nil {
			return
		}
		if ctx.Err() == nil && (strings.Contains(err.Error(), "context") || strings.Contains(err.Error(), "navigated")) {
			continue // the page went on to another address meanwhile, and what was asked went with the old one
		}
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 3000)`)) // only makes the message better
		b.t.Fatalf("the page does not show %s: %v\n%s", what, err, text)
	}
}

// evaluate evaluates an expression of the page.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// showing is an expression that tells whether an element is there that holds a text.
func showing(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.textContent.includes(%q))`, selector, text)
}

// evilName is what an agent could call itself to take the page over.
const evilName = `<img src=x onerror="document.title='taken'">`

// TestThePage goes through the page in a browser: it shows how everything stands, follows an agent that reserves, an
// exhausted window and a queue, and comes back by itself when Bursar was restarted.
func TestThePage(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir(), "--config", pageConfig(t))
	b := open(t, i.ready.Page)
	b.await("that it is live", showing("#connection", "Live"))
	b.await("the account", showing("#accounts h3", "plan"))
	b.await("that nobody works", showing("#reservations", "No agent holds anything now"))

	granted := ask[wire.ReservationReply](i, "reserve", "--agent", evilName, "--provider", "claude", "--model", "claude-sonnet-5", "--output", "400", "--priority", "high")
	row := fmt.Sprintf("[data-reservation=%q]", granted.ReservationID)
	b.await("the reservation", showing(row, evilName))
	b.await("what is held", showing(`[data-limit="plan/session"] td`, "400"))
	b.await("what is held back for such work", showing(`[data-limit="plan/session"] td[data-label="Held back"]`, "150"))
	b.await("the event", showing("#feed li", "granted"))

	i.do(ExitOK, "extend", granted.ReservationID, "--agent", evilName, "--output", "600")
	i.do(ExitOK, "settle", granted.ReservationID, "--agent", evilName, "--output", "1000")
	b.await("the exhausted window", showing(`[data-limit="plan/session"][data-level="exhausted"]`, "exhausted"))
	b.await("the alert", showing("#alerts .alert", "plan/session is exhausted"))
	b.await("that the reservation is closed", `!document.querySelector('`+row+`')`)
	i.do(ExitOK, "reserve", "--agent", "patient", "--provider", "claude", "--model", "claude-sonnet-5", "--output", "10", "--max-wait", "10m", "--no-wait")
	b.await("the queue", showing("#queue tbody tr", "patient"))
	b.await("when it is granted", showing("#queue tbody td:last-child", "in 4 h 59 min"))
	b.await("usage", `document.querySelector("#usage-card").dataset.ready === "team 24h" && `+showing("#breakdown tbody tr", "builders"))
	if title := evaluate[string](b, "document.title"); title != "(1) Bursar" {
		t.Errorf("the title is %q, want one alert and no work of an agent's name", title)
	}
	b.isAccessible("in the light")
	b.tellsIntervals()
	b.isNeverCertain()
	b.survivesARestart(i)
}

// tellsIntervals: of a predicted grant the interval is told, and the point only where there is nothing else.
func (b *browser) tellsIntervals() {
	b.t.Helper()
	evaluate[bool](b, `import("/assets/format.js").then((f) => { window.format = f; }), true`)
	b.await("the module", "!!window.format")
	for _, c := range []struct{ from, at, to, want string }{
		{"", "", "", "unknown"},
		{"2h", "3h", "4h", "2 h – 4 h"},
		{"-1m", "3h", "4h", "within 4 h"},
		{"-2m", "-2m", "-1m", "within 1 s"},
		{"", "20m", "", "in 20 min"},
	} {
		place := map[string]string{}
		for field, in := range map[string]string{"grant_from": c.from, "grant_at": c.at, "grant_to": c.to} {
			if d, err := time.ParseDuration(in); err == nil {
				place[field] = time.Now().Add(d + 20*time.Second).UTC().Format(time.RFC3339)
			}
		}
		text, err := json.Marshal(place)
		if err != nil {
			b.t.Fatal(err)
		}
		if got := evaluate[string](b, "format.expected("+string(text)+")"); got != c.want {
			b.t.Errorf("%+v is told as %q, want %q", c, got, c.want)
		}
	}
}

// isNeverCertain: a confidence is rounded down, and to less than certain.
func (b *browser) isNeverCertain() {
	b.t.Helper()
	for percent, want := range map[float64]string{100: "99%", 99.9: "99%", 98.7: "98%", 20.7: "20%", 9.99: "9.9%", 0.05: "<0.1%"} {
		if got := evaluate[string](b, fmt.Sprintf("format.confidence(%g)", percent)); got != want {
			b.t.Errorf("a confidence of %g is told as %q, want %q", percent, got, want)
		}
	}
}

// survivesARestart ends the whole Bursar and starts it again at the same address: the page goes on by itself.
func (b *browser) survivesARestart(i *instance) {
	b.t.Helper()
	address, err := url.Parse(i.ready.Page)
	if err != nil {
		b.t.Fatal(err)
	}
	evaluate[bool](b, "window.stayed = true")
	i.stop()
	b.await("that the connection is lost", showing("#connection", "Reconnecting")+" && "+showing("#banner", "connection to Bursar is lost"))
	again := up(b.t, i.dir, "--page-listen", address.Host)
	b.await("that it is live again", showing("#connection", "Live")+" && document.querySelector('#banner').hidden")
	again.do(ExitOK, "reserve", "--agent", "later", "--provider", "openai", "--model", "gpt-5.5", "--output", "100")
	b.await("what happens after the restart", showing("#reservations tbody tr", "later"))
	if !evaluate[bool](b, "window.stayed === true") {
		b.t.Error("the page was loaded anew")
	}
	b.tellsOfARefusal(again)
}

// tellsOfARefusal has an account refused as a whole: what is left of its window is not to be had.
func (b *browser) tellsOfARefusal(i *instance) {
	b.t.Helper()
	left := func(text string) string { return showing(`[data-limit="spare/day"] td[data-label="Left"]`, text) }
	b.await("what is left", left("1M"))
	headers := filepath.Join(b.t.TempDir(), "headers.txt")
	i.write(headers, "HTTP/2 429\nretry-after: 1200\n")
	i.do(ExitOK, "observe", "--account", "spare", "--headers", headers, "--status", "429")
	b.await("that nothing is left", left("closed"))
	b.await("the refusal", showing("#accounts article", "the provider refuses until"))
	b.await("the alert", showing("#alerts .alert", "spare is refused by the provider"))
	b.await("of what it was observed", showing("#feed li", "spare: exhausted"))
	b.isAccessible("with an account that is refused")
}

// TestThePageOnAPhone wants everything within the width of a phone, in the dark too, with the chart and its keyboard.
func TestThePageOnAPhone(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	i.do(ExitOK, "replay", "--demo")
	b := open(t, i.ready.Page)
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	b.await("accounts", showing("#accounts h3", "claude-max"))
	b.await("the chart", `document.querySelector("#chart canvas")?.getBoundingClientRect().width > 200`)
	b.await("advice", `document.querySelectorAll("#suggestions article").length > 0`)
	b.await("nothing wider than the screen", `document.documentElement.scrollWidth <= 360`)
	if dark := evaluate[string](b, `getComputedStyle(document.body).backgroundColor`); dark != "rgb(14, 19, 26)" {
		t.Errorf("the background is %s in the dark", dark)
	}
	b.do(chromedp.SetValue("select[name=by]", "model"))
	evaluate[bool](b, `document.querySelector("#usage-form").elements.by.dispatchEvent(new Event("change", {bubbles: true}))`)
	b.await("usage by model", `document.querySelector("#usage-card").dataset.ready === "model 24h" && `+showing("#breakdown tbody tr", "claude-"))
	b.do(chromedp.Focus("#chart"), chromedp.KeyEvent(kb.ArrowLeft))
	b.await("the last interval", showing("#readout", "claude-"))
	b.isAccessible("in the dark, on a phone")
}

// TestThePageWithALogin follows the link of `bursar page`: it logs in once, and what it leaves is no address with a code.
func TestThePageWithALogin(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir(), "--page-login")
	b := open(t, i.ready.Page)
	b.await("the way to log in", showing("#login", "bursar page"))
	b.isAccessible("the login")
	doc := ask[pageDocument](i, "page")
	if doc.Link == "" || doc.ExpiresAt == nil || !strings.HasPrefix(doc.Link, doc.Page+"/login#") {
		t.Fatalf("page: %+v, want a link", doc)
	}
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(doc.Link))
	b.await("the page behind the login", showing("#connection", "Live")+` && location.pathname === "/" && location.hash === ""`)
	if cookies := evaluate[string](b, "document.cookie"); cookies != "" {
		t.Errorf("scripts read the cookie: %s", cookies)
	}
	other := open(t, doc.Link, "403")
	other.await("that the link was used", showing("#login-note", "was used"))
}

// isAccessible runs axe-core over what the page shows: roles, names, headers, contrast and more.
func (b *browser) isAccessible(what string) {
	b.t.Helper()
	file := os.Getenv("BURSAR_AXE")
	if file == "" {
		b.t.Fatal("BURSAR_AXE names no axe-core script: run `make test-page`, which installs it")
	}
	script, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](string(script)+"; true"))
		return err
	}))
	const run = `axe.run(document, {resultTypes: ["violations"]}).then((result) => JSON.stringify({passes: result.passes.length, violations: result.violations.map(
		(v) => v.id + ": " + v.help + " at " + v.nodes.map((n) => n.target.join(" ") + " (" + (n.any[0]?.message ?? n.all[0]?.message ?? "") + ")").slice(0, 3).join(", "))}))`
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("axe-core: %v", err)
	}
	found := document[struct {
		Passes     int
		Violations []string
	}](b.t, text)
	if found.Passes < 10 {
		b.t.Errorf("%s: axe-core found %d rules kept: it did not look at the page", what, found.Passes)
	}
	for _, violation := range found.Violations {
		b.t.Errorf("%s: %s", what, violation)
	}
}

// pageConfig writes the configuration of a plan whose session is small enough for one agent to exhaust it.
func pageConfig(t *testing.T) string {
	t.Helper()
	const text = `version: 1
teams: [builders]
accounts:
  - id: plan
    provider: claude
    kind: subscription
    limits:
      - {name: session, unit: tokens, window: {kind: session, duration: 5h}, capacity: 1000}
  - id: spare
    provider: openai
    kind: api
    limits:
      - {name: day, unit: tokens, window: {kind: calendar, period: day}, capacity: 1_000_000}
principals:
  - {name: demo, team: builders, max_priority: high}
  - {name: operator, admin: true}
`
	file := filepath.Join(t.TempDir(), "page.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
