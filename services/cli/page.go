package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/page"
)

// pageCommand tells where the page is, and makes a link to log in.
type pageCommand struct {
	*app
	address   string
	tokenFile string
}

// pageDocument is the JSON of page.
type pageDocument struct {
	Page string `json:"page"`
	// Link logs a browser in once; absent where the page demands no login.
	Link      string     `json:"link,omitzero"`
	ExpiresAt *time.Time `json:"expires_at,omitzero"` // of the link
}

func (a *app) page() *cobra.Command {
	c := &pageCommand{app: a}
	cmd := &cobra.Command{
		Use:   "page",
		Short: "Tell where the page is; make a link to log in to it",
		Long: "Tell the address of the page of the running `bursar up`. Where the page demands a login, make a link that\n" +
			"logs one browser in, once and within ten minutes; with --token-file for a page that bursar-page serves.",
		Example: "  bursar page\n  bursar page --address https://bursar.example.com\n" +
			"  bursar page --token-file deployments/secrets/page.token",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	cmd.Flags().StringVar(&c.address, "address", "", "`URL` by which the browser reaches the page, where that is another")
	cmd.Flags().StringVar(&c.tokenFile, "token-file", "", "`FILE` with the token of a page that bursar-page serves")
	return cmd
}

func (c *pageCommand) run() error {
	e, err := c.endpoints()
	if err != nil {
		return err
	}
	if c.address != "" && !strings.HasPrefix(c.address, "http://") && !strings.HasPrefix(c.address, "https://") {
		return usagef("--address %q is not a URL such as https://bursar.example.com", c.address)
	}
	doc, err := c.document(e)
	if err != nil {
		return err
	}
	return c.show(doc, func() {
		if doc.Link == "" {
			c.screen.Printf("%s\n", doc.Page)
			return
		}
		c.screen.Printf("%s\n", doc.Link)
		fmt.Fprintf(c.process.Stderr, "This link logs one browser in, once, until %s.\n", doc.ExpiresAt.Local().Format("15:04"))
	})
}

// endpoints are those of the running `bursar up`, or the page of a token that is named.
func (c *pageCommand) endpoints() (*datadir.Endpoints, error) {
	if c.tokenFile != "" {
		return &datadir.Endpoints{Page: "http://" + page.DefaultAddress, PageToken: c.tokenFile}, nil
	}
	dir := datadir.Dir(c.options.dataDir)
	e, err := dir.ReadEndpoints()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !dir.InUse() {
		return nil, fmt.Errorf("no Bursar is running in %s; start one with `bursar up`, name one with --data-dir, or the token of a bursar-page with --token-file", dir)
	}
	if err != nil {
		return nil, err
	}
	if e.Page == "" {
		return nil, fmt.Errorf("the Bursar in %s serves no page: it was started with --page-listen off", dir)
	}
	return e, nil
}

func (c *pageCommand) document(e *datadir.Endpoints) (*pageDocument, error) {
	doc := &pageDocument{Page: e.Page}
	if c.address != "" {
		doc.Page = c.address
	}
	if e.PageToken == "" {
		return doc, nil
	}
	token, err := page.LoadToken(e.PageToken)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	expires := now.Add(page.LinkLife).UTC()
	doc.Link, doc.ExpiresAt = page.Link(token, doc.Page, now), &expires
	return doc, nil
}

// pageNote says how to log in, where that is demanded.
func pageNote(e *datadir.Endpoints) string {
	if e.PageToken == "" {
		return ""
	}
	return ", log in by the link of `bursar page`"
}
