package dashboards

import (
	"testing"
	"time"
)

func TestExpandRefusesWhatGrafanaWouldLeave(t *testing.T) {
	t.Parallel()
	g := Grafana{From: time.Unix(60, 0), To: time.Unix(120, 0), Interval: time.Minute, Variables: map[string]string{"workspace": "o'neil"}}
	got, err := g.Expand("workspace = ${workspace:singlequote} AND $__timeFilter(at) GROUP BY $__timeInterval(at), $__interval_s")
	want := `workspace = 'o\'neil' AND at >= toDateTime(60) AND at <= toDateTime(120) GROUP BY toStartOfInterval(toDateTime(at), INTERVAL 60 second), 60`
	if err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"${team:singlequote}", "$__timefilter(at)", "$__timeFilter", "$workspace"} {
		if _, err := g.Expand(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
