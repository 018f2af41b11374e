package quota

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The worked numbers of docs/deciding.md are read from the page and worked out again here: a rule that changes changes the
// page, or a test fails.

const decidingPage = "../../docs/deciding.md"

func deciding(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(decidingPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// says fails unless the page has a sentence, wherever its lines break.
func says(t *testing.T, sentences ...string) {
	t.Helper()
	page := strings.Join(strings.Fields(deciding(t)), " ")
	for _, s := range sentences {
		if !strings.Contains(page, s) {
			t.Errorf("the page does not say %q", s)
		}
	}
}

// tableOf gives the rows of the page's table with a header; its cells are as they are written.
func tableOf(t *testing.T, header string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(deciding(t), header+"\n")
	if !ok {
		t.Fatalf("no table %s", header)
	}
	for _, line := range strings.Split(rest, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("an empty table %s", header)
	}
	return rows
}

// number reads a number that a text begins with.
func number(t *testing.T, text string) int64 {
	t.Helper()
	word, _, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(strings.ReplaceAll(word, ",", ""), 10, 64)
	if err != nil {
		t.Fatalf("%q is no number", text)
	}
	return n
}

// most is how much an actor is granted of a session at the most, as its reservation says; nothing is held.
func (l *ledger) most(by Actor, change ...func(*Reserve)) int64 {
	c := Reserve{Actor: by, Reservation: "most", Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: MaxCapacity / 1000}}, MinTokens: 1}
	for _, f := range change {
		f(&c)
	}
	low, high := int64(0), c.Amount.Tokens.Output
	for low < high {
		c.Amount.Tokens.Output, c.MinTokens = (low+high+1)/2, 0
		if _, r := Decide(l.state, c, Env{Now: l.now, Prices: testPrices}); r.OK() {
			low = c.Amount.Tokens.Output
		} else {
			high = c.Amount.Tokens.Output - 1
		}
	}
	return low
}

// at sets the time of the day.
func (l *ledger) at(hour, minute int) {
	l.now = InstantOf(time.Date(2026, 11, 23, hour, minute, 0, 0, time.UTC))
	l.do(Tick{})
}

// newPage is a ledger with a session of the account sub-1, named as on the page, and changes to its configuration.
func newPage(t *testing.T, capacity int64, change ...func(*Config)) *ledger {
	t.Helper()
	limit := session("sub-1/session", capacity)
	limit.Scope.Account = "sub-1"
	c := testConfig(limit)
	c.Accounts = []Account{{ID: "sub-1", Provider: "claude", Kind: KindSubscription}}
	c.Principals = append(c.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
	for _, f := range change {
		f(&c)
	}
	l := &ledger{t: t, state: NewState(), now: t0}
	l.at(10, 0)
	l.must(ApplyConfig{Config: c})
	return l
}

func lasting(r *Reserve) { r.Lease, r.Lifetime = 2*Hour, 8*Hour }

// newExample is the worked example at 14:20, before the agent asks.
func newExample(t *testing.T) *ledger {
	l := newPage(t, 8_000_000, func(c *Config) {
		second := session("sub-2/session", 8_000_000)
		second.Scope.Account = "sub-2"
		c.Limits = append(c.Limits, second)
		c.Accounts = append(c.Accounts, Account{ID: "sub-2", Provider: "claude", Kind: KindSubscription})
	})
	on := func(account string) func(*Reserve) { return func(r *Reserve) { r.Account = account } }
	l.reserve(5_000_000, on("sub-1"))
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(5_000_000)})
	l.reserve(6_900_000, on("sub-2"))
	l.must(Settle{Actor: ann, Reservation: "r2", Items: out(6_900_000)})
	l.at(14, 20)
	l.reserve(800_000, on("sub-1"), lasting)   // r3
	l.reserve(1_600_000, on("sub-1"), lasting) // r4
	return l
}

