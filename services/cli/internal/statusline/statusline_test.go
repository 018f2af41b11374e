package statusline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

var testNow = time.Unix(1_780_000_000, 0)

func TestLine(t *testing.T) {
	t.Parallel()
	reservation := wire.ReservationView{Reservation: wire.Reservation{
		Granted: wire.Amount{Tokens: wire.Tokens{Output: 50_000}}, Used: wire.Amount{Tokens: wire.Tokens{Output: 11_300}},
		ExpiresAt: wire.Time(testNow.Add(12*time.Minute + 500*time.Millisecond).UnixMilli()),
	}}
	one, two := []wire.ReservationView{reservation}, []wire.ReservationView{reservation, reservation}
	for name, c := range map[string]struct {
		document string
		held     []wire.ReservationView
		want     string
	}{
		"both windows": {
			`{"model":{"display_name":"Opus"},"cost":{"total_cost_usd":1.2349},"rate_limits":{"five_hour":{"used_percentage":62.5,"resets_at":1780009000},"seven_day":{"used_percentage":18,"resets_at":1780300000}}}`, nil,
			"session 63% (pace 125%, full in 1h 30m) resets in 2h 30m | weekly 18% (pace 36%) resets in 3d 11h | $1.23"},
		"one window and a reservation": {`{"rate_limits":{"five_hour":{"used_percentage":10}}}`, one, "session 10% | reserved 38.7k of 50k left, ends in 12m"},
		"several reservations":         {`{"rate_limits":null,"model":{"id":"m"}}`, two, "m | 2 reservations, 77.4k of 100k left, ends in 12m"},
		"the window has just opened":   {`{"rate_limits":{"five_hour":{"used_percentage":1,"resets_at":1780017990}}}`, nil, "session 1% resets in 4h 59m"},
		"a reset that is over":         {`{"rate_limits":{"five_hour":{"used_percentage":90,"resets_at":1779990000}}}`, nil, "session 90%"},
		"it is full":                   {`{"rate_limits":{"five_hour":{"used_percentage":104,"resets_at":1780003600}}}`, nil, "session 104% (pace 130%) resets in 1h"},
		"an unknown window":            {`{"rate_limits":{"30d":{"used_percentage":7,"resets_at":1780009000}}}`, nil, "30d 7% (pace 7%) resets in 2h 30m"},
		"nothing":                      {``, nil, "bursar: nothing told yet"},
		"no object":                    {`[1,2]`, nil, "bursar: nothing told yet"},
		"null":                         {`null`, nil, "bursar: nothing told yet"},
		"odd types":                    {`{"model":7,"cost":"much","rate_limits":[1]}`, nil, "bursar: nothing told yet"},
		"odd numbers":                  {`{"cost":{"total_cost_usd":-1},"rate_limits":{"five_hour":{"used_percentage":-5},"seven_day":{"used_percentage":"x"}}}`, nil, "bursar: nothing told yet"},
		"a name that paints":           {"{\"model\":{\"display_name\":\"a\\u001b[31mb\"}}", nil, "ab"},
	} {
		if got := Line(Read([]byte(c.document)), c.held, testNow); got != c.want && (name != "a name that paints" || strings.Contains(got, "\x1b")) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"rate_limits":{"five_hour":{"used_percentage":62.5,"resets_at":1780009000}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		line := Line(Read(data), nil, testNow)
		if line == "" || strings.ContainsAny(line, "\n\x1b") {
			t.Fatalf("%q gives %q", data, line)
		}
	})
}

// TestMemory: the same is not new for a minute, and a memory that is away or damaged keeps nothing back.
func TestMemory(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "cache")
	document := func(percent string) *Document {
		return Read([]byte(`{"rate_limits":{"five_hour":{"used_percentage":` + percent + `,"resets_at":1780009000}}}`))
	}
	m := MemoryOf(folder, "nats://a", "max-1")
	if !m.New(document("10"), testNow) {
		t.Error("the first is not new")
	}
	m.Keep(document("10"), testNow)
	for name, c := range map[string]struct {
		memory  *Memory
		percent string
		after   time.Duration
		want    bool
	}{
		"the same":           {m, "10.4", 59 * time.Second, false},
		"after a minute":     {m, "10", time.Minute, true},
		"another percent":    {m, "11", time.Second, true},
		"a clock set back":   {m, "10", -time.Hour, true},
		"of another account": {MemoryOf(folder, "nats://a", "max-2"), "10", 0, true},
		"of another Bursar":  {MemoryOf(folder, "nats://b", "max-1"), "10", 0, true},
	} {
		if got := c.memory.New(document(c.percent), testNow.Add(c.after)); got != c.want {
			t.Errorf("%s: new %t", name, got)
		}
	}
	if err := os.WriteFile(m.path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !m.New(document("10"), testNow) {
		t.Error("a damaged memory keeps back")
	}
	MemoryOf("/dev/null/nowhere", "", "").Keep(document("10"), testNow) // no folder: no memory, and no harm
}
