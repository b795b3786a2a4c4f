package web

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"lab/store"
)

// serve starts the pages of a store.
func serve(t *testing.T, o Options) (*Site, *httptest.Server) {
	t.Helper()
	if o.DB == nil {
		db, err := store.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		o.DB = db
	}
	site, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(site.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(site.Stop)
	return site, server
}

// answer asks for a page; change may alter the request.
func answer(t *testing.T, client *http.Client, address string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestOnlyNamesOfThisMachineAreAnswered(t *testing.T) {
	_, server := serve(t, Options{})
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	short, _, _ := strings.Cut(own, ".")
	for host, want := range map[string]int{
		"127.0.0.1:7411": 200, "localhost:9999": 200, "localhost": 200, "LocalHost.:80": 200, "[::1]:7411": 200, "[::1]": 200, "192.168.7.2:80": 200,
		own: 200, short + ".lan:7411": 200,
		"attacker.example": 421, short + ".attacker.example": 421, short + "er": 421, "attacker.example:7411": 421, "127.0.0.1.attacker.example": 421, "localhost.attacker.example": 421, "": 421, ":7411": 421, "[": 421,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		server.Config.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	_, server := serve(t, Options{})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace, "BREW"} {
		for _, path := range []string{"/", "/events", "/compare", "/profile/x/saveconfig"} {
			r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			r.Host = "localhost"
			w := httptest.NewRecorder()
			server.Config.Handler.ServeHTTP(w, r)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	response, body := answer(t, server.Client(), server.URL, func(r *http.Request) { r.Method = http.MethodHead })
	if response.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d with %d bytes", response.StatusCode, len(body))
	}
}

func TestEveryAnswerForbidsWhatNoPageNeeds(t *testing.T) {
	_, server := serve(t, Options{})
	for _, path := range []string{"/", "/ab", "/sweeps", "/baselines", "/profiles", "/now", "/r/none", "/none", "/static/x/ui.js"} {
		response, _ := answer(t, server.Client(), server.URL+path, func(r *http.Request) { r.Header.Set("Origin", "http://attacker.example") })
		head := response.Header
		policy := head.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestATokenIsAskedForOnceAndThenKeptInACookie(t *testing.T) {
	const token = "0123456789abcdef"
	_, server := serve(t, Options{Token: token})
	for path, want := range map[string]int{"/": 401, "/?token=": 401, "/?token=0123456789abcdeF": 401, "/events": 401, "/static/x/ui.js": 401} {
		if response, body := answer(t, server.Client(), server.URL+path, nil); response.StatusCode != want || strings.Contains(body, token) {
			t.Errorf("%s: %d, want %d: %s", path, response.StatusCode, want, body)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	response, _ := answer(t, client, server.URL+"/?q=seqs&token="+token, nil)
	if got := response.Request.URL.String(); response.StatusCode != 200 || got != server.URL+"/?q=seqs" {
		t.Errorf("with the token: %d at %s", response.StatusCode, got)
	}
	if response, _ := answer(t, client, server.URL+"/now", nil); response.StatusCode != 200 {
		t.Errorf("with the cookie: %d", response.StatusCode)
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range jar.Cookies(at) {
		response, _ := answer(t, server.Client(), server.URL, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value + "x"}) })
		if response.StatusCode != 401 {
			t.Errorf("with a wrong cookie: %d", response.StatusCode)
		}
	}

	// The redirect that takes the token out of the address leads nowhere else.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Host, r.URL = "localhost", &url.URL{Path: "//attacker.example/", RawQuery: "token=" + token}
	w := httptest.NewRecorder()
	server.Config.Handler.ServeHTTP(w, r)
	if to := w.Header().Get("Location"); to != "/attacker.example/" {
		t.Errorf("the redirect leads to %q", to)
	}
	if c := w.Result().Cookies(); len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %v", c)
	}
}

func TestAnAddressThatLeadsNowhereSaysSo(t *testing.T) {
	_, server := serve(t, Options{})
	for path, want := range map[string]string{
		"/none": "There is no page /none.", "/r/20260101-000000-none": "No run", "/ab/none": "No A/B", "/sweep/none": "No sweep",
		"/baseline/none": "No baseline &#34;none&#34;", "/profile/none/": "No run", "/r/..%2F..%2Fetc": "No run", "/r/%3Cscript%3E": "&lt;script&gt;",
	} {
		response, body := answer(t, server.Client(), server.URL+path, nil)
		if response.StatusCode != http.StatusNotFound || !strings.Contains(body, want) {
			t.Errorf("%s: %d, and no %q in %s", path, response.StatusCode, want, body)
		}
	}
}
