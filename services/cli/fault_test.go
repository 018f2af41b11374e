//go:build fault

package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/replay"
)

// faultJobs is how many jobs are replayed while things are killed: some of them wait, so that it lasts for half a minute.
const faultJobs = "600"

// process is a `bursar up` in a process of its own, so that it can be killed.
type process struct {
	*instance
	cmd *exec.Cmd
	out io.Reader // tells when it is ready
}

// begin starts a process on a directory, with more environment and flags.
func begin(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	args = append([]string{"up", "--data-dir", dir, "--clickhouse-port", "0", "--page-listen", "off", "--json", "--log-level", "warn"}, args...)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), envRunBursar+"=1"), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{instance: &instance{t: t, dir: dir, env: map[string]string{datadir.EnvDir: dir}}, cmd: cmd, out: out}
	t.Cleanup(p.end)
	return p
}

// launch starts a process on a directory and a port that stay the same across launches, and waits until it serves.
func launch(t *testing.T, dir string, port int) *process {
	t.Helper()
	return begin(t, dir, nil, "--nats-port", strconv.Itoa(port)).serving()
}

// serving waits until the process serves.
func (p *process) serving() *process {
	p.t.Helper()
	p.ready = awaitReady(p.t, p.out)
	return p
}

// kill ends the process as a crash would. Killing it twice is harmless.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	_ = p.cmd.Wait()         // its status is that of the kill
}

// diesItself waits for the process to be killed, which nobody here does.
func (p *process) diesItself() {
	p.t.Helper()
	late := time.AfterFunc(startLimit, func() { _ = p.cmd.Process.Signal(syscall.SIGABRT) }) // it may be gone
	_ = p.cmd.Wait()                                                                         // its status is looked at
	late.Stop()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the process ended with %v, it was to be killed within %s", p.cmd.ProcessState, startLimit)
	}
}

// end drains the process, if it lives, so that its ClickHouse is gone when the directory is removed.
func (p *process) end() {
	if p.cmd.ProcessState != nil {
		return // killed
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("end the process: %v", err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("after SIGTERM: %v, want status 0", err)
	}
}

// beside runs a replay beside the test and gives its summary when it has ended.
func (i *instance) beside(seed string) <-chan result {
	ended := make(chan result, 1)
	go func() {
		ended <- bursar(i.t, i.env, "replay", "--demo", "--limit", faultJobs, "--seed", seed, "--json")
	}()
	return ended
}

// awaitGrants waits until a replay is under way.
func (i *instance) awaitGrants(more int64) {
	i.t.Helper()
	var before int64 = -1
	await(i.t, fmt.Sprintf("%d more grants", more), func() bool {
		got := bursar(i.t, i.env, "status", "--json")
		if got.status != ExitOK {
			return false
		}
		granted := document[statusDocument](i.t, got.stdout).Metrics.Granted
		if before < 0 {
			before = granted
		}
		return granted >= before+more
	})
}

func summaryOf(t *testing.T, got result) replay.Summary {
	t.Helper()
	if got.status != ExitOK {
		t.Fatalf("the replay ended with %d\n%s%s", got.status, got.stdout, got.stderr)
	}
	return document[replay.Summary](t, got.stdout)
}

// TestKilledInTheMiddleOfAReplay kills everything, NATS and ClickHouse included, while agents are at work. They wait,
// go on with the same request ids once it is back, and the books are right.
func TestKilledInTheMiddleOfAReplay(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), natstest.FreePort(t)
	p := launch(t, dir, port)
	ended := p.beside("11")
	for range 2 {
		p.awaitGrants(60)
		p.kill()
		p = launch(t, dir, port)
	}
	s := summaryOf(t, <-ended)
	doc := ask[verifyDocument](p.instance, "verify")
	if !doc.OK {
		t.Errorf("after two kills: %+v", doc)
	}
	if doc.Reservations != s.Granted {
		t.Errorf("the ledger granted %d reservations, the agents were told of %d", doc.Reservations, s.Granted)
	}
	if s.ReservedTokens+s.OverrunTokens != s.UsedTokens+s.ReturnedTokens {
		t.Errorf("%d reserved + %d overrun is not %d used + %d returned", s.ReservedTokens, s.OverrunTokens, s.UsedTokens, s.ReturnedTokens)
	}
}

// TestClickHouseKilledInTheMiddleOfAReplay kills ClickHouse again and again: nobody who reserves notices, and nothing is
// missing or doubled in the end.
func TestClickHouseKilledInTheMiddleOfAReplay(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), natstest.FreePort(t))
	ended := p.beside("12")
	for range 3 {
		p.awaitGrants(30)
		pid := p.clickhousePID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "another ClickHouse", func() bool { next := p.findClickHouse(); return next != 0 && next != pid })
	}
	s := summaryOf(t, <-ended)
	doc := ask[verifyDocument](p.instance, "verify", "--wait", "60s")
	if !doc.OK || doc.Reservations != s.Granted {
		t.Errorf("after three kills of ClickHouse: %+v, %d granted", doc, s.Granted)
	}
}

// TestNATSKilledInTheMiddleOfAReplay kills a nats-server on its own, twice, and starts it again on the same store: the
// services and the agents go on by themselves.
func TestNATSKilledInTheMiddleOfAReplay(t *testing.T) {
	t.Parallel()
	nats, dir := natsElsewhere(t)
	p := begin(t, dir, nil, "--nats-url", nats.URL).serving()
	ended := p.beside("13")
	for range 2 {
		p.awaitGrants(60)
		nats.Kill()
		if got := bursar(t, p.env, "status"); got.status == ExitOK {
			t.Error("somebody answers without NATS")
		}
		nats.Start()
	}
	s := summaryOf(t, <-ended)
	doc := ask[verifyDocument](p.instance, "verify", "--wait", "60s")
	if !doc.OK || doc.Reservations != s.Granted || doc.ClickHouse.Events == 0 {
		t.Errorf("after two kills of NATS: %+v, %d granted", doc, s.Granted)
	}
	p.end() // before the server, whose end comes first otherwise
}

func (p *process) clickhousePID() int {
	p.t.Helper()
	pid := p.findClickHouse()
	if pid == 0 {
		p.t.Fatal("the process has no ClickHouse child")
	}
	return pid
}

// findClickHouse finds the child of the process; 0 for none.
func (p *process) findClickHouse() int {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for child := range strings.FieldsSeq(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				return pid
			}
		}
	}
	return 0
}
