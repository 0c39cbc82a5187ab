"""Verifies the assertion of Sekisho, with PyJWT (2.6 or newer) and cryptography.

Debian and Ubuntu have both: apt-get install python3-jwt python3-cryptography. Copy everything above the
last part, which is a server that shows its use: GET / answers 200 with the account's id, or 401.
"""

import json
import math
import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

HEADER = "X-Sekisho-Assertion"
JWKS_URL = os.environ.get("JWKS_URL", "https://phone.example.com/.well-known/sekisho/jwks.json")
ISSUER = os.environ.get("ISSUER", "https://phone.example.com")
AUDIENCE = os.environ.get("AUDIENCE", "sekisho-upstream")
ALGORITHM = "ES256"  # yours, never the one that a token names
LEEWAY = 5  # seconds by which clocks may differ
KEEP = float(os.environ.get("KEYS_KEEP", 300))  # seconds after which the keys are fetched again
STALE = 3600  # seconds for which they are used when they cannot be fetched
PAUSE = 5  # seconds between two fetches, whatever kid strangers make up


class Refused(Exception):
    """Answer 401, and do not fall back to anything."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The keys come from the configured address, and from nowhere it might point to."""

    def redirect_request(self, *_):
        return None


class Keys:
    """The gateway's public keys."""

    def __init__(self, url):
        self.url = url
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect).open
        self.lock = threading.Lock()
        self.keys = {}
        self.fetched = self.tried = -math.inf

    def find(self, kid):
        with self.lock:  # many requests with a new kid cause one fetch
            now = time.monotonic()
            fresh = kid in self.keys and now - self.fetched < KEEP
            if not fresh and now - self.tried >= PAUSE:
                self.tried = now
                try:
                    self.keys, self.fetched = self.fetch(), now
                except Exception as error:  # the keys that are there stay in use for a while
                    print(f"cannot fetch {self.url}: {error}", flush=True)
            if kid not in self.keys or now - self.fetched > STALE:
                raise Refused("no such key")
            return self.keys[kid]

    def fetch(self):
        with self.open(self.url, timeout=5) as answer:
            published = json.loads(answer.read(256 * 1024))["keys"]
        return {
            jwk["kid"]: jwt.PyJWK(jwk, ALGORITHM).key
            for jwk in published
            if (jwk.get("alg"), jwk.get("kty"), jwk.get("crv")) == (ALGORITHM, "EC", "P-256")
        }


KEYS = Keys(JWKS_URL)


def verify(values):
    """The claims of the person who asks. `values` are all values of the header, one for each time it came."""
    try:
        (token,) = values  # exactly one
        head = jwt.get_unverified_header(token)  # not verified: it may choose among the published keys, no more
        if head.get("typ") != "JWT" or "crit" in head:
            raise Refused("not a token of this kind")
        claims = jwt.decode(
            token,
            KEYS.find(head.get("kid")),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY,
            options={"require": ["exp", "nbf", "iss", "aud", "sub"]},
        )
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise Refused("names nobody")
        return claims
    except Refused:
        raise
    except Exception as error:  # whatever is wrong with it, it is refused
        raise Refused(str(error)) from error


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, verify(self.headers.get_all(HEADER, []))["sub"]
        except Refused:
            status, body = 401, "no valid assertion"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 5000))), Server)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
