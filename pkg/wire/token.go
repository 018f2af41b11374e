package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names and tokens, in bytes.
const (
	// MaxNameBytes is the longest name (workspace, principal, agent, model …) that fits a token.
	MaxNameBytes = 128
	// MaxTokenBytes is the longest token: every byte of the longest name escaped.
	MaxTokenBytes = 3 * MaxNameBytes
)

// Errors of the token encoding.
var (
	// ErrName: a name that cannot become a token: too long, not UTF-8, or with control characters.
	ErrName = errors.New("invalid name")
	// ErrToken: a token that [EncodeToken] would not have made.
	ErrToken = errors.New("invalid token")
)

const (
	// tokenEscape starts an escape (=2E is a dot); alone it is the empty name. It is one of the few
	// characters that subjects, KV keys and file names all allow.
	tokenEscape = '='
	emptyToken  = string(tokenEscape)
	upperHex    = "0123456789ABCDEF"
)

// EncodeToken turns a name into one token that is valid in a NATS subject and in a KV key.
//
// ASCII letters, digits, '-' and '_' stand for themselves, every other byte becomes '=' and two upper
// case hex digits, and the empty name becomes "=". A leading '_' is escaped, because subjects and keys
// that begin with it are reserved. The encoding keeps case, is reversible with [DecodeToken], and each
// name has exactly one token. It returns [ErrName] for a name longer than [MaxNameBytes], one that is
// not UTF-8, or one with control characters.
func EncodeToken(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return encodeToken(name), nil
}

func encodeToken(name string) string {
	if name == "" {
		return emptyToken
	}
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		c := name[i]
		if plainByte(c) && (c != '_' || i > 0) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte(tokenEscape)
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&0x0F])
	}
	return b.String()
}

// DecodeToken turns a token back into its name. It returns [ErrToken] for anything that
// [EncodeToken] would not have produced, so that no two tokens decode to the same name: an attacker
// cannot spell somebody else's name in a second way.
func DecodeToken(token string) (string, error) {
	if token == "" || len(token) > MaxTokenBytes {
		return "", fmt.Errorf("%w: length %d is not within 1..%d bytes", ErrToken, len(token), MaxTokenBytes)
	}
	name, ok := unescape(token)
	switch {
	case !ok:
		return "", fmt.Errorf("%w: %q is not an encoded name: write = and two upper case hex digits for what is no letter, digit, - or _", ErrToken, token)
	case encodeToken(name) != token:
		return "", fmt.Errorf("%w: %q is not an encoded name: write %q", ErrToken, token, encodeToken(name))
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	return name, nil
}

func unescape(token string) (string, bool) {
	if token == emptyToken {
		return "", true
	}
	var b strings.Builder
	b.Grow(len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c != tokenEscape {
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		hi := strings.IndexByte(upperHex, token[i+1])
		lo := strings.IndexByte(upperHex, token[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func checkName(name string) error {
	switch {
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrName, len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrName, name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: %q contains control characters", ErrName, name)
	}
	return nil
}
