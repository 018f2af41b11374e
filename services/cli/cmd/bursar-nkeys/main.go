// Command bursar-nkeys makes what a NATS server for Bursar needs to know its users: a seed for each of
// our services and for the named principals, and nats.conf with their permissions; beside them the token of the page.
//
// Seeds that exist are kept, and so is the token. They lie in the directory's secrets folder, mode 0600, and are never
// printed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/services/page"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const (
	exitOK = iota
	exitFailure
	exitUsage
)

// tokenFile is the token of the page, in the directory.
const tokenFile = "secrets/page.token"

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bursar-nkeys", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "deployments", "directory of nats.conf and secrets/")
	workspace := flags.String("workspace", natsauth.DefaultWorkspace, "workspace of the principals")
	agents := flags.String("agents", strings.Join(natsauth.DefaultAgents(), ","), "principals that run agents, with commas between them")
	operators := flags.String("operators", natsauth.DefaultOperator, "operators, with commas between them")
	viewers := flags.String("viewers", natsauth.DefaultViewer, "viewers, with commas between them; the page is one")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "bursar-nkeys takes no arguments, has %q; see -help\n", flags.Args())
		return exitUsage
	}
	var ids []natsauth.Identity
	for _, role := range natsauth.ServiceRoles() {
		ids = append(ids, natsauth.Service(role))
	}
	for _, name := range names(*agents) {
		ids = append(ids, natsauth.Agent(*workspace, name))
	}
	for _, name := range names(*operators) {
		ids = append(ids, natsauth.Operator(*workspace, name))
	}
	for _, name := range names(*viewers) {
		ids = append(ids, natsauth.Viewer(*workspace, name))
	}
	keys, err := natsauth.WriteDeployment(*dir, ids)
	if err != nil {
		fmt.Fprintf(stderr, "bursar-nkeys: %v\n", err)
		return exitFailure
	}
	if _, err := page.LoadOrCreateToken(filepath.Join(*dir, filepath.FromSlash(tokenFile))); err != nil {
		fmt.Fprintf(stderr, "bursar-nkeys: %v\n", err)
		return exitFailure
	}
	for _, id := range ids {
		file, err := keys.SeedFile(id)
		if err != nil {
			fmt.Fprintf(stderr, "bursar-nkeys: %v\n", err)
			return exitFailure
		}
		fmt.Fprintf(stdout, "%-30s %s  %s\n", id, keys.PublicKey(id), file)
	}
	return exitOK
}

func names(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
