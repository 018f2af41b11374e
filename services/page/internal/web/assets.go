package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var embedded embed.FS

// pageFile is what the address without a path shows.
const pageFile = "index.html"

// contentTypes of the files, whatever the machine says.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// assets are the files of the page, in memory.
type assets struct {
	files map[string]asset
	build string // changes whenever a file does
}

type asset struct {
	body []byte
	etag string
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]asset{}}
	all := sha256.New()
	err := fs.WalkDir(embedded, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		all.Write(sum[:])
		a.files[strings.TrimPrefix(name, "assets/")] = asset{body, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of the page: %w", err)
	}
	a.build = hex.EncodeToString(all.Sum(nil)[:8])
	return a, nil
}

func (a *assets) page(w http.ResponseWriter, r *http.Request) { a.send(w, r, pageFile) }

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	a.send(w, r, strings.TrimPrefix(r.URL.Path, "/assets/"))
}

// send answers with a file. Browsers ask each time whether it changed, so that page and server are of one build.
func (a *assets) send(w http.ResponseWriter, r *http.Request, name string) {
	file, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", file.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.body))
}
