package failpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// childVar makes the re-executed test binary hit AfterAck this often and then exit 0.
const childVar = "FAILPOINT_TEST_HITS"

func TestMain(m *testing.M) {
	if hits := os.Getenv(childVar); hits != "" {
		os.Exit(child(len(hits)))
	}
	os.Exit(m.Run())
}

func child(hits int) int {
	set, err := FromEnv(os.Getenv)
	if err != nil {
		return 2
	}
	for i := range hits {
		fmt.Println("hit", i+1)
		if err := set.Hit(context.Background(), AfterAck); err != nil {
			return 3
		}
	}
	return 0
}

func TestKillEndsTheProcessAtItsHit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		hits       int
		wantHits   int
		wantKilled bool
	}{
		{"every hit", "after-ack=kill", 3, 1, true},
		{"third hit", "after-ack=3*kill", 5, 3, true},
		{"count not reached", "after-ack=3*kill", 2, 2, false},
		{"another point", "before-reply=kill", 2, 2, false},
		{"nothing armed", "", 2, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVar+"="+strings.Repeat("x", tt.hits), EnvVar+"="+tt.spec)
			out, err := cmd.Output()
			if got := strings.Count(string(out), "hit"); got != tt.wantHits {
				t.Errorf("reached %d hits, want %d; output:\n%s", got, tt.wantHits, out)
			}
			if killed := killedBy(err) == syscall.SIGKILL; killed != tt.wantKilled {
				t.Errorf("killed = %v, want %v (%v)", killed, tt.wantKilled, err)
			}
			if !tt.wantKilled && err != nil {
				t.Errorf("child failed: %v", err)
			}
		})
	}
}

func killedBy(err error) syscall.Signal {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0
	}
	return status.Signal()
}

func TestErrorAtTheNthHitOnly(t *testing.T) {
	t.Parallel()
	set := mustParse(t, "analytics-before-insert = 2 * error(disk *really* full)")
	var got []bool
	for range 4 {
		err := set.Hit(t.Context(), AnalyticsBeforeInsert)
		got = append(got, err != nil)
		if err != nil && (!errors.Is(err, ErrInjected) || !strings.Contains(err.Error(), "disk *really* full")) {
			t.Errorf("error = %v, want ErrInjected with its text", err)
		}
	}
	if want := []bool{false, true, false, false}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("failed at hits %v, want %v", got, want)
	}
	if hits := set.Hits(AnalyticsBeforeInsert); hits != 4 {
		t.Errorf("Hits = %d, want 4", hits)
	}
}

func TestPanicNamesThePoint(t *testing.T) {
	t.Parallel()
	set := mustParse(t, "mid-keyframe=panic")
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "mid-keyframe") {
			t.Errorf("recovered %q, want the failpoint's name", got)
		}
	}()
	err := set.Hit(t.Context(), MidKeyframe)
	t.Errorf("Hit returned %v, want a panic", err)
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := mustParse(t, "relay-after-publish=sleep(15s)")
		start := time.Now()
		if err := set.Hit(t.Context(), RelayAfterPublish); err != nil {
			t.Errorf("Hit = %v, want nil", err)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("slept %s, want 15s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := set.Hit(ctx, RelayAfterPublish); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Hit = %v, want the context's error", err)
		}
	})
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, spec, want string }{
		{"unknown name", "befor-publish=kill", `unknown failpoint "befor-publish": the known ones are before-publish`},
		{"unknown action", "after-ack=explode", `unknown action "explode"`},
		{"no action", "after-ack", "has no action"},
		{"empty action", "after-ack=", `unknown action ""`},
		{"kill with argument", "after-ack=kill(9)", "takes nothing in parentheses"},
		{"sleep without duration", "after-ack=sleep", "needs a duration"},
		{"negative sleep", "after-ack=sleep(-1s)", "needs a duration"},
		{"endless sleep", "after-ack=sleep(10000h)", "needs a duration"},
		{"error without text", "after-ack=error()", "needs a text"},
		{"open parenthesis", "after-ack=sleep(1s", "closing parenthesis"},
		{"count zero", "after-ack=0*kill", "count"},
		{"count word", "after-ack=three*kill", "count"},
		{"count too high", "after-ack=99999999*kill", "count"},
		{"twice", "after-ack=kill;after-ack=panic", "given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set, err := Parse(tt.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Parse(%q) = %v, %v; want an error with %q", tt.spec, set, err, tt.want)
			}
		})
	}
}

func TestParseReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := FromEnv(func(string) string { return "nowhere=kill;after-ack=jump" })
	for _, want := range []string{EnvVar, "nowhere", "jump"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestEveryNameParses(t *testing.T) {
	t.Parallel()
	if n := len(Names()); n != 10 {
		t.Fatalf("%d names, want 10", n)
	}
	var spec []string
	for _, name := range Names() {
		spec = append(spec, string(name)+"=error(x)")
	}
	set := mustParse(t, strings.Join(spec, ";"))
	for _, name := range Names() {
		if err := set.Hit(t.Context(), name); !errors.Is(err, ErrInjected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := strings.Count(set.String(), ",") + 1; got != 10 {
		t.Errorf("String names %d points: %s", got, set)
	}
}

func TestNilSetDoesNothingAndAllocatesNothing(t *testing.T) {
	t.Parallel()
	set, err := Parse(" ; ")
	if err != nil || set != nil {
		t.Fatalf("Parse of nothing = %v, %v; want nil, nil", set, err)
	}
	if set.String() != "" || set.Hits(AfterAck) != 0 {
		t.Error("the nil set is not empty")
	}
	if err := set.Hit(t.Context(), AfterAck); err != nil {
		t.Error(err)
	}
}

func BenchmarkNilHit(b *testing.B) {
	var set *Set
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := set.Hit(ctx, BeforePublish); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("before-publish=kill;after-ack=3*sleep(1s);x=error(a)")
	f.Fuzz(func(t *testing.T, spec string) {
		set, err := Parse(spec)
		if err != nil && set != nil {
			t.Errorf("Parse(%q) gave a set and an error", spec)
		}
	})
}

func mustParse(t *testing.T, spec string) *Set {
	t.Helper()
	set, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
