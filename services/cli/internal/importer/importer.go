package importer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/trace"
)

// Bounds.
const (
	// itemsPerReport keeps a report well below the largest request.
	itemsPerReport = 250
	// headBytes of a file tell whether it is still the same one.
	headBytes = 1024
	// rescan is how often a followed folder is looked at.
	rescan = 2 * time.Second
)

// Reporter records usage; a client's agent is one.
type Reporter interface {
	Report(ctx context.Context, r wire.ReportRequest) (*wire.ReservationReply, error)
}

// Importer reads the logs of one program into one account.
type Importer struct {
	Source   Source
	Places   []string // files and folders
	Account  string
	Memory   *Memory
	Reporter Reporter
	Log      *slog.Logger
	// Progress is told of each file that was looked at; nil for nobody.
	Progress func(done, files int)
}

// Summary counts what a run did.
type Summary struct {
	Files     int   `json:"files"`     // logs found
	Read      int   `json:"read"`      // of these, those with something new
	Calls     int   `json:"calls"`     // that were reported
	Repeated  int   `json:"repeated"`  // lines that told a call again
	Other     int   `json:"other"`     // lines that spend nothing
	Synthetic int   `json:"synthetic"` // lines that the program made itself
	Malformed int   `json:"malformed"` // lines that cannot be read
	Tokens    int64 `json:"tokens"`    // of the calls, as far as they were not reported before
	// FirstAt is when the earliest of the calls was; 0 without any.
	FirstAt wire.Time `json:"first_at,omitzero"`
}

// Run reads everything new once. On an error the summary tells what was done; what was reported stays reported and is
// not repeated by the next run.
func (i *Importer) Run(ctx context.Context) (Summary, error) {
	var sum Summary
	files, err := find(i.Places)
	if err != nil {
		return sum, fmt.Errorf("look for logs: %w", err)
	}
	sum.Files = len(files)
	for n, file := range files {
		if err := i.file(ctx, file, &sum); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sum, fmt.Errorf("import %s: %w", file.path, err)
		}
		if i.Progress != nil {
			i.Progress(n+1, len(files))
		}
	}
	return sum, nil
}

