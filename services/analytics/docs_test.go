package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/examples"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
)

// fleetEnds is after the last commit of the fleet of TestExamplesOfTheDocs: the examples live in its time.
const fleetEnds = "2026-10-02 00:00:00"

// TestExamplesOfTheDocs runs every SQL example of docs/analytics.md as an analyst and wants rows; of those that answer a
// question of answers, the very rows that follow from the events of the ledger.
func TestExamplesOfTheDocs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/analytics.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := examples.Read(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.start()
	s.fleet = fleet.New(9, time.Minute)
	s.send(1500, 2)
	_ = s.compare()
	s.awaitSums()
	analyst := chtest.Open(t, s.server, chembed.UserAnalyst)
	expected := answers(s.commits)
	for _, e := range all {
		var got []string
		chtest.Read(t, func(ctx context.Context) (err error) {
			got, err = rowsOf(ctx, analyst, e.In(fleetEnds, "acme"), len(expected[e.Question].columns))
			return err
		})
		if len(got) == 0 {
			t.Errorf("%s: no row", e.Question)
		}
		if want, checked := expected[e.Question]; checked {
			want.check(t, e.Question, got)
			delete(expected, e.Question)
		}
	}
	for question := range expected {
		t.Errorf("no example asks: %s", question)
	}
}

// rowsOf returns the rows of an answer, each as the text of its first columns; all of them if columns is 0.
func rowsOf(ctx context.Context, conn driver.Conn, statement string, columns int) ([]string, error) {
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, statement)
	}
	var found []string
	for rows.Next() {
		targets := make([]any, len(rows.ColumnTypes()))
		for i, column := range rows.ColumnTypes() {
			targets[i] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if columns == 0 {
			columns = len(targets)
		}
		texts := make([]string, columns)
		for i := range texts {
			value := reflect.ValueOf(targets[i]).Elem().Interface()
			if at, isTime := value.(time.Time); isTime {
				value = at.UTC().Format(time.DateTime)
			}
			texts[i] = fmt.Sprint(value)
		}
		found = append(found, strings.Join(texts, "|"))
	}
	return found, errors.Join(rows.Err(), rows.Close())
}

// awaitSums waits until the sums by the hour tell of the last commit.
func (s *site) awaitSums() {
	s.t.Helper()
	conn := chtest.Open(s.t, s.server, chembed.UserAnalyst)
	last := s.commits[len(s.commits)-1].Number
	await(s.t, "summed by the hour", func() bool {
		var through uint64
		err := conn.QueryRow(s.t.Context(), "SELECT max(through_commit) FROM analyst.summed").Scan(&through)
		return err == nil && through == last
	})
}
