//! That a state-changing request comes from our own pages: its origin, and for forms a token besides.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::ORIGIN;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::doors::Doors;

use super::visit::Seed;

/// Characters of a seed and of a token: 32 bytes as base64url.
const CHARS: usize = 43;

/// Whether the browser says that one of our own pages sent the request.
///
/// `Sec-Fetch-Site` cannot be set by a page; `Origin` stands in where a browser does not send it.
/// A request with neither is refused, and so are one that repeats either and one where the two disagree. `Origin: null`
/// names no site and disagrees with nobody: it is what our own pages send, for they keep the referrer to themselves
/// (Fetch Standard, "append a request `Origin` header").
pub(super) fn same_origin(headers: &HeaderMap, doors: &Doors) -> bool {
    let site: Vec<_> = headers.get_all("sec-fetch-site").iter().collect();
    let origin: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    let known = |origin: &http::HeaderValue| origin.to_str().is_ok_and(|origin| doors.has_origin(origin));
    match (site.as_slice(), origin.as_slice()) {
        ([site], []) => site.as_bytes() == b"same-origin",
        ([site], [origin]) => site.as_bytes() == b"same-origin" && (origin.as_bytes() == b"null" || known(origin)),
        ([], [origin]) => known(origin),
        _ => false,
    }
}

/// Makes and checks the tokens in forms. A token is the keyed digest of the seed in a cookie, so
/// that whoever cannot read the cookie cannot make a form.
pub(super) struct FormTokens {
    key: Zeroizing<[u8; 32]>,
}

impl FormTokens {
    /// With the key shared by every process behind the same doors.
    pub(super) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    /// A fresh seed. The id makes it unique and the key makes it unguessable.
    pub(super) fn seed(&self, id: Uuid) -> String {
        self.digest(b"seed", id.as_bytes())
    }

    /// The token that goes with a seed, and with the link a form is about: the form of one link must not spend
    /// another that the same browser opened since.
    pub(super) fn token(&self, seed: &Seed) -> String {
        let ticket = seed.ticket.as_ref().map_or(&[][..], |digest| &digest.as_bytes()[..]);
        self.digest(b"token", &[seed.text.as_bytes(), ticket].concat())
    }

    /// Whether a token goes with a seed, in constant time.
    pub(super) fn agree(&self, seed: &Seed, token: &str) -> bool {
        is_seed(&seed.text) && bool::from(self.token(seed).as_bytes().ct_eq(token.as_bytes()))
    }

    /// What a page that follows an act carries along, so that no link from elsewhere claims the act.
    pub(super) fn proof(&self, seed: &Seed, act: &str, minute: i64) -> String {
        self.digest(b"act", format!("{}{minute}:{act}", seed.text).as_bytes())
    }

    /// Whether the act was done in this browser a moment ago, in constant time.
    pub(super) fn proves(&self, seed: &Seed, act: &str, minute: i64, proof: &str) -> bool {
        let fits = |minute| bool::from(self.proof(seed, act, minute).as_bytes().ct_eq(proof.as_bytes()));
        is_seed(&seed.text) && (fits(minute) || fits(minute - 1))
    }

    fn digest(&self, purpose: &[u8], what: &[u8]) -> String {
        // A key of any length is accepted; no key at all would agree with no token.
        Hmac::<Sha256>::new_from_slice(&*self.key).map_or_else(
            |_| String::new(),
            |mac| {
                let mac = mac.chain_update(purpose).chain_update([0]).chain_update(what);
                BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
            },
        )
    }
}

/// Whether a cookie's value has the form of a seed.
pub(super) fn is_seed(text: &str) -> bool {
    text.len() == CHARS
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use crate::domain::doors::Door;

    use super::*;

    fn same(headers: &[(&'static str, &'static str)]) -> bool {
        let doors = Doors {
            in_office: Door::parse("https://phone.example:8443").unwrap(),
            out_of_office: Door::parse("https://phone.example").unwrap(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        same_origin(&map, &doors)
    }

    #[test]
    fn what_the_browser_says_of_the_site_does_not_outweigh_a_foreign_origin() {
        let said = |origin| same(&[("sec-fetch-site", "same-origin"), ("origin", origin)]);
        assert!(said("https://phone.example:8443") && said("https://phone.example"));
        assert!(said("null"), "what a form on a page without a referrer sends");
        for foreign in ["https://evil.example", "http://phone.example", ""] {
            assert!(!said(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_our_own_pages_may_post() {
        assert!(same(&[("sec-fetch-site", "same-origin")]));
        assert!(same(&[("origin", "https://phone.example:8443")]));
        assert!(same(&[("origin", "https://phone.example")]));
        for foreign in ["same-site", "cross-site", "none", "", "Same-Origin, cross-site"] {
            assert!(!same(&[("sec-fetch-site", foreign)]), "{foreign}");
            assert!(
                !same(&[("sec-fetch-site", foreign), ("origin", "https://phone.example")]),
                "{foreign}"
            );
        }
        for foreign in [
            "null",
            "https://evil.example",
            "http://phone.example",
            "https://phone.example.evil",
            "",
        ] {
            assert!(!same(&[("origin", foreign)]), "{foreign}");
        }
        assert!(!same(&[]));
        assert!(!same(&[
            ("origin", "https://phone.example"),
            ("origin", "https://evil.example")
        ]));
        assert!(!same(&[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site")
        ]));
    }

    #[test]
    fn a_token_goes_with_its_own_seed_and_key_alone() {
        let tokens = FormTokens::new(Zeroizing::new([1; 32]));
        let seed = |id| Seed {
            text: tokens.seed(Uuid::from_u128(id)),
            fresh: false,
            ticket: None,
        };
        let (one, other) = (seed(1), seed(2));
        assert!(is_seed(&one.text) && one.text != other.text);
        assert!(tokens.agree(&one, &tokens.token(&one)));
        assert!(!tokens.agree(&one, &tokens.token(&other)));
        assert!(!tokens.agree(&one, ""));
        assert!(!tokens.agree(&one, &one.text));
        let empty = Seed {
            text: String::new(),
            ..one.clone()
        };
        assert!(!tokens.agree(&empty, &tokens.token(&empty)));
        let elsewhere = FormTokens::new(Zeroizing::new([2; 32]));
        assert!(!elsewhere.agree(&one, &tokens.token(&one)));
    }

    #[test]
    fn an_act_is_proven_to_its_own_browser_and_for_a_moment() {
        let tokens = FormTokens::new(Zeroizing::new([1; 32]));
        let seed = |id| Seed {
            text: tokens.seed(Uuid::from_u128(id)),
            fresh: false,
            ticket: None,
        };
        let proof = tokens.proof(&seed(1), "password-changed", 7);
        assert!(tokens.proves(&seed(1), "password-changed", 7, &proof));
        assert!(tokens.proves(&seed(1), "password-changed", 8, &proof));
        assert!(!tokens.proves(&seed(1), "password-changed", 9, &proof));
        assert!(!tokens.proves(&seed(2), "password-changed", 7, &proof));
        assert!(!tokens.proves(&seed(1), "language-set", 7, &proof));
        assert!(!tokens.proves(&seed(1), "password-changed", 7, ""));
    }
}
