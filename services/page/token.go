package page

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/bursarhq/bursar/services/page/internal/web"
)

// Token is the secret that a login takes. It prints as nothing, so that no log tells it.
type Token string

// String hides the token.
func (Token) String() string { return "(hidden)" }

// LogValue hides the token.
func (Token) LogValue() slog.Value { return slog.StringValue("(hidden)") }

const (
	tokenBytes  = 32
	tokenMode   = 0o600
	othersModes = 0o077
)

// ErrToken: a file that holds no usable token.
var ErrToken = errors.New("unusable token file")

// LoadToken reads a token from a file that nobody else may read. Errors: [ErrToken], [fs.ErrNotExist].
func LoadToken(file string) (Token, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("read the token of the page: %w", err)
	}
	if info.Mode().Perm()&othersModes != 0 {
		return "", fmt.Errorf("%w: %s has mode %04o, others may have read it: remove it for a new one, or chmod 600 it", ErrToken, file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the token of the page: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < tokenBytes {
		return "", fmt.Errorf("%w: %s holds fewer than %d characters: remove it for a new one", ErrToken, file, tokenBytes)
	}
	return Token(token), nil
}

// LoadOrCreateToken is LoadToken, and makes the file where there is none.
func LoadOrCreateToken(file string) (Token, error) {
	token, err := LoadToken(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails: see crypto/rand
	text := base64.RawURLEncoding.EncodeToString(secret)
	draft := file + ".new"
	if err := os.WriteFile(draft, []byte(text+"\n"), tokenMode); err != nil {
		return "", fmt.Errorf("write the token of the page: %w", err)
	}
	if err := os.Rename(draft, file); err != nil {
		return "", fmt.Errorf("write the token of the page: %w", err)
	}
	return Token(text), nil
}

// LinkLife is how long a link of [Link] may be followed.
const LinkLife = web.CodeLife

// Link makes a link that logs a browser in once, within [LinkLife], to the page at an address such as
// http://127.0.0.1:8420.
func Link(token Token, address string, now time.Time) string {
	return strings.TrimSuffix(address, "/") + web.LoginPath + web.Code([]byte(token), now)
}
