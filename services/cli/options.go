package cli

import (
	"github.com/spf13/pflag"

	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// Environment variables that stand for flags.
const (
	envServer    = "BURSAR_SERVER"
	envContext   = "BURSAR_CONTEXT"
	envWorkspace = "BURSAR_WORKSPACE"
	envPrincipal = "BURSAR_PRINCIPAL"
	envNkey      = "BURSAR_NKEY"
	envCreds     = "BURSAR_CREDS"
	envReader    = "BURSAR_READER_NKEY"
)

// options are the flags that every command takes.
type options struct {
	server    string
	context   string
	workspace string
	principal string
	nkey      string
	creds     string
	reader    string
	dataDir   string
	logLevel  string
	json      bool
}

func (o *options) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.server, "server", "", "NATS `URL` of the Bursar ($"+envServer+"; default: the running `bursar up`)")
	flags.StringVar(&o.context, "context", "", "`NAME` or file of a NATS context ($"+envContext+")")
	flags.StringVar(&o.workspace, "workspace", "", "`NAME` of the tenant ($"+envWorkspace+")")
	flags.StringVar(&o.principal, "principal", "", "`NAME` of whose credentials these are ($"+envPrincipal+")")
	flags.StringVar(&o.nkey, "nkey", "", "`FILE` with the nkey seed ($"+envNkey+")")
	flags.StringVar(&o.creds, "creds", "", "`FILE` with NATS credentials ($"+envCreds+")")
	flags.StringVar(&o.reader, "reader-nkey", "", "`FILE` with the seed of the reader of streams ($"+envReader+")")
	flags.StringVar(&o.dataDir, "data-dir", "", "`DIR` of the `bursar up` to use ($"+datadir.EnvDir+")")
	flags.StringVar(&o.logLevel, "log-level", "", "`LEVEL` debug, info, warn or error ($BURSAR_LOG_LEVEL)")
	flags.BoolVar(&o.json, "json", false, "write JSON for scripts")
}

// complete fills what no flag gave from the environment.
func (o *options) complete(getenv func(string) string) error {
	for _, v := range []struct {
		at  *string
		env string
	}{
		{&o.server, envServer}, {&o.context, envContext}, {&o.workspace, envWorkspace},
		{&o.principal, envPrincipal}, {&o.nkey, envNkey}, {&o.creds, envCreds}, {&o.reader, envReader},
	} {
		if *v.at == "" {
			*v.at = getenv(v.env)
		}
	}
	if o.dataDir == "" {
		o.dataDir = string(datadir.Default(getenv))
	}
	if o.nkey != "" && o.creds != "" {
		return usagef("give --nkey or --creds, not both")
	}
	return nil
}
