package price

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

//go:embed prices.csv
var pricesCSV []byte

//go:embed aliases.csv
var aliasesCSV []byte

// ErrFormat says that a price file is not in the format of prices.csv; the wrapping error names the line.
var ErrFormat = errors.New("bad price file")

// columns of prices.csv, in order.
var columns = [...]string{
	"provider", "model", "valid_from", "valid_to", "above_input_tokens",
	"input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "batch_permille",
}

// Default gives the built-in catalogue. An error means that the program was built from a faulty prices.csv.
func Default() (*Catalogue, error) {
	entries, err := ReadEntries(bytes.NewReader(pricesCSV))
	if err != nil {
		return nil, fmt.Errorf("read built-in prices: %w", err)
	}
	aliases, err := readAliases(bytes.NewReader(aliasesCSV))
	if err != nil {
		return nil, fmt.Errorf("read built-in model aliases: %w", err)
	}
	return New(entries, aliases)
}

// ReadEntries reads price rows in the format that prices.csv describes, without validating their values. It returns
// every fault of form at once, each an ErrFormat with its line.
func ReadEntries(r io.Reader) ([]Entry, error) {
	var entries []Entry
	err := readRows(r, columns[:], func(row []string) error {
		e, err := parseEntry(row)
		if err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

func readAliases(r io.Reader) (map[string]string, error) {
	aliases := map[string]string{}
	err := readRows(r, []string{"alias", "model"}, func(row []string) error {
		if _, twice := aliases[row[0]]; twice {
			return fmt.Errorf("alias %q stands twice", row[0])
		}
		aliases[row[0]] = row[1]
		return nil
	})
	return aliases, err
}

// readRows hands every row after the header to take and joins the faults.
func readRows(r io.Reader, header []string, take func(row []string) error) error {
	reader := csv.NewReader(r)
	reader.Comment = '#'
	reader.FieldsPerRecord = len(header)
	var faults []error
	for first := true; ; first = false {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			if first {
				faults = append(faults, fmt.Errorf("%w: no header", ErrFormat))
			}
			return errors.Join(faults...)
		}
		if err != nil {
			return errors.Join(append(faults, fmt.Errorf("%w: %w", ErrFormat, err))...)
		}
		if first {
			for i, name := range header {
				if row[i] != name {
					return fmt.Errorf("%w: column %d is %q, must be %q", ErrFormat, i+1, row[i], name)
				}
			}
			continue
		}
		if err := take(row); err != nil {
			line, _ := reader.FieldPos(0)
			faults = append(faults, fmt.Errorf("%w: line %d: %w", ErrFormat, line, err))
		}
	}
}

func parseEntry(row []string) (Entry, error) {
	p := fieldParser{row: row}
	e := Entry{
		Provider: row[0], Model: row[1], From: p.day(2), To: p.day(3), AboveInput: p.number(4),
		Rate: quota.Rate{
			Input: p.number(5), Output: p.number(6), CacheRead: p.number(7), CacheWrite5m: p.number(8), CacheWrite1h: p.number(9),
		},
	}
	if row[10] != "" {
		e.BatchPermille = p.number(10)
	}
	return e, errors.Join(p.faults...)
}

// fieldParser reads the fields of one row and collects what it cannot read.
type fieldParser struct {
	row    []string
	faults []error
}

func (p *fieldParser) number(column int) int64 {
	n, err := strconv.ParseInt(p.row[column], 10, 64)
	if err != nil {
		p.faults = append(p.faults, fmt.Errorf("%s is %q, must be a whole number", columns[column], p.row[column]))
	}
	return n
}

// day reads YYYY-MM-DD as the instant at which that day starts in UTC; empty is open.
func (p *fieldParser) day(column int) quota.Instant {
	if p.row[column] == "" {
		return 0
	}
	t, err := time.Parse(time.DateOnly, p.row[column])
	if err != nil {
		p.faults = append(p.faults, fmt.Errorf("%s is %q, must be a day like 2026-09-01", columns[column], p.row[column]))
		return 0
	}
	return quota.InstantOf(t)
}