func TestThePagesExample(t *testing.T) {
	t.Parallel()
	l := newExample(t)
	says(t, "`sub-1` has a 5-hour window of 8,000,000 tokens. 5,000,000 are used and running work holds 2,400,000: 600,000 are left until the reset at 15:00.",
		"with 1,100,000 left", "with `min_tokens: 500,000` it gets 600,000 on `sub-1` now", "`max_wait: 2h`", "300,000 held tokens that come back", "a request for 50,000", "as soon as the missing 300,000 come back at the pace of late, 30 s where nothing has come back yet", "to a thousandth of it")
	here := func(r *Reserve) { r.Account = "sub-1" }
	if r := l.reserve(900_000, here); r.OK() || !r.Retryable || r.Requested != 900_000 || r.Available != 600_000 || r.Limit != "sub-1/session" {
		t.Errorf("full: %+v", r)
	} else if a := r.Alternatives; len(a) != 3 || r.RetryAfter != 30*Second || a[0].Kind != AlternativeAccount || a[0].Account != "sub-2" ||
		a[0].Tokens != 900_000 || a[1].Kind != AlternativeSmaller || a[1].Tokens > 600_000 || a[1].Tokens < 600_000-900 ||
		a[2].Kind != AlternativeLater || a[2].At != l.now.Add(30*Second) || a[2].Tokens != 900_000 {
		t.Errorf("alternatives: %+v", r.Alternatives)
	}
	if r := l.reserve(9_000_000, here); r.OK() || r.Retryable {
		t.Errorf("more than a window: %+v", r)
	}
	if l.limit("sub-2/session").Available != 1_100_000 {
		t.Errorf("the other account has %+v", l.limit("sub-2/session"))
	}
	if _, r := Decide(l.state, Reserve{Actor: ann, Reservation: "x", Provider: "claude", Model: "opus-4", Account: "sub-1", AcceptAccounts: []string{"sub-2"},
		Amount: Amount{Tokens: Tokens{Output: 900_000}}}, Env{Now: l.now, Prices: testPrices}); !r.OK() || r.Account != "sub-2" {
		t.Errorf("any account: %+v", r)
	}
	if _, r := Decide(l.state, Reserve{Actor: ann, Reservation: "x", Provider: "claude", Model: "opus-4", Account: "sub-1", MinTokens: 500_000,
		Amount: Amount{Tokens: Tokens{Output: 900_000}}}, Env{Now: l.now, Prices: testPrices}); r.Granted.Tokens.Output != 600_000 {
		t.Errorf("smaller: %+v", r)
	}
}

func TestThePagesQueue(t *testing.T) {
	t.Parallel()
	l := newExample(t)
	rows := tableOf(t, "| time | what happens | used | held | room |")
	check := func(row int, clock string) {
		t.Helper()
		want, v := rows[row], l.limit("sub-1/session")
		if got := l.now.Time().Format("15:04"); got != clock || want[0] != clock {
			t.Fatalf("it is %s, the page says %s", got, want[0])
		}
		for i, n := range []int64{v.Used, v.Held, v.Available} {
			if n != number(t, want[2+i]) {
				t.Errorf("%s %s: it is %d, the page says %s", want[0], want[1], n, want[2+i])
			}
		}
	}
	l.reserve(900_000, func(r *Reserve) { r.Account, r.MaxWait = "sub-1", 2*Hour }, lasting)
	check(0, "14:20")
	l.at(14, 24)
	l.must(Settle{Actor: ann, Reservation: "r3", Items: out(150_000)})
	check(1, "14:24")
	l.wait(0)
	check(2, "14:24")
	l.must(Report{Actor: ann, Reservation: "r5"})
	l.at(15, 0)
	check(3, "15:00")
}

// sharesOfThePage are the teams of the page's configuration.
func sharesOfThePage(shares ...Share) func(*Config) {
	for i := range shares {
		shares[i].Limit = "sub-1/session"
	}
	return func(c *Config) { c.Teams = []Team{{Name: "core", Weight: 3, Shares: shares}} } // here ann's team is research
}

func TestThePagesFloors(t *testing.T) {
	t.Parallel()
	for _, row := range tableOf(t, "| research has taken | left in all | guaranteed to research | core may be granted |") {
		l := newPage(t, 1_000_000, sharesOfThePage(Share{FloorPart: 40_000}))
		if taken := number(t, row[0]); taken > 0 {
			l.reserve(taken)
		}
		a := ask{labels: &Labels{Team: "core", Priority: PriorityNormal}, limit: l.state.index.byID["sub-1/session"], counter: l.state.counters["sub-1/session"]}
		got := []int64{l.limit("sub-1/session").Available, l.state.floorLeft(&a), l.most(bob)}
		for i, n := range got {
			if n != number(t, row[i+1]) {
				t.Errorf("taken %s: column %d is %d, the page says %s", row[0], i+1, n, row[i+1])
			}
		}
	}
	says(t, "`lend_percent` lends that part of the floor to preemptible work of others (`preemptible: true` in the reserve): it may have 200,000 of the 400,000",
		"with 40 and 20 research never has more than 600,000 of the window", "keeps 100,000 tokens for urgent work of `research`")
	l := newPage(t, 1_000_000, sharesOfThePage(Share{FloorPart: 40_000, LendPart: 50_000, MostPart: 60_000}))
	if n := l.most(bob, preemptible); n != 600_000+200_000 {
		t.Errorf("preemptible work of others may have %d", n)
	}
	if n := l.most(ann); n != 600_000 {
		t.Errorf("research may have %d", n)
	}
	l = newPage(t, 1_000_000, sharesOfThePage(Share{FloorPart: 40_000}, Share{FloorPart: 10_000, From: PriorityHigh}))
	if normal, urgent := l.most(ann), l.most(ann, priority(PriorityHigh)); urgent-normal != 100_000 {
		t.Errorf("normal work may have %d, urgent %d", normal, urgent)
	}
}

