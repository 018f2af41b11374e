//go:build compose

package compose

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/bursarhq/bursar/pkg/chembed"
)

// TestMain lets the test binary be the ClickHouse child.
func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// notRun are the services of which no program is at hand; tools/dashboards tries their configuration.
var notRun = []string{"grafana", "prometheus"}

// jobs end by themselves.
var jobs = []string{"provision", "trim"}

// TestTheComposedBursar starts everything in the order that the file says, reserves and settles as an agent, and finds
// the books in order as the operator; the page follows a broker that is killed; Prometheus finds what it is to scrape;
// and everything ends in the time that it is given.
func TestTheComposedBursar(t *testing.T) {
	t.Parallel()
	chat := newChannel(t)
	s := newStack(t, "BURSAR_SLACK_URL="+chat.url, "BURSAR_OPS_SECRET=whsec_"+strings.Repeat("A", 43)+"=", "BURSAR_KEEP_EVENTS_DAYS=40", "BURSAR_EVENT_PARTITIONS=week")
	s.natsIsThePinnedOne()
	services := s.services()
	for _, name := range services {
		s.up(name)
	}
	for _, name := range services {
		s.awaitReady(name)
	}

	s.exhaustsASession()
	chat.awaitText(s, "claude-max/session")
	s.booksAreRight(1)
	s.eventsAreKeptAsConfigured()
	s.pageFollowsTheBroker()
	s.prometheusFindsItsTargets(services)
	s.trims()

	slices.Reverse(services)
	for _, name := range services {
		if code := s.down(name); code != 0 {
			t.Errorf("%s ended with %d:\n%s", name, code, s.running[name].said())
		}
	}
}

// natsIsThePinnedOne compares the image with the server that Bursar is built and tested with.
func (s *stack) natsIsThePinnedOne() {
	s.t.Helper()
	version := strings.TrimSpace(strings.TrimPrefix(s.run(0, nil, "nats-server", "--version"), "nats-server: v"))
	if image := s.project.Services["nats"].Image; !strings.HasPrefix(image, "nats:"+version+"-") {
		s.t.Errorf("the image is %s, and what is built is %s", image, version)
	}
}

// services are ours that go on running.
func (s *stack) services() []string {
	var names []string
	for name, service := range s.project.Services {
		if service.Build != nil && !slices.Contains(jobs, name) {
			names = append(names, name)
		} else if service.Build == nil && !slices.Contains(append(notRun, "nats", "clickhouse"), name) {
			s.t.Errorf("%s is run by nobody", name)
		}
	}
	slices.Sort(names)
	return names
}

// metrics is where a service tells of itself.
func (s *stack) metrics(name, path string) string {
	return fmt.Sprintf("http://%s:%d%s", s.host, s.port(name, 9090), path)
}

func (s *stack) awaitReady(name string) {
	s.t.Helper()
	s.await(name+" to be ready", func() bool {
		if s.running[name].ended() {
			s.t.Fatalf("%s ended at its start:\n%s", name, s.running[name].said())
		}
		return s.get(s.metrics(name, "/readyz"), "").status == http.StatusOK
	})
}

// bursar runs the command as somebody whose seed lies in deployments/secrets, as docs/containers.md says.
func (s *stack) bursar(seed, principal string, args ...string) string {
	s.t.Helper()
	return s.run(0, []string{
		"BURSAR_SERVER=nats://" + s.addresses("", "nats:4222"), "BURSAR_PRINCIPAL=" + principal, "BURSAR_NKEY=" + seed,
		"BURSAR_READER_NKEY=deployments/secrets/services/reader.nk", "BURSAR_DATA_DIR=" + s.t.TempDir(),
		"BURSAR_CLICKHOUSE_URL=http://bursar_analyst:" + analystPassword + "@" + s.addresses("", "clickhouse:8123"),
	}, "bursar", args...)
}

func (s *stack) agent(args ...string) string {
	s.t.Helper()
	return s.bursar("deployments/secrets/agents/default/demo.nk", "demo", append(args, "--agent", "a1", "--json")...)
}

func (s *stack) operator(args ...string) string {
	s.t.Helper()
	return s.bursar("deployments/secrets/operators/default/operator.nk", "operator", args...)
}

