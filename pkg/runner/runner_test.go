package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// childVar makes the re-executed test binary a process that drains well ("drains") or never ("hangs").
const childVar = "RUNNER_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childVar); mode != "" {
		os.Exit(child(mode))
	}
	os.Exit(m.Run())
}

func child(mode string) int {
	log := slog.New(slog.DiscardHandler)
	ctx, stop := WithSignals(context.Background(), log)
	defer stop()
	part := Part{Name: "loop", Run: func(ctx context.Context) error {
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("draining")
		if mode == "hangs" {
			select {}
		}
		return nil
	}}
	return ExitCode(log, Run(ctx, log, time.Hour, part))
}

func TestSignals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, mode string
		signal     syscall.Signal
		second     bool
		want       int
	}{
		{"SIGTERM drains", "drains", syscall.SIGTERM, false, 0},
		{"SIGINT drains", "drains", syscall.SIGINT, false, 0},
		{"a second SIGTERM kills", "hangs", syscall.SIGTERM, true, 128 + int(syscall.SIGTERM)},
		{"a second SIGINT kills", "hangs", syscall.SIGINT, true, 128 + int(syscall.SIGINT)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childVar+"="+tt.mode)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			expectLine(t, lines, "ready")
			send(t, cmd, tt.signal)
			expectLine(t, lines, "draining")
			if tt.second {
				send(t, cmd, tt.signal)
			}
			for lines.Scan() {
			}
			_ = cmd.Wait() // its exit status is what counts
			if got := cmd.ProcessState.ExitCode(); got != tt.want {
				t.Errorf("exit status %d, want %d", got, tt.want)
			}
		})
	}
}

func expectLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("got line %q (%v), want %q", lines.Text(), lines.Err(), want)
	}
}

func send(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// journal records in which order the parts of a test did what.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

func (j *journal) part(name string) Part {
	return Part{
		Name:  name,
		Start: func(context.Context) error { j.note("+%s", name); return nil },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.note("drain:%s", name)
			return nil
		},
		Stop: func(context.Context) error { j.note("-%s", name); return nil },
	}
}

const wantOrder = "+a +b +c drain:c -c drain:b -b drain:a -a"

func TestAcquiresInOrderAndReleasesInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- Run(ctx, discard(), DrainTime, j.part("a"), j.part("b"), j.part("c")) }()
		synctest.Wait()
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if got := j.String(); got != wantOrder {
			t.Errorf("order %q, want %q", got, wantOrder)
		}
	})
}

func TestRunReportsWhatWentWrong(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name   string
		change func(p *Part)
		want   []error
		order  string
	}{
		{"a part cannot start", func(p *Part) { p.Start = func(context.Context) error { return boom } },
			[]error{boom}, "+a -a"},
		{"a part fails", func(p *Part) { p.Run = func(context.Context) error { return boom } },
			[]error{boom}, "+a +b +c drain:c -c -b drain:a -a"},
		{"a part ends without an error", func(p *Part) { p.Run = func(context.Context) error { return nil } },
			[]error{ErrEnded}, "+a +b +c drain:c -c -b drain:a -a"},
		{"a part completes", func(p *Part) {
			p.Run = func(context.Context) error { return nil }
			p.Completes = true
		}, nil, "+a +b +c drain:c -c -b drain:a -a"},
		{"a part fails and another cannot release", func(p *Part) {
			p.Run = func(context.Context) error { return boom }
			p.Stop = func(context.Context) error { return os.ErrClosed }
		}, []error{boom, os.ErrClosed}, "+a +b +c drain:c -c drain:a -a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := &journal{}
			b := j.part("b")
			tt.change(&b)
			err := Run(t.Context(), discard(), DrainTime, j.part("a"), b, j.part("c"))
			if len(tt.want) == 0 && err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("Run = %v, want it to wrap %v", err, want)
				}
			}
			if err != nil && !strings.Contains(err.Error(), "b") {
				t.Errorf("Run = %v does not name the part", err)
			}
			if got := j.String(); got != tt.order {
				t.Errorf("order %q, want %q", got, tt.order)
			}
		})
	}
}

func TestAPartThatIgnoresItsContextIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		hang := make(chan struct{})
		stuck := Part{Name: "stuck", Run: func(context.Context) error { <-hang; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- Run(ctx, discard(), 5*time.Second, j.part("a"), stuck) }()
		synctest.Wait()
		begin := time.Now()
		cancel()
		if err := <-result; !errors.Is(err, ErrDrain) || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("Run = %v, want ErrDrain with the part's name", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("gave up after %s, want 5s", took)
		}
		synctest.Wait()
		if got := j.String(); !strings.HasPrefix(got, "+a drain:a") && !strings.Contains(got, "-a") {
			t.Errorf("order %q: a was not released", got)
		}
		close(hang)
	})
}

func TestADrainErrorIsReported(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	ctx, cancel := context.WithCancel(t.Context())
	part := Part{Name: "relay", Run: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return boom
	}}
	if err := Run(ctx, discard(), DrainTime, part); !errors.Is(err, boom) || !strings.Contains(err.Error(), "drain relay") {
		t.Errorf("Run = %v, want the error of the drain", err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