func TestThePagesReclaim(t *testing.T) {
	t.Parallel()
	says(t, "Core has 700,000 of the window, 100,000 of them lent and held by one preemptible reservation, and 300,000 are left.",
		"asks for 350,000", "Who gives back the missing 50,000", "Here the one reservation gives 50,000 of its 100,000.",
		"50,000 return, and it goes on with the other 50,000")
	for _, row := range tableOf(t, "| used in the grace | goes back | left | the reservation |") {
		l := newPage(t, 1_000_000, sharesOfThePage(Share{FloorPart: 40_000, LendPart: 50_000}))
		l.reserve(600_000, by(bob), lasting)
		l.reserve(100_000, by(bob), preemptible, lasting)
		if left := l.limit("sub-1/session").Available; left != 300_000 {
			t.Fatalf("%d are left", left)
		}
		l.reserve(350_000, waits)
		if takes := l.state.reservations["r2"].Takes; len(takes) != 1 || takes[0].Units != 50_000 {
			t.Fatalf("taken is %+v", takes)
		}
		if used := number(t, row[0]); used > 0 {
			l.must(Report{Actor: bob, Reservation: "r2", Items: out(used)})
		}
		l.wait(DefaultPreemptGrace)
		r := l.state.reservations["r2"]
		if closed := l.state.closed["r2"]; closed != nil {
			r = closed
		}
		h := r.hold("sub-1/session")
		if h.Returned != number(t, row[1]) || h.Held != number(t, row[2]) || r.Live() != (row[3] == "goes on") {
			t.Errorf("used %s: %d go back and %d are left, live is %v; the page says %v", row[0], h.Returned, h.Held, r.Live(), row[1:])
		}
		if misses := number(t, row[0]) - 50_000; misses > 0 && !strings.Contains(row[3], fmt.Sprintf("misses %d,000", misses/1000)) {
			t.Errorf("used %s: %d are missing, the page says %s", row[0], misses, row[3])
		}
	}
	says(t, "of a team with a floor of 100,000 that has 120,000, used and held, 20,000 may be taken")
}

func TestThePagesShares(t *testing.T) {
	t.Parallel()
	says(t, "A team of weight 3 that has used 600,000 tokens a day ago and holds nothing has had 300,000 / 3 = 100,000, and comes before a team of weight 1 that used 150,000 just now.",
		"with 20 a minute one each 3 s", "share_half_life: 24h", "preempt_grace: 1m")
	l := newPage(t, 1_000_000, sharesOfThePage(), func(c *Config) { c.Policy.ShareHalfLife = Day })
	l.reserve(600_000)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(600_000)})
	l.wait(Day)
	l.reserve(150_000, by(bob))
	l.must(Settle{Actor: bob, Reservation: "r2", Items: out(150_000)})
	if a, b := l.state.fairShare("core", l.now), l.state.fairShare("guests", l.now); a != 100_000 || b != 150_000 {
		t.Errorf("had for their weight are %d and %d", a, b)
	}
	l = newPage(t, 1_000_000, func(c *Config) { c.Teams = []Team{{Name: "core", FanOut: FanOut{PerAgentPerMinute: 20}}} })
	for range 20 {
		if r := l.reserve(1); !r.OK() {
			t.Fatalf("%+v", r)
		}
	}
	if r := l.reserve(1); r.OK() || r.RetryAfter != 3*Second {
		t.Errorf("one more: %+v", r)
	}
}

func TestThePagesHoldBack(t *testing.T) {
	t.Parallel()
	says(t, "Of 10,000,000 tokens that is 1,500,000. With 9,000,000 used and held, `normal` work is refused with the reason `held_back` although 1,000,000 are left, and `high` work gets them.")
	hold := func(percent int64) func(*Config) {
		return func(c *Config) { c.Limits[0].HoldBack = &HoldBack{Percent: percent, Priority: PriorityHigh} }
	}
	l := newPage(t, 10_000_000, hold(15))
	if normal := l.most(ann); normal != 10_000_000-1_500_000 {
		t.Errorf("normal work may have %d", normal)
	}
	l.reserve(9_000_000, priority(PriorityHigh))
	if r := l.reserve(1); r.Reason != ReasonHeldBack || l.limit("sub-1/session").Available != 1_000_000 || l.most(ann, priority(PriorityHigh)) != 1_000_000 {
		t.Errorf("%+v, %+v", r, l.limit("sub-1/session"))
	}
	for _, row := range tableOf(t, "| others used | left | normal work of research is granted up to | urgent work of others |") {
		l := newPage(t, 1_000_000, sharesOfThePage(Share{Floor: 300_000}), hold(10))
		if n := l.most(bob); n != 600_000 {
			t.Fatalf("others are granted %d", n)
		}
		l.reserve(600_000, by(bob))
		l.do(Settle{Actor: bob, Reservation: "r1", Items: out(number(t, row[0]))})
		got := []int64{l.limit("sub-1/session").Available, l.most(ann), l.most(bob, priority(PriorityHigh))}
		for i, n := range got {
			if n != number(t, row[i+1]) {
				t.Errorf("used %s: column %d is %d, the page says %s", row[0], i+1, n, row[i+1])
			}
		}
	}
}

