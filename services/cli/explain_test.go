package cli

import (
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/story"
)

// explained checks the story of a reservation that was settled.
func (i *instance) explained(id string) {
	i.t.Helper()
	told := ask[story.Story](i, "explain", id)
	if told.Verdict != "settled" || len(told.Lines) < 4 || told.Used == 0 {
		i.t.Errorf("explain %+v, want the story of a settled reservation", told)
	}
	fits(i.t, i.do(ExitOK, "explain", id))
}

// explainedRefusal checks that a refused request is explained by its id.
func (i *instance) explainedRefusal() {
	i.t.Helper()
	request, err := wire.NewRequestID()
	if err != nil {
		i.t.Fatal(err)
	}
	i.do(ExitFailure, "reserve", "--account", "claude-max", "--model", "claude-sonnet-5", "--output", "999000000", "--request-id", request)
	told := ask[story.Story](i, "explain", request)
	if told.Verdict != "refused" || len(told.Helpful) == 0 {
		i.t.Errorf("explain %+v, want why it was refused and what would have helped", told)
	}
	fits(i.t, i.do(ExitOK, "explain", request))
	if got := document[failure](i.t, i.do(ExitFailure, "explain", "no-such-id", "--json")); got.Error.Code != quota.CodeAllocationNotFound || !strings.Contains(got.Error.Message, "no-such-id") {
		i.t.Errorf("nothing to explain: %+v", got.Error)
	}
}

// narrow is the environment of a screen of 80 columns.
func narrow(name string) string { return map[string]string{"COLUMNS": "80"}[name] }

// fits checks that no line is wider than a screen.
func fits(t *testing.T, output string) {
	t.Helper()
	for line := range strings.SplitSeq(output, "\n") {
		if text.StringWidth(line) > screen.DefaultWidth {
			t.Errorf("%d columns: %q", text.StringWidth(line), line)
		}
	}
}
