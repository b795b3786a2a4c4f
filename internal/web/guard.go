package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// NewToken makes a secret for a page that other machines can reach: 128 random bits as 32 hexadecimal digits.
func NewToken() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// guard lets through only what reads, comes under a name of this machine, and carries the token where there is one.
func guard(token string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Content-Security-Policy", ownPages)
		head.Set("Cache-Control", "no-store")
		switch {
		case !ownName(r.Host):
			http.Error(w, "lab ui answers under the names of its machine only: open it as localhost, by the machine's name, or by its address.", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			head.Set("Allow", "GET, HEAD")
			http.Error(w, "lab ui only shows: nothing can be changed here.", http.StatusMethodNotAllowed)
		case token != "" && !admitted(w, r, token):
			return // it has answered
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// What a page may load and do: of lab's own pages nothing that lab does not serve; pprof's pages have their scripts and
// styles inside them.
const (
	ownPages   = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	pprofPages = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// ownName says whether a Host header names this machine. A page of another site that had its name lead here (DNS
// rebinding) comes under that name. An address cannot be led elsewhere, and the port does not matter: a tunnel has its own.
func ownName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil {
		return true
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	if err != nil || own == "" || name == own {
		return err == nil && own != ""
	}
	// Under other ends than these somebody else may have the same name.
	short, _, _ := strings.Cut(own, ".")
	end, ok := strings.CutPrefix(name, short)
	return ok && slices.Contains([]string{"", ".local", ".lan", ".home.arpa", ".internal"}, end)
}

// admitted looks for the token: in the cookie that an earlier visit left, or in the address, from where it goes into the
// cookie so that it does not stay in the history of the browser.
func admitted(w http.ResponseWriter, r *http.Request, token string) bool {
	sum := sha256.Sum256([]byte(token))
	name := "lab-ui-" + hex.EncodeToString(sum[:4]) // two of them on one machine do not take each other's
	if c, err := r.Cookie(name); err == nil && same(c.Value, token) {
		return true
	}
	query := r.URL.Query()
	if !same(query.Get("token"), token) {
		http.Error(w, "This page needs the token that lab ui printed when it was started: open the address with ?token=… from there.", http.StatusUnauthorized)
		return false
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int((30 * 24 * time.Hour).Seconds())})
	query.Del("token")
	// Only the path is taken from the request, and it begins with one slash: a redirect never leads away.
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawQuery: query.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return false
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