// exhaustsASession reserves as an agent all that the session has, reports and settles.
func (s *stack) exhaustsASession() {
	s.t.Helper()
	granted := document[struct {
		ID string `json:"reservation_id"`
	}](s, s.agent("reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "10000000", "--priority", "high"))
	s.agent("report", granted.ID, "--output", "2000")
	s.agent("settle", granted.ID, "--output", "9998000")
}

// eventsAreKeptAsConfigured asks ClickHouse how the table of events is made.
func (s *stack) eventsAreKeptAsConfigured() {
	s.t.Helper()
	question := url.Values{"user": {chembed.UserAnalyst}, "password": {analystPassword}, "query": {"SELECT engine_full FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events'"}}
	said := s.get(fmt.Sprintf("http://%s/?%s", s.addresses("", "clickhouse:8123"), question.Encode()), "").body
	if !strings.Contains(said, "PARTITION BY toMonday(committed_at)") || !strings.Contains(said, "toIntervalDay(40)") {
		s.t.Errorf("events are not kept for 40 days, by week: %s", said)
	}
}

// booksAreRight verifies as the operator.
func (s *stack) booksAreRight(reservations int64) {
	s.t.Helper()
	found := document[struct {
		OK           bool
		Reservations int64
		Violations   []string
		ClickHouse   struct{ Missing, Duplicates uint64 }
	}](s, s.operator("verify", "--json"))
	if !found.OK || found.Reservations != reservations || found.ClickHouse.Missing+found.ClickHouse.Duplicates > 0 {
		s.t.Errorf("verify: %+v, want %d reservations and everything in order", found, reservations)
	}
}

// pageFollowsTheBroker looks at the page as a program does: not without the token, and with it before, while and after
// the allocator is killed.
func (s *stack) pageFollowsTheBroker() {
	s.t.Helper()
	address := "http://" + s.addresses("", "page:8420")
	if got := s.get(address+"/api/state", ""); got.status != http.StatusUnauthorized {
		s.t.Errorf("without a login the page answers %d", got.status)
	}
	link := document[struct{ Link string }](s, s.operator("page", "--token-file", "deployments/secrets/page.token", "--address", address, "--json")).Link
	if !strings.HasPrefix(link, address+"/login#") {
		s.t.Errorf("the link is %q", link)
	}
	token, err := os.ReadFile(filepath.Join(s.dir, "deployments", "secrets", "page.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	states := s.follow(address+"/api/events", strings.TrimSpace(string(token)))
	awaitState(s, states, "the exhausted session", func(state *pageState) bool {
		return state.Broker.OK && state.Outlooks["claude-max/session"].Level == "exhausted"
	})
	s.running["allocator"].kill()
	awaitState(s, states, "that the broker is away", func(state *pageState) bool { return !state.Broker.OK })
	s.start("allocator")
	s.awaitReady("allocator")
	s.agent("reserve", "--account", "anthropic-api", "--model", "claude-haiku-4-5", "--output", "500")
	awaitState(s, states, "what happens after", func(state *pageState) bool { return state.Broker.OK && len(state.Reservations) == 1 })
	s.booksAreRight(2)
}

// pageState is what a message of the page says.
type pageState struct {
	Broker       struct{ OK bool }
	Outlooks     map[string]struct{ Level string }
	Reservations []struct{}
}

// follow reads the states that the page sends until the test ends.
func (s *stack) follow(url, token string) <-chan pageState {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // the reader below closes it
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("follow the page: %v, %+v", err, response)
	}
	states := make(chan pageState)
	go func() {
		defer response.Body.Close()
		defer close(states)
		lines := bufio.NewReader(response.Body)
		for kind := ""; ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if after, ok := strings.CutPrefix(line, "event: "); ok {
				kind = strings.TrimSpace(after)
			}
			data, ok := strings.CutPrefix(line, "data: ")
			var state pageState
			if !ok || kind != "state" || json.Unmarshal([]byte(data), &state) != nil {
				continue
			}
			select {
			case states <- state:
			case <-ctx.Done():
				return
			}
		}
	}()
	return states
}

func awaitState(s *stack, states <-chan pageState, what string, holds func(*pageState) bool) {
	s.t.Helper()
	s.await("the page to show "+what, func() bool {
		select {
		case state, open := <-states:
			if !open {
				s.t.Fatalf("the page sends no more, and has not shown %s", what)
			}
			return holds(&state)
		default:
			return false
		}
	})
}

// prometheusFindsItsTargets asks what the scrape configuration names: every service, and nothing else.
func (s *stack) prometheusFindsItsTargets(services []string) {
	s.t.Helper()
	var scraped []string
	for _, target := range s.targets() {
		name, port, _ := strings.Cut(target, ":")
		scraped = append(scraped, name)
		number, err := strconv.Atoi(port)
		if err != nil || s.ports[target] == 0 {
			s.t.Errorf("nothing listens at %s", target)
			continue
		}
		page := s.get(fmt.Sprintf("http://%s:%d/metrics", s.host, s.port(name, number)), "")
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(page.body))
		if err != nil || page.status != http.StatusOK || families["process_resident_memory_bytes"] == nil {
			s.t.Errorf("%s: status %d, %d metrics, %v", target, page.status, len(families), err)
		}
		if name == "notification" && families["bursar_notification_events_total"] == nil {
			s.t.Errorf("%s tells nothing of its deliveries: %v", target, slices.Sorted(maps.Keys(families)))
		}
	}
	slices.Sort(scraped)
	if !slices.Equal(scraped, services) {
		s.t.Errorf("%v are scraped, and %v are there", scraped, services)
	}
}

// targets are those of deployments/prometheus/prometheus.yml, those that are looked up by name too.
func (s *stack) targets() []string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "deployments", "prometheus", "prometheus.yml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var config struct {
		Jobs []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
			Named  []struct {
				Names []string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, job := range config.Jobs {
		for _, static := range job.Static {
			all = append(all, static.Targets...)
		}
		for _, named := range job.Named {
			for _, name := range named.Names {
				all = append(all, fmt.Sprintf("%s:%d", name, named.Port))
			}
		}
	}
	return all
}

// trims runs the maintenance by hand, which finds nothing old enough.
func (s *stack) trims() {
	s.t.Helper()
	s.start("trim")
	s.awaitDependency("trim", "service_completed_successfully")
	s.booksAreRight(2)
}

// channel is a chat channel.
type channel struct {
	url   string
	texts chan string
}

func newChannel(t *testing.T) *channel {
	t.Helper()
	c := &channel{texts: make(chan string, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err == nil {
			c.texts <- string(text)
		}
	}))
	t.Cleanup(server.Close)
	c.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // an address of this machine, and of no container
	return c
}

func (c *channel) awaitText(s *stack, part string) {
	s.t.Helper()
	s.await("the channel to be told of "+part, func() bool {
		select {
		case text := <-c.texts:
			return strings.Contains(text, part)
		default:
			return false
		}
	})
}

func document[T any](s *stack, text string) T {
	s.t.Helper()
	var d T
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	return d
}
