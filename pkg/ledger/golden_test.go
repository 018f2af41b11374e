package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Golden ledgers are logs that released versions wrote. They must fold to the same for ever; a file is never changed
// once it is released. -golden writes those that are missing.
var writeGolden = flag.Bool("golden", false, "write golden ledgers that are missing")

// goldenAdvice is what to do when a golden ledger means something else.
const goldenAdvice = "what a stored event means may not change: change Decide, or tell the difference by a new field of the event"

const (
	goldenDir  = "testdata/golden/v1"
	sharedName = "shared-plan"
)

// readLog reads a log file: for each commit revision and length as uvarint, then the bytes.
func readLog(r *bufio.Reader) ([]Entry, error) {
	var log []Entry
	for {
		revision, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return log, nil
		}
		if err != nil {
			return nil, err
		}
		size, err := binary.ReadUvarint(r)
		if err != nil || size > MaxCommitBytes {
			return nil, fmt.Errorf("commit of %d bytes (%w)", size, err)
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, err
		}
		log = append(log, Entry{Revision: revision, Data: data})
	}
}

func writeLog(log []Entry) []byte {
	var b []byte
	for _, e := range log {
		b = binary.AppendUvarint(b, e.Revision)
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// summary tells in words what a ledger folded to.
func summary(l *Ledger) string {
	var b strings.Builder
	p := l.Position()
	fmt.Fprintf(&b, "ledger %s epoch %d commit %d revision %d at %d\nhash %s\n", p.Ledger, p.Epoch, p.Number, p.Revision, p.At, p.Hash)
	b.WriteString("totals")
	totals := reflect.ValueOf(l.State().Totals())
	for field, n := range totals.Fields() { // those that count something, so that a later version may count more
		if !n.IsZero() {
			fmt.Fprintf(&b, " %s:%d", field.Name, n.Int())
		}
	}
	b.WriteByte('\n')
	fmt.Fprintf(&b, "live %d remembered %d floor %d\n", l.State().Live(), l.Remembered(), l.Floor())
	for _, v := range l.State().Limits(p.At) {
		fmt.Fprintf(&b, "limit %s from %d to %d: capacity %d used %d held %d outside %d available %d over %d\n",
			v.Limit.ID, v.Start, v.End, v.Capacity, v.Used, v.Held, v.Outside, v.Available, v.Over)
	}
	for _, r := range l.State().Reservations(true, func(*quota.Reservation) bool { return true }) {
		fmt.Fprintf(&b, "reservation %s %q granted %d used %d cost %d\n", r.ID, r.Outcome, r.Granted.Tokens.Total(), r.Used.Tokens.Total(), r.CostUsed)
	}
	summarizeSharing(&b, l.State(), p.At)
	return b.String()
}

func TestGoldenLedgers(t *testing.T) {
	t.Parallel()
	if *writeGolden {
		writeMissing(t)
	}
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.ledger"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden ledgers (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".ledger") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			log, err := readLog(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			r := verify(nil, log)
			if !r.OK() {
				t.Fatalf("%s\nviolations: %q", goldenAdvice, r.Violations)
			}
			if got := summary(r.Ledger); got != string(want) {
				t.Errorf("%s\nit folds to\n%s\nit was\n%s", goldenAdvice, got, want)
			}
		})
	}
}

// writeMissing records scenarios that have no file yet.
func writeMissing(t *testing.T) {
	t.Helper()
	for name, commits := range map[string]int{"first-commits": 3, "busy-day": 150, sharedName: 180} {
		file := filepath.Join(goldenDir, name)
		if _, err := os.Stat(file + ".ledger"); err == nil {
			continue
		}
		s := newScribe(t, uint64(commits))
		play := s.play
		if name == sharedName {
			play = s.share
		}
		play(commits)
		if err := os.MkdirAll(goldenDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(file+".ledger", writeLog(s.log), 0o644), os.WriteFile(file+".want", []byte(summary(s.ledger)), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}
