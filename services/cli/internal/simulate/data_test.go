//go:build testdata

package simulate

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/realdata"
)

// The real clients of a week, for a day of it: the books hold, and the windows are used.
func TestServeGenClients(t *testing.T) {
	t.Parallel()
	c := world(t)
	all, err := Clients(&c, []string{
		realdata.Path(t, "traces", "servegen", "m-large_client_windows.dev.csv"),
		realdata.Path(t, "traces", "servegen", "m-large_client_tokens.dev.csv"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("%d clients", len(all))
	}
	r, err := Run(t.Context(), Options{Config: c, Tenants: all, Days: 1, Load: 1, Seed: 1, Policy: Bursar()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Utilisation < 0.5 || r.Done == 0 {
		t.Errorf("%.0f%% of the windows used, %d of %d jobs done", 100*r.Utilisation, r.Done, r.Jobs)
	}
	t.Logf("%d clients, %d jobs, %.0f%% of the windows used, fairness %.3f", len(all), r.Jobs, 100*r.Utilisation, r.Fairness)
}
