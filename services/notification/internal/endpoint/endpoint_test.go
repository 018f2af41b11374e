package endpoint

import (
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

func environment(key string) string {
	return map[string]string{
		"CHAT":  "https://hooks.example.com/services/T0/B0/secret",
		"KEY":   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"SHORT": "whsec_c2hvcnQ=",
	}[key]
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse("f.yaml", []byte(`
endpoints:
  - name: ops
    url: https://ops.example.com/hook
    secret_env: KEY
    events: [limit.warning, reservation.denied]
    min_percent: 90
    workspaces: [acme, default]
  - {name: chat, format: slack, url_env: CHAT}
  - {name: here, url: "http://127.0.0.1:8080/"}
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Secret != environment("KEY") || got[0].Format != FormatCloudEvents || got[1].URL != environment("CHAT") {
		t.Fatalf("read %+v", got)
	}
	for i, want := range []string{
		"quota.v1.acme.event.*.*.limit.warning quota.v1.acme.event.*.*.reservation.denied " +
			"quota.v1.default.event.*.*.limit.warning quota.v1.default.event.*.*.reservation.denied",
		"quota.v1.*.event.*.*.limit.warning quota.v1.*.event.*.*.suggestion.made",
	} {
		if subjects := strings.Join(got[i].Subjects(), " "); subjects != want {
			t.Errorf("%s listens to %s, want %s", got[i].Name, subjects, want)
		}
	}
}

func TestTheExampleIsRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../deployments/endpoints.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("endpoints.yaml", text, func(string) string { return "" })
	// Without the variables both endpoints lack something, and nothing else is wrong.
	if len(got) != 0 || strings.Count(err.Error(), "; ") != 1 ||
		!strings.Contains(err.Error(), "BURSAR_OPS_SECRET") || !strings.Contains(err.Error(), "BURSAR_SLACK_URL") {
		t.Errorf("read %d endpoints, %v", len(got), err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":                "endpoints",
		"endpoints: []":   "want 1 to 32",
		"endpoints: [{}]": "1 to 32 of a-z",
		"endpoint: []":    "endpoint",
		"endpoints: 5":    "f.yaml",
		"endpoints: [{name: A, url: 'https://x.example'}]":                                            "1 to 32 of a-z",
		"endpoints: [{name: a}]":                                                                      "url is empty",
		"endpoints: [{name: a, url_env: NONE}]":                                                       "the variable NONE is empty",
		"endpoints: [{name: a, url: 'https://x.example', url_env: CHAT}]":                             "exclude each other",
		"endpoints: [{name: a, url: 'http://x.example'}]":                                             "is not https",
		"endpoints: [{name: a, url: 'file:///etc/passwd'}]":                                           "is not https",
		"endpoints: [{name: a, url: 'https://x.example', format: teams}]":                             `format "teams"`,
		"endpoints: [{name: a, url: 'https://x.example', events: [limit.warned]}]":                    "there are ",
		"endpoints: [{name: a, url: 'https://x.example', workspaces: ['*']}]":                         "leave workspaces out",
		"endpoints: [{name: a, url: 'https://x.example', secret_env: NONE}]":                          "openssl rand",
		"endpoints: [{name: a, url: 'https://x.example', secret_env: SHORT}]":                         "at least 16 bytes",
		"endpoints: [{name: a, url: 'https://x.example', min_percent: -1}]":                           "negative",
		"endpoints: [{name: a, url: 'https://x.example'}, {name: a, url: 'https://y.example'}]":       "same name",
		"endpoints: [{name: a, url: 'https://x.example', retries: 3}]":                                "retries",
		"endpoints: [{name: a, url: '" + strings.Repeat("x", MaxBytes) + "'}]":                        "at most",
		"endpoints: [" + strings.Repeat("{name: a, url: 'https://x.example'},", MaxEndpoints+1) + "]": "want 1 to 32",
	}
	for _, text := range slices.Sorted(maps.Keys(cases)) {
		got, err := Parse("f.yaml", []byte(text), environment)
		if err == nil || !strings.Contains(err.Error(), cases[text]) {
			t.Errorf("%.90q: %v, %v; want an error with %q", text, got, err, cases[text])
		}
	}
}

func TestNoFaultShowsASecret(t *testing.T) {
	t.Parallel()
	const secret = "T0-SECRET"
	_, err := Parse("f.yaml", []byte("endpoints: [{name: a, url_env: BAD, secret_env: BAD}]"), func(string) string { return "http://x.example/\x7f" + secret })
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the fault is %v", err)
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kinds   []string
		min     int64
		kind    string
		percent int64
		want    bool
	}{
		{[]string{"limit.warning"}, 0, "limit.warning", 75, true},
		{[]string{"limit.warning"}, 90, "limit.warning", 75, false},
		{[]string{"limit.warning"}, 90, "limit.warning", 90, true},
		{[]string{KindExhausted}, 0, "limit.warning", 95, false},
		{[]string{KindExhausted}, 0, "limit.warning", 100, true},
		{[]string{"suggestion.made"}, 0, "limit.warning", 100, false},
		{[]string{"suggestion.made"}, 90, "suggestion.made", 0, true},
	} {
		e := Endpoint{Kinds: tc.kinds, MinPercent: tc.min}
		if got := e.Wants(tc.kind, tc.percent); got != tc.want {
			t.Errorf("%v from %d on wants %s of %d: %v", tc.kinds, tc.min, tc.kind, tc.percent, got)
		}
	}
}

// FuzzParse: a file is refused, or each of its endpoints can be told something.
func FuzzParse(f *testing.F) {
	f.Add([]byte("endpoints:\n  - {name: chat, format: slack, url_env: CHAT}\n"))
	f.Add([]byte("endpoints:\n  - {name: here, url: \"http://127.0.0.1:8080/\", secret_env: KEY, events: [limit.warning], min_percent: 90, workspaces: [a]}\n"))
	f.Add([]byte("endpoints: [{name: a, url: \"http://[::1\"}, {name: a}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse("f.yaml", data, environment)
		if err != nil {
			if strings.Contains(err.Error(), environment("KEY")) || strings.Contains(err.Error(), environment("CHAT")) {
				t.Fatalf("a fault shows a secret: %v", err)
			}
			return
		}
		for _, e := range got {
			if u, err := url.Parse(e.URL); err != nil || u.Host == "" || e.Name == "" || len(e.Subjects()) == 0 {
				t.Fatalf("%q gives %+v, which cannot be told anything", data, e)
			}
		}
	})
}
