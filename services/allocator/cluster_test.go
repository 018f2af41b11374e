//go:build fault

package allocator

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed/natsproc"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

// clusterPatience is how long a client of a cluster goes on asking: a paused server is noticed after 15 s, and an
// election comes after that.
const clusterPatience = time.Minute

// cluster is three NATS servers, each a process with the deployment's configuration, and allocators on them.
type cluster struct {
	*plant
	js      jetstream.JetStream // of the reader
	servers []*natsproc.Server
	scrapes []string       // where the metrics of living allocators are
	reasons map[string]int // why publishes were not acknowledged, of allocators that were killed
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	const size = 3
	dir := t.TempDir()
	ids := append(natsauth.DefaultIdentities(), root, ann)
	keys, err := natsauth.WriteDeployment(dir, ids)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		plant:   &plant{t: t, dir: dir, config: amplyConfig, keys: keys, keyDir: filepath.Join(dir, filepath.Dir(natsauth.KeysInclude))},
		reasons: map[string]int{},
	}
	ports := natstest.FreePorts(t, 2*size)
	for i := range size {
		n := natsproc.Node{
			Name: "n" + strconv.Itoa(i+1), ClientPort: ports[i], RoutePort: ports[size+i], RoutePorts: ports[size:],
			StoreDir: filepath.Join(dir, "store"+strconv.Itoa(i+1)), SyncInterval: "2m",
		}
		c.servers = append(c.servers, natsproc.New(t, natsproc.WriteNode(t, dir, n), n))
	}
	for _, s := range c.servers {
		s.Start()
	}
	c.url = natsproc.URLs(c.servers)
	c.provision()
	if c.js, err = jetstream.New(c.connect(natsauth.Service(natsauth.RoleReader))); err != nil {
		t.Fatal(err)
	}
	return c
}

// provision makes every stream with three replicas, once the cluster has a leader that can.
func (c *cluster) provision() {
	c.t.Helper()
	js, err := jetstream.New(c.connect(natsauth.Service(natsauth.RoleProvisioning)))
	if err != nil {
		c.t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.Replicas = 3
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.EventsMaxBytes = 256<<20, 256<<20, 256<<20
	var last error
	c.eventually("the cluster makes the streams", func() bool {
		if last = provision.Ensure(c.t.Context(), js, sizes, slog.New(slog.DiscardHandler)); last != nil {
			c.t.Logf("not yet: %v", last)
		}
		return last == nil
	})
}

// ledgerInfo tells where the ledger's copies are; nil when nobody says.
func (c *cluster) ledgerInfo() *jetstream.ClusterInfo {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
	defer cancel()
	stream, err := c.js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		return nil
	}
	return stream.CachedInfo().Cluster
}

// leader is the server that leads the ledger's stream.
func (c *cluster) leader() *natsproc.Server {
	c.t.Helper()
	var found *natsproc.Server
	c.eventually("the ledger has a leader", func() bool {
		info := c.ledgerInfo()
		if info == nil {
			return false
		}
		i := slices.IndexFunc(c.servers, func(s *natsproc.Server) bool { return s.Name == info.Leader })
		if i >= 0 {
			found = c.servers[i]
		}
		return found != nil
	})
	return found
}

// whole waits until every copy of the ledger is current, so that the next fault finds three.
func (c *cluster) whole() {
	c.t.Helper()
	c.eventually("every copy of the ledger is current", func() bool {
		info := c.ledgerInfo()
		return info != nil && info.Leader != "" && len(info.Replicas) == 2 &&
			!slices.ContainsFunc(info.Replicas, func(p *jetstream.PeerInfo) bool { return p.Offline || !p.Current })
	})
}

// allocator starts an allocator whose metrics are read in the end.
func (c *cluster) allocator() *process {
	c.t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(natstest.FreePort(c.t))
	c.scrapes = append(c.scrapes, "http://"+address+"/metrics")
	return c.startAllocator("", metricsVar+"="+address)
}

// scrape adds up why publishes of all living allocators were not acknowledged, and forgets those allocators.
func (c *cluster) scrape() {
	c.t.Helper()
	for _, url := range c.scrapes {
		request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			c.t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		lines := bufio.NewScanner(reply.Body)
		for lines.Scan() {
			if reason, n, ok := refusals(lines.Text()); ok {
				c.reasons[reason] += n
			}
		}
		if err := lines.Err(); err != nil {
			c.t.Fatal(err)
		}
		_ = reply.Body.Close() // it is read
	}
	c.scrapes = nil
}

// refusals reads one line of the metrics, if it is of bursar_ledger_publish_refusals_total.
func refusals(line string) (reason string, n int, ok bool) {
	labels, ok := strings.CutPrefix(line, "bursar_ledger_publish_refusals_total{")
	if !ok {
		return "", 0, false
	}
	_, labels, _ = strings.Cut(labels, `reason="`)
	reason, rest, _ := strings.Cut(labels, `"`)
	_, count, _ := strings.Cut(rest, "} ")
	value, err := strconv.ParseFloat(count, 64)
	return reason, int(value), err == nil
}

// The ledger on three servers: its leader is killed, paused, cut off with another one so that no majority is left, and
// allocators are killed, while clients work. What clients were told is what the ledger holds.
//
//nolint:paralleltest // what is measured needs the machine for itself
func TestCluster(t *testing.T) {
	c := newCluster(t)
	serving := c.allocator()
	c.served()
	standby := c.allocator()
	stop := make(chan struct{})
	var loaded sync.WaitGroup
	y := &tally{}
	loaded.Go(func() {
		y.load(t.Context(), c.client(ann, client.Options{Patience: clusterPatience}), 8, stop)
	})
	faults := []struct {
		name  string
		fault func()
	}{
		{"the leader is killed", func() {
			s := c.leader()
			s.Kill()
			y.goesOn(c.plant, 100)
			s.Start()
		}},
		{"the leader is paused", func() {
			s := c.leader()
			s.Pause()
			y.goesOn(c.plant, 100)
			s.Resume()
		}},
		{"no majority is left", func() {
			s := c.leader()
			other := c.servers[(slices.Index(c.servers, s)+1)%len(c.servers)]
			s.Kill()
			other.Kill()
			<-time.After(5 * time.Second) // the time without a majority is what is tested
			other.Start()
			s.Start()
		}},
		{"an allocator is killed", func() {
			c.scrape()
			c.scrapes = nil
			serving.kill()
			serving, standby = standby, c.allocator()
		}},
	}
	for range 2 {
		for _, f := range faults {
			began := time.Now()
			f.fault()
			y.goesOn(c.plant, 100)
			c.whole()
			t.Logf("%s: whole again after %s, %d grants so far", f.name, time.Since(began).Round(time.Millisecond), y.granted.Load())
		}
	}
	close(stop)
	loaded.Wait()
	y.check(t, c.verify())
	c.eventsComplete()
	c.scrape()
	told := make([]string, 0, len(c.reasons))
	for _, reason := range slices.Sorted(maps.Keys(c.reasons)) {
		told = append(told, fmt.Sprintf("%s: %d", reason, c.reasons[reason]))
	}
	t.Logf("publishes that were not acknowledged, by reason: %s", strings.Join(told, ", "))
	t.Logf("%d grants, slowest answer %s", y.granted.Load(), y.slowest)
}