func TestThePagesLettingGo(t *testing.T) {
	t.Parallel()
	says(t, "`hold_back: {percent: 15, priority: high, until_percent: 60}`", "Of a window from 10:00 to 15:00 it is let go at 13:00.",
		"Of its 10,000,000 tokens let 9,000,000 be used and held all the time:", "A request for more than 85 % is refused for good all the same")
	l := newPage(t, 10_000_000, func(c *Config) { c.Limits[0].HoldBack = &HoldBack{Percent: 15, Priority: PriorityHigh, Until: 60} })
	if r := l.reserve(8_500_001); r.Retryable {
		t.Errorf("%+v", r)
	}
	l.reserve(9_000_000, priority(PriorityHigh))
	l.must(Settle{Actor: ann, Reservation: "r2", Items: out(9_000_000)})
	for _, row := range tableOf(t, "| time | left | `normal` work is granted up to | `high` work | `normal` work that asks for 800,000 |") {
		clock, err := time.Parse("15:04", row[0])
		if err != nil {
			t.Fatal(err)
		}
		l.at(clock.Hour(), clock.Minute())
		for i, n := range []int64{l.limit("sub-1/session").Available, l.most(ann), l.most(ann, priority(PriorityHigh))} {
			if n != number(t, row[i+1]) {
				t.Errorf("%s: column %d is %d, the page says %s", row[0], i+1, n, row[i+1])
			}
		}
		r, said := l.reserve(800_000), "is granted"
		if !r.OK() {
			said = fmt.Sprintf("is told to ask again in %d min", r.RetryAfter/Minute)
		}
		if said != row[4] {
			t.Errorf("%s: it %s, the page says that it %s", row[0], said, row[4])
		}
	}
}

func TestThePagesDrift(t *testing.T) {
	t.Parallel()
	says(t, "A session of 10,000,000 tokens, two hours old, is observed at 45 %; our books say 3,000,000. So 1,500,000 were spent outside.",
		"with none before, that is 1,500,000 in three hours, 500,000 an hour. In the three hours that are left 1,500,000 more are expected, and kept of the 5,500,000 that are free.")
	says(t, "A session is as old as its reset tells, also where it was in use before Bursar heard of it.")
	for name, heard := range map[string]Millis{"from its beginning": 2 * Hour, "just now": 0} {
		l := newPage(t, 10_000_000)
		l.reserve(3_000_000)
		l.must(Settle{Actor: ann, Reservation: "r1", Items: out(3_000_000)})
		l.wait(heard)
		l.must(Observe{Account: "sub-1", Window: "session", PercentMilli: percentMilli(45), ResetAt: l.now.Add(3 * Hour)})
		v := l.limit("sub-1/session")
		if pace := l.state.counters["sub-1/session"].driftPace(&v.Limit); v.Outside != 1_500_000 || pace != 24*500_000 || v.Forecast != 1_500_000 ||
			v.ForecastKept != 1_500_000 || v.Available != 5_500_000 || v.Began != l.now.Add(-2*Hour) {
			t.Errorf("heard of %s: %+v, %d a day", name, v, pace)
		}
	}
}

// TestThePagesBounds compares the bounds that the page names with the code's.
func TestThePagesBounds(t *testing.T) {
	t.Parallel()
	says(t,
		fmt.Sprintf("used up but for %d %% comes last", spentNearly),
		fmt.Sprintf("at most %d of an account", MaxUnknownWindows),
		fmt.Sprintf("after %d minutes without an answer", toldFresh/Minute),
		"goes past it for ten minutes at most", "Let 1,000 requests a minute be configured for `opus-5`: told 800, the limit holds and refills 800; told 5,000, it stays at 1,000.")
	if DefaultQueueSkip != 10*Minute {
		t.Errorf("a head is passed for %d minutes", DefaultQueueSkip/Minute)
	}
	l := Limit{Capacity: 1000, Window: Window{Kind: WindowBucket, Duration: Minute}}
	for told, holds := range map[int64]int64{800: 800, 5000: 1000} {
		if c := (Counter{Told: &ToldLimit{Capacity: told}}); c.rate(&l) != holds || c.burst(&l) != holds {
			t.Errorf("told %d, it refills %d and holds %d", told, c.rate(&l), c.burst(&l))
		}
	}
}
