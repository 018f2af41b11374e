package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/services/page/internal/live"
)

var secret = []byte("a token of thirty-two bytes or more, for tests")

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func guarded(t *testing.T) (http.Handler, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o := options(live.NewBoard())
	o.Token, o.Now, o.Host = secret, c.now, "0.0.0.0"
	return handler(t, o), c
}

// login posts a form to the login and gives the cookie, if any.
func login(h http.Handler, fields url.Values, change func(*http.Request)) (*http.Cookie, *httptest.ResponseRecorder) {
	r := httptest.NewRequest(http.MethodPost, "http://bursar.example/login", strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, cookie := range w.Result().Cookies() {
		return cookie, w
	}
	return nil, w
}

func status(h http.Handler, cookie *http.Cookie) int {
	return get(h, "http://bursar.example/api/state", func(r *http.Request) {
		if cookie != nil {
			r.AddCookie(cookie)
		}
	}).Code
}

func TestNothingIsToldWithoutALogin(t *testing.T) {
	t.Parallel()
	h, c := guarded(t)
	for _, path := range []string{"/api/state", "/api/usage?timeframe=24h&by=team", "/api/suggestions", "/api/events", "/api/session"} {
		if w := get(h, "http://localhost"+path, nil); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "main") {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, http.StatusUnauthorized)
		}
	}
	if w := get(h, "http://localhost/", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("/: %d to %q, want the login", w.Code, w.Header().Get("Location"))
	}
	for _, path := range []string{"/login", "/assets/login.js"} {
		if w := get(h, "http://localhost"+path, nil); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for name, header := range map[string]string{
		"another token": "Bearer another", "none": "Bearer ", "a part": "Bearer " + string(secret[:10]), "a code": "Bearer " + Code(secret, c.at),
		"another scheme": "Basic " + string(secret),
	} {
		w := get(h, "http://localhost/api/state", func(r *http.Request) { r.Header.Set("Authorization", header) })
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	w := get(h, "http://localhost/api/state", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+string(secret)) })
	if w.Code != http.StatusOK {
		t.Errorf("with the token: %d", w.Code)
	}
}

func TestALinkLogsInOnce(t *testing.T) {
	t.Parallel()
	h, c := guarded(t)
	code := url.Values{"code": {Code(secret, c.at)}}
	cookie, w := login(h, code, nil)
	if w.Code != http.StatusNoContent || cookie == nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure {
		t.Fatalf("%d, cookie %+v, want one for this server alone", w.Code, cookie)
	}
	if strings.Contains(cookie.Value, string(secret)) {
		t.Error("the cookie holds the token")
	}
	if got := status(h, cookie); got != http.StatusOK {
		t.Errorf("logged in: %d", got)
	}
	if _, again := login(h, code, nil); again.Code != http.StatusForbidden {
		t.Errorf("the same link again: %d, want %d", again.Code, http.StatusForbidden)
	}
	c.at = c.at.Add(sessionLife)
	if got := status(h, cookie); got != http.StatusUnauthorized {
		t.Errorf("after %s: %d, want %d", sessionLife, got, http.StatusUnauthorized)
	}
}

func TestLoginsThatAreRefused(t *testing.T) {
	t.Parallel()
	h, c := guarded(t)
	session := sign(secret, purposeSession, c.at)
	c.at = c.at.Add(time.Hour)
	tests := map[string]url.Values{
		"nothing":               {},
		"another token":         {"token": {"another"}},
		"an old link":           {"code": {Code(secret, c.at.Add(-CodeLife))}},
		"a link of the future":  {"code": {Code(secret, c.at.Add(time.Hour))}},
		"a link by a guess":     {"code": {Code([]byte("another"), c.at)}},
		"a cookie for a code":   {"code": {session}},
		"half a code":           {"code": {Code(secret, c.at)[:20]}},
		"from before the start": {"code": {Code(secret, c.at.Add(-time.Hour-time.Minute))}},
		"very long":             {"token": {strings.Repeat("x", maxLogin+1)}},
	}
	for name, fields := range tests {
		if cookie, w := login(h, fields, nil); w.Code != http.StatusForbidden || cookie != nil {
			t.Errorf("%s: %d, cookie %v, want %d and none", name, w.Code, cookie, http.StatusForbidden)
		}
	}
	for name, value := range map[string]string{"a code for a cookie": Code(secret, c.at), "a guess": sign([]byte("another"), purposeSession, c.at), "nothing": ""} {
		if got := status(h, &http.Cookie{Name: cookieName, Value: value}); got != http.StatusUnauthorized {
			t.Errorf("%s: %d, want %d", name, got, http.StatusUnauthorized)
		}
	}
	if _, w := login(h, url.Values{"token": {string(secret)}}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); w.Code != http.StatusForbidden {
		t.Errorf("from a page of elsewhere: %d, want %d", w.Code, http.StatusForbidden)
	}
}

func TestTheTokenLogsInAndLogoutTakesTheCookieBack(t *testing.T) {
	t.Parallel()
	h, _ := guarded(t)
	cookie, w := login(h, url.Values{"token": {string(secret)}}, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
	if w.Code != http.StatusNoContent || cookie == nil || !cookie.Secure {
		t.Fatalf("%d, cookie %+v, want one for TLS alone behind a proxy with TLS", w.Code, cookie)
	}
	out := httptest.NewRecorder()
	h.ServeHTTP(out, httptest.NewRequest(http.MethodPost, "http://bursar.example/logout", nil))
	if cookies := out.Result().Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("logout sets %v, want the cookie gone", cookies)
	}
}

func TestWithoutATokenThereIsNoLogin(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	if w := get(h, "http://localhost/login", nil); w.Code != http.StatusNotFound {
		t.Errorf("/login: %d, want %d", w.Code, http.StatusNotFound)
	}
	if w := get(h, "http://localhost/api/session", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"login":false`) {
		t.Errorf("/api/session: %d %s", w.Code, w.Body)
	}
}