// Follow runs again and again until ctx ends, and tells each run that brought something.
func (i *Importer) Follow(ctx context.Context, tell func(Summary)) error {
	ticker := time.NewTicker(rescan)
	defer ticker.Stop()
	for {
		sum, err := i.Run(ctx)
		if sum.Calls > 0 { // also of a run that was cut off: the next one does not tell of it again
			tell(sum)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, wire.ErrUnavailable): // what was not reported is read again
			i.Log.Warn("the broker is away: trying until it is back", "error", err)
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// file brings what is new in one file into the books, and then remembers that. A crash in between repeats the report,
// of whose calls the broker keeps the largest.
func (i *Importer) file(ctx context.Context, file logFile, sum *Summary) (err error) {
	in, err := os.Open(file.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	mark, err := i.mark(in, file)
	if err != nil || file.size == mark.Offset {
		return err
	}
	return i.Memory.db.Update(func(tx *bbolt.Tx) error {
		part, err := i.read(tx, in, &mark, file)
		if err != nil {
			return err
		}
		if mark.Head, err = headOf(in, mark.Offset); err != nil {
			return err
		}
		if err := i.report(ctx, part.items); err != nil {
			return err
		}
		sum.add(part)
		return put(tx, bucketFiles, i.fileKey(file), mark)
	})
}

// fileKey names a file in the memory: one that was read as the log of another program is read again.
func (i *Importer) fileKey(file logFile) string { return i.Source.Name + " " + file.path }

// mark finds how far a file was read; another file of the same name is read from its beginning.
func (i *Importer) mark(in io.ReaderAt, file logFile) (mark fileMark, err error) {
	err = i.Memory.db.View(func(tx *bbolt.Tx) error {
		mark, err = get[fileMark](tx, bucketFiles, i.fileKey(file))
		return err
	})
	if err != nil {
		return mark, err
	}
	head, err := headOf(in, mark.Offset)
	if head != mark.Head || file.size < mark.Offset {
		mark = fileMark{}
	}
	return mark, err
}

// part is what was read of one file.
type part struct {
	merger
	other, synthetic, malformed int
}

// read reads whole lines from where the mark stands and moves it.
func (i *Importer) read(tx *bbolt.Tx, in *os.File, mark *fileMark, file logFile) (*part, error) {
	p := &part{merger: merger{tx: tx, places: map[string]int{}}}
	if _, err := in.Seek(mark.Offset, io.SeekStart); err != nil {
		return nil, err
	}
	reader := i.Source.newReader(file.path, mark.Reader)
	lines := newLines(in)
	for {
		line, size, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(line) > 0 {
			if err := p.line(reader, line, mark.Offset, i.Source.Name, file.modified); err != nil {
				return nil, err
			}
		} else if size > trace.MaxLineBytes {
			p.malformed++
		}
		mark.Offset += size
	}
	mark.Reader = reader.state()
	return p, nil
}

func (p *part) line(r reader, line []byte, offset int64, program string, modified time.Time) error {
	row, reason := r.line(line, offset)
	switch reason {
	case trace.NoCall:
		p.other++
		return nil
	case trace.Synthetic:
		p.synthetic++
		return nil
	case trace.Unreadable:
		p.malformed++
		return nil
	}
	at := row.Call.At
	if at.Unix() <= 0 { // it tells no time, or none that can be
		at = modified
	}
	return p.add(&row, wire.UsageItem{
		OccurredAt: wire.TimeOf(quota.InstantOf(at)), Model: wire.Clip(row.Call.Model, wire.MaxNameBytes), Tokens: wire.Tokens(row.Call.Tokens),
		Source: "transcript:" + program, Session: wire.Clip(row.Call.Session, wire.MaxTextBytes), Project: wire.Clip(row.project, wire.MaxTextBytes),
	})
}

// report sends items to the broker.
func (i *Importer) report(ctx context.Context, items []wire.UsageItem) error {
	for len(items) > 0 {
		n := min(len(items), itemsPerReport)
		if _, err := i.Reporter.Report(ctx, wire.ReportRequest{Account: i.Account, Usage: items[:n]}); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func (s *Summary) add(p *part) {
	s.Read++
	s.Calls += len(p.items)
	s.Repeated += p.known
	s.Other += p.other
	s.Synthetic += p.synthetic
	s.Malformed += p.malformed
	s.Tokens += p.tokens
	for i := range p.items {
		if at := p.items[i].OccurredAt; s.FirstAt == 0 || at < s.FirstAt {
			s.FirstAt = at
		}
	}
}

// headOf hashes the beginning of a file, no further than to its mark, which a later append leaves as it is.
func headOf(in io.ReaderAt, offset int64) (string, error) {
	if offset == 0 {
		return "", nil
	}
	head := make([]byte, min(headBytes, offset))
	n, err := in.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	hash := sha256.Sum256(head[:n])
	return hex.EncodeToString(hash[:16]), nil
}

// wholeLines reads the lines of a file that may still be written: a last line that is no whole document is left for the
// next run.
type wholeLines struct{ reader *bufio.Reader }

func newLines(r io.Reader) *wholeLines {
	const bufferBytes = 64 << 10
	return &wholeLines{bufio.NewReaderSize(r, bufferBytes)}
}

// next returns the next line without its end, and how many bytes it takes in the file. A line above
// [trace.MaxLineBytes] is returned as an empty one. At the end, or before a line that is not whole, it returns [io.EOF].
func (l *wholeLines) next() (line []byte, size int64, err error) {
	tooLong := false
	for {
		piece, err := l.reader.ReadSlice('\n')
		size += int64(len(piece))
		if !tooLong {
			line = append(line, piece...)
		}
		if len(line) > trace.MaxLineBytes {
			line, tooLong = nil, true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0 && json.Valid(line):
		case err != nil:
			return nil, 0, err
		}
		for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
			line = line[:len(line)-1]
		}
		return line, size, nil
	}
}
