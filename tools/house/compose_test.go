package house

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose reads docker-compose.yml as Docker does: against the schema, with defaults filled in.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithResolvedPaths(true), cli.WithProfiles([]string{"*"}), cli.WithEnv([]string{
			"BURSAR_CLICKHOUSE_WRITER_PASSWORD=w", "BURSAR_CLICKHOUSE_ANALYST_PASSWORD=a", "BURSAR_USER=1000:1000",
		}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

// TestComposeMountsWhatExists looks for every file that the compose file mounts or builds from.
func TestComposeMountsWhatExists(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	mounts := 0
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				mounts++
				if !madeByNatsConf(t, volume.Source) {
					mustExist(t, name+" mounts", volume.Source)
				}
			}
		}
		if service.Build != nil {
			dockerfile := filepath.Join(service.Build.Context, service.Build.Dockerfile)
			mustExist(t, name+" is built from", dockerfile)
			mustHaveTarget(t, dockerfile, service.Build.Target)
		}
	}
	for name, secret := range project.Secrets {
		if !madeByNatsConf(t, secret.File) {
			t.Errorf("secret %s is %s: seeds lie in deployments/secrets", name, secret.File)
		}
	}
	if mounts == 0 {
		t.Error("no mount was found: the test looks in the wrong place")
	}
}

// madeByNatsConf tells whether a file is one of those that `make nats-conf` makes and git never sees.
func madeByNatsConf(t *testing.T, name string) bool {
	t.Helper()
	secrets, err := filepath.Abs(filepath.Join(root, "deployments", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(name, secrets+string(filepath.Separator))
}

// TestAServiceSeesItsOwnSeedsOnly compares the secrets of each service with the roles it has.
func TestAServiceSeesItsOwnSeedsOnly(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"provision":    "provisioning.nk",
		"allocator":    "allocator-front.nk allocator-store.nk relay.nk",
		"analytics":    "analytics-front.nk analytics.nk",
		"suggestion":   "suggestion.nk",
		"notification": "notification.nk",
		"page":         "page.nk page.token viewer.nk",
		"trim":         "maintenance.nk",
	}
	for name, service := range loadCompose(t).Services {
		var seeds []string
		for _, secret := range service.Secrets {
			seeds = append(seeds, secret.Source)
		}
		slices.Sort(seeds)
		if got := strings.Join(seeds, " "); got != want[name] {
			t.Errorf("%s gets the seeds %q, want %q", name, got, want[name])
		}
	}
}

// TestComposeListensOnLoopback holds the rule that nothing is reachable from outside unless somebody
// decides so.
func TestComposeListensOnLoopback(t *testing.T) {
	t.Parallel()
	for name, service := range loadCompose(t).Services {
		for _, port := range service.Ports {
			if ip := net.ParseIP(port.HostIP); port.Published != "" && (ip == nil || !ip.IsLoopback()) {
				t.Errorf("%s publishes %s on %q, not on loopback", name, port.Published, port.HostIP)
			}
		}
	}
}

// drainTime is how long a service may take to end: runner.DrainTime.
const drainTime = 20 * time.Second

// TestServicesHaveTimeToEnd holds the grace that Docker gives each of our services against what they take for themselves.
func TestServicesHaveTimeToEnd(t *testing.T) {
	t.Parallel()
	for name, service := range loadCompose(t).Services {
		goesOn := service.Build != nil && service.Restart != "" && service.Restart != "no"
		if goesOn && (service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) <= drainTime) {
			t.Errorf("%s is killed before it had the %s that it may take to end: set stop_grace_period", name, drainTime)
		}
	}
}

// TestImagesArePinned wants a version at every image, in the compose file and the Dockerfiles.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	for name, service := range loadCompose(t).Services {
		if service.Image != "" && service.Build == nil {
			mustBePinned(t, "docker-compose.yml: "+name, service.Image)
		}
	}
	for _, file := range dockerfiles(t) {
		stages := map[string]bool{"scratch": true}
		for _, line := range strings.Split(read(t, file), "\n") {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "FROM" {
				continue
			}
			if !stages[fields[1]] {
				mustBePinned(t, file, fields[1])
			}
			if len(fields) == 4 && fields[2] == "AS" {
				stages[fields[3]] = true
			}
		}
	}
}

// TestDockerfilesUseTheGoOfTheModules compares the Go image with what go.work asks for.
func TestDockerfilesUseTheGoOfTheModules(t *testing.T) {
	t.Parallel()
	var minor string
	for _, line := range strings.Split(read(t, "go.work"), "\n") {
		if version, found := strings.CutPrefix(line, "go "); found {
			minor = strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
		}
	}
	for _, file := range dockerfiles(t) {
		if !strings.Contains(read(t, file), "golang:"+minor+".") {
			t.Errorf("%s does not build with golang:%s.x, which go.work asks for", file, minor)
		}
	}
}

func dockerfiles(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range tracked(t) {
		if strings.Contains(filepath.Base(name), "Dockerfile") && !strings.HasSuffix(name, ".dockerignore") {
			found = append(found, name)
		}
	}
	return found
}

func mustExist(t *testing.T, what, name string) {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Errorf("%s %s, which is not there", what, name)
	}
}

func mustHaveTarget(t *testing.T, dockerfile, target string) {
	t.Helper()
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		return // mustExist has said so
	}
	if target != "" && !strings.Contains(string(text), " AS "+target+"\n") {
		t.Errorf("%s has no stage %s", dockerfile, target)
	}
}

func mustBePinned(t *testing.T, where, image string) {
	t.Helper()
	_, tag, found := strings.Cut(image, ":")
	if !found || tag == "" || tag == "latest" || !strings.ContainsAny(tag, "0123456789") {
		t.Errorf("%s: image %q has no version", where, image)
	}
}
