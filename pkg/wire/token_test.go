package wire

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

// kvKey is what NATS accepts as a KV key of one token.
var kvKey = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+$`)

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"plain":              {"acme", "acme"},
		"case kept":          {"AcMe", "AcMe"},
		"dots":               {"claude-opus-4.1", "claude-opus-4=2E1"},
		"empty":              {"", "="},
		"spaces":             {"my agent", "my=20agent"},
		"wildcards":          {"*>", "=2A=3E"},
		"escape character":   {"a=b", "a=3Db"},
		"dollar":             {"$KV", "=24KV"},
		"reserved underline": {"_kv_x", "=5Fkv_x"},
		"slash":              {"team/one", "team=2Fone"},
		"unicode":            {"é", "=C3=A9"},
		"looks escaped":      {"=2E", "=3D2E"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := EncodeToken(tc.in)
			if err != nil || got != tc.want {
				t.Fatalf("EncodeToken(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
			}
			back, err := DecodeToken(got)
			if err != nil || back != tc.in {
				t.Fatalf("DecodeToken(%q) = %q, %v; want %q", got, back, err, tc.in)
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"too long": strings.Repeat("a", MaxNameBytes+1), "not utf-8": "\xff", "newline": "a\nb", "escape sequence": "\x1b[2J",
	} {
		if _, err := EncodeToken(in); !errors.Is(err, ErrName) {
			t.Errorf("EncodeToken, %s: %v, want ErrName", name, err)
		}
	}
	for name, in := range map[string]string{
		"empty": "", "too long": strings.Repeat("a", MaxTokenBytes+1), "second spelling": "=61", "lower case hex": "=2e",
		"cut escape": "a=2", "bare escape": "a=", "dot": "a.b", "wildcard": "*", "not utf-8": "=FF", "control": "=0A",
		"reserved underline": "_kv", "name too long": strings.Repeat("a", MaxNameBytes+1),
	} {
		if got, err := DecodeToken(in); !errors.Is(err, ErrToken) {
			t.Errorf("DecodeToken, %s: %q, %v, want ErrToken", name, got, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "acme", "a.b", "=", "=2E", "_x", "é ✓", "\xff", "*.>", strings.Repeat("é", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := EncodeToken(s); err == nil {
			if !kvKey.MatchString(token) || len(token) > MaxTokenBytes {
				t.Fatalf("EncodeToken(%q) = %q is no token", s, token)
			}
			if back, err := DecodeToken(token); err != nil || back != s {
				t.Fatalf("round trip of %q through %q: %q, %v", s, token, back, err)
			}
		}
		if name, err := DecodeToken(s); err == nil {
			if again, err := EncodeToken(name); err != nil || again != s {
				t.Fatalf("token %q decodes to %q, which encodes to %q, %v", s, name, again, err)
			}
		}
	})
}
