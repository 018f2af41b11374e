package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	rates = "client_id,window_start_s,rate_rps\n7,0,0.5\n7,600,1\n8,0,0\n"
	sized = "client_id,window_start_s,in_mean,in_p50,out_mean,out_p50\n7,0,200,100,50,20\n7,21600,,,,\n"
)

func TestClientsBecomeTenants(t *testing.T) {
	t.Parallel()
	c := world(t)
	all, err := Clients(&c, []string{write(t, "tokens.csv", sized), write(t, "windows.csv", rates)})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Agents != "client-7" || len(all[0].Rate) != 2 || all[0].Size == nil {
		t.Fatalf("%+v", all)
	}
	r, err := Run(t.Context(), Options{Config: c, Tenants: all, Days: 1, Load: 0.1, Seed: 1, Policy: Bursar()})
	if err != nil || r.Done == 0 {
		t.Fatalf("%+v %v", r, err)
	}
}

// week tells of two clients for two days: one calls on the first day only, the other on the second only, and with calls ten
// times as large.
func week(t *testing.T, c *quota.Config) []*Tenant {
	t.Helper()
	var rates, sizes strings.Builder
	rates.WriteString("client_id,window_start_s,rate_rps\n")
	sizes.WriteString("client_id,window_start_s,in_mean,in_p50,out_mean,out_p50\n")
	for i := range 144 {
		fmt.Fprintf(&rates, "a,%d,1\nb,%d,1\n", i*600, 86400+i*600)
	}
	for i := range 4 {
		fmt.Fprintf(&sizes, "a,%d,900,800,100,90\nb,%d,9000,8000,1000,900\n", i*21600, 86400+i*21600)
	}
	all, err := Clients(c, []string{write(t, "windows.csv", rates.String()), write(t, "tokens.csv", sizes.String())})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		one.Provider = "claude"
	}
	return all
}

// Of whatever days of a week are simulated, a load is as much work as it says, and comes when and in what sizes it did.
func TestClientsOfferTheLoadOfTheDaysThatAreSimulated(t *testing.T) {
	t.Parallel()
	c := world(t)
	all := week(t, &c)
	if len(all) != 2 || all[0].Period != 2*quota.Day || all[1].Share < 9*all[0].Share {
		t.Fatalf("%d clients, a period of %d, shares %g and %g", len(all), all[0].Period, all[0].Share, all[1].Share)
	}
	for _, tt := range []struct {
		name  string
		seed  uint64 // even ones begin with the first day
		days  int
		least int64 // tokens of a call in the mean
	}{
		{"the first day", 2, 1, 700}, {"the second", 3, 1, 7000}, {"both", 2, 2, 700}, {"the second and the first", 3, 2, 700},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var used, capacity float64
			for _, m := range meters(&c, quota.Millis(tt.days)*quota.Day) {
				if a, _ := c.Account(m.limit.Scope.Account); a.Provider == "claude" {
					capacity += m.perMS * float64(quota.Millis(tt.days)*quota.Day)
				}
			}
			var calls, tokens int64
			for _, j := range workload(&c, all, tt.days, 0.8, tt.seed) {
				u := j.used(0)
				used += units(quota.Weights{Input: 1000, Output: 1000}, u.Tokens)
				calls, tokens = calls+u.Requests, tokens+u.Tokens.Total()
				if day := int(j.Arrives.Sub(start)/quota.Day+quota.Millis(tt.seed)) % 2; j.Tenant.Agents != []string{"client-a", "client-b"}[day] {
					t.Fatalf("work of %s at %d", j.Tenant.Agents, j.Arrives.Sub(start))
				}
			}
			if load := used / capacity; load < 0.7 || load > 0.9 {
				t.Errorf("the work is %.2f of what the windows can take, not about 0.8", load)
			}
			if tokens/calls < tt.least {
				t.Errorf("%d tokens a call", tokens/calls)
			}
		})
	}
}

func TestClientsFaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"other columns", "a,b\n1,2\n", "neither the rates nor the sizes"},
		{"no rate", "client_id,window_start_s,rate_rps\n1,0,fast\n", "not a rate"},
		{"no time", "client_id,window_start_s,rate_rps\n1,-5,1\n", "not a time"},
		{"infinite", "client_id,window_start_s,rate_rps\n1,0,Inf\n", "not a rate"},
		{"half of it", rates, "no client with both"},
		{"no size", "client_id,window_start_s,in_mean,in_p50,out_mean,out_p50\n1,0,-1,2,3,4\n", "not a number of tokens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := world(t)
			if _, err := Clients(&c, []string{write(t, "x.csv", tt.text)}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
