package system

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// Of files that the engine ends over an operator learns how to go on; of anything else that would be wrong advice.
func TestClickHouseThatEndsIsToBeMovedAway(t *testing.T) {
	t.Parallel()
	s := &system{cfg: Config{Dir: datadir.Dir("there")}}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("starting: %w: cannot parse", chembed.ErrEnded), true},
		{chembed.ErrNoLibrary, false},
	} {
		got := s.clickHouseHint(tt.err)
		if says := strings.Contains(got.Error(), "move "+s.cfg.Dir.ClickHouse()+" away"); says != tt.want || !errors.Is(got, tt.err) {
			t.Errorf("of %q it says %q", tt.err, got)
		}
	}
}

// A server that can not write any more ends the system, which says where room is missing; until then it is only watched.
func TestAFullDiskEndsTheSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &system{cfg: Config{Dir: datadir.Dir("there")}, nats: natstest.Start(t, natstest.StoreDir(dir))}
	ended := make(chan error, 1)
	go func() { ended <- s.watchStore(t.Context()) }()
	natstest.FillDisk(t, s.nats, dir)
	select {
	case err := <-ended:
		if !errors.Is(err, natsembed.ErrStore) || !strings.Contains(err.Error(), "make room below there") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on though nothing is stored any more")
	}
}
