// Verifies the assertion of Sekisho with what Go (1.19 or newer) has: no module is needed.
//
// Copy everything above main, which is a server that shows its use: GET / answers 200 with the account's id, or 401.
// It is started with: go run verify.go
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	header    = "X-Sekisho-Assertion"
	algorithm = "ES256"         // yours, never the one that a token names
	leeway    = 5               // seconds by which clocks may differ
	stale     = time.Hour       // for which the keys are used when they cannot be fetched
	pause     = 5 * time.Second // between two fetches, whatever kid strangers make up
	patience  = 5 * time.Second // for one fetch
)

var (
	jwksURL  = setting("JWKS_URL", "https://phone.example.com/.well-known/sekisho/jwks.json")
	issuer   = setting("ISSUER", "https://phone.example.com")
	audience = setting("AUDIENCE", "sekisho-upstream")
	keep     = seconds(setting("KEYS_KEEP", "300")) // after which the keys are fetched again
)

// Claims are those that this application works with.
type Claims struct {
	Iss      string
	Aud      any
	Sub      string
	Sid      string
	Ext      string
	Name     string
	Groups   []string
	Exp, Nbf *float64
}

// Keys are the gateway's public keys.
type Keys struct {
	lock           sync.Mutex
	set            map[string]*ecdsa.PublicKey
	fetched, tried time.Time
}

var keys Keys

// The keys come from the configured address, and from nowhere it might point to.
var client = http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (k *Keys) find(kid string) (*ecdsa.PublicKey, error) {
	k.lock.Lock() // many requests with a new kid cause one fetch
	defer k.lock.Unlock()
	now := time.Now()
	known := k.set[kid]
	fresh := known != nil && now.Sub(k.fetched) < keep
	if !fresh && now.Sub(k.tried) >= pause {
		k.tried = now
		if set, err := fetch(); err == nil {
			k.set, k.fetched = set, now
		} else { // the keys that are there stay in use for a while
			log.Printf("cannot fetch %s: %v", jwksURL, err)
		}
	}
	if known = k.set[kid]; known == nil || now.Sub(k.fetched) > stale {
		return nil, errors.New("no such key")
	}
	return known, nil
}

func fetch() (map[string]*ecdsa.PublicKey, error) {
	answer, err := client.Get(jwksURL)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	var published struct {
		Keys []struct{ Kid, Alg, Kty, Crv, X, Y string }
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 256<<10)).Decode(&published); err != nil {
		return nil, err
	}
	set := map[string]*ecdsa.PublicKey{}
	for _, jwk := range published.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(jwk.X)
		y, errY := base64.RawURLEncoding.DecodeString(jwk.Y)
		if jwk.Kid == "" || jwk.Alg != algorithm || jwk.Kty != "EC" || jwk.Crv != "P-256" || errX != nil || errY != nil {
			continue
		}
		key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if key.Curve.IsOnCurve(key.X, key.Y) {
			set[jwk.Kid] = key
		}
	}
	return set, nil
}

// Verify answers with the claims of the person who asks. On an error, answer 401 and do not fall back to anything.
func Verify(request *http.Request) (*Claims, error) {
	values := request.Header.Values(header)
	if len(values) != 1 {
		return nil, errors.New("not exactly one assertion")
	}
	parts := strings.Split(values[0], ".")
	if len(parts) != 3 {
		return nil, errors.New("no JWT")
	}
	// Not verified yet: it may choose among the published keys, no more.
	var head struct {
		Alg, Kid, Typ string
		Crit          any
	}
	if err := decode(parts[0], &head); err != nil {
		return nil, err
	}
	if head.Alg != algorithm || head.Typ != "JWT" || head.Crit != nil {
		return nil, errors.New("not a token of this kind")
	}
	key, err := keys.find(head.Kid)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return nil, errors.New("no signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return nil, errors.New("wrong signature")
	}
	var claims Claims
	if err := decode(parts[1], &claims); err != nil {
		return nil, err
	}
	if err := claims.judge(float64(time.Now().Unix())); err != nil {
		return nil, err
	}
	return &claims, nil
}

func (c *Claims) judge(now float64) error {
	switch {
	case c.Exp == nil || now >= *c.Exp+leeway:
		return errors.New("expired")
	case c.Nbf == nil || now < *c.Nbf-leeway:
		return errors.New("not valid yet")
	case c.Iss != issuer:
		return errors.New("from another issuer")
	case c.Aud != audience && !contains(c.Aud, audience):
		return errors.New("for another audience")
	case c.Sub == "":
		return errors.New("names nobody")
	}
	return nil
}

func contains(list any, wanted string) bool {
	names, _ := list.([]any)
	for _, name := range names {
		if name == wanted {
			return true
		}
	}
	return false
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func setting(name, otherwise string) string {
	if value, set := os.LookupEnv(name); set {
		return value
	}
	return otherwise
}

func seconds(text string) time.Duration {
	number, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return time.Duration(number) * time.Second
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+setting("PORT", "5000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		claims, err := Verify(request)
		if err != nil {
			http.Error(response, "no valid assertion", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(response, claims.Sub)
	})))
}
