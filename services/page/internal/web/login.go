package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Lifetimes and bounds of a login.
const (
	CodeLife    = 10 * time.Minute    // of a link that was not followed
	sessionLife = 30 * 24 * time.Hour // of a browser's login
	maxCodes    = 1000                // used ones that are remembered until they end by themselves
	maxLogin    = 4 << 10             // bytes of a request to log in
	cookieName  = "bursar_page"
	loginPath   = "/login"
	logoutPath  = "/logout"
	loginFile   = "login.html"
)

// What a proof is for; one for the one purpose is worth nothing for the other.
const (
	purposeCode    = "bursar page code 1"
	purposeSession = "bursar page session 1"
)

// proof is a time with random bytes and a code over both that only holders of the token can make. It stands alone: the
// server keeps nothing of those it has not seen.
type proof struct {
	at    time.Time // when it was made
	nonce [12]byte
}

const (
	timeBytes  = 8
	proofBytes = timeBytes + 12 + sha256.Size
)

// sign makes a proof for a purpose.
func sign(token []byte, purpose string, at time.Time) string {
	p := proof{at: at}
	_, _ = rand.Read(p.nonce[:]) // never fails: see crypto/rand
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	b = append(b, p.nonce[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, mac(token, purpose, b)...))
}

func mac(token []byte, purpose string, body []byte) []byte {
	h := hmac.New(sha256.New, token)
	h.Write([]byte(purpose))
	h.Write(body)
	return h.Sum(nil)
}

// verify reads a proof; false for one that was not made with the token for the purpose, or is older than life.
func verify(token []byte, purpose, text string, life time.Duration, now time.Time) (p proof, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != proofBytes {
		return p, false
	}
	body, sum := b[:proofBytes-sha256.Size], b[proofBytes-sha256.Size:]
	if !hmac.Equal(sum, mac(token, purpose, body)) {
		return p, false
	}
	p.at = time.UnixMilli(int64(binary.BigEndian.Uint64(body)))
	copy(p.nonce[:], body[timeBytes:])
	return p, now.Sub(p.at) < life && p.at.Sub(now) < time.Minute // clocks of two machines differ
}

// Code makes a code that logs a browser in once, within [CodeLife]. It is for whoever holds the token.
func Code(token []byte, now time.Time) string { return sign(token, purposeCode, now) }

// LoginPath is where a code is taken, behind "#": what stands there is not sent to servers, and so in no log.
const LoginPath = loginPath + "#"

// gate lets in who has the token, or a cookie that was given for it.
type gate struct {
	token   []byte
	now     func() time.Time
	started time.Time

	mu   sync.Mutex
	used map[[12]byte]time.Time // codes, until when they would hold
}

func newGate(token []byte, now func() time.Time) *gate {
	return &gate{token: token, now: now, started: now(), used: map[[12]byte]time.Time{}}
}

// admits tells whether a request may be answered.
func (g *gate) admits(r *http.Request) bool {
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.isToken(given)
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	_, ok := verify(g.token, purposeSession, cookie.Value, sessionLife, g.now())
	return ok
}

// isToken compares in a time that tells nothing of how much agrees, or of the length.
func (g *gate) isToken(given string) bool {
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256(g.token)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// redeem takes a code once. One from before the start is refused too: it may have been used then.
func (g *gate) redeem(text string) bool {
	now := g.now()
	p, ok := verify(g.token, purposeCode, text, CodeLife, now)
	if !ok || p.at.Before(g.started) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for nonce, until := range g.used {
		if now.After(until) {
			delete(g.used, nonce)
		}
	}
	if _, again := g.used[p.nonce]; again || len(g.used) >= maxCodes {
		return false
	}
	g.used[p.nonce] = p.at.Add(CodeLife)
	return true
}

// login gives a browser a cookie for the token or a code.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	code, token := r.PostFormValue("code"), r.PostFormValue("token")
	if code == "" || !s.gate.redeem(code) {
		if token == "" || !s.gate.isToken(token) {
			s.Log.Warn("a login to the page was refused", "by_code", code != "")
			s.writeRefusal(w, http.StatusForbidden, "forbidden", "this is not the token, or the link was used or is older than ten minutes: make another with `bursar page`")
			return
		}
	}
	s.Log.Info("a browser has logged in to the page", "by_code", code != "")
	s.setCookie(w, r, sign(s.gate.token, purposeSession, s.gate.now()), int(sessionLife/time.Second))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// logout takes the cookie back.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -1)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// admitKnown lets requests through with a token or a cookie; others are shown the way to log in.
func (s *Server) admitKnown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.gate.admits(r):
			next.ServeHTTP(w, r)
		case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, loginPath, http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.writeRefusal(w, http.StatusUnauthorized, "unauthorized", "log in first: `bursar page` makes a link")
		}
	})
}
