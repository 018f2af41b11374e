package simulate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestClientsFaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"other columns", "a,b\n1,2\n", "neither the rates nor the sizes"},
		{"no rate", "client_id,window_start_s,rate_rps\n1,0,fast\n", "not a rate"},
		{"no time", "client_id,window_start_s,rate_rps\n1,-5,1\n", "not a time"},
		{"infinite", "client_id,window_start_s,rate_rps\n1,0,Inf\n", "not a rate"},
		{"half of it", rates, "no client with both"},
		{"no size", "client_id,in_mean,in_p50,out_mean,out_p50\n1,-1,2,3,4\n", "not a number of tokens"},
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
