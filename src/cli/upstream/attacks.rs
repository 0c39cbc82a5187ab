//! The attacks: what each sends, what it means when the web client lets it in, and how that is mended.

use crate::crypto::jwt::forge::{Flaw, Form};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// A stable name for programs.
    pub id: &'static str,
    /// What is sent, in a few words.
    pub what: &'static str,
    /// The same for whoever sends it.
    pub sends: Sends,
    /// What it means when it is let in.
    pub means: &'static str,
    /// What to do then.
    pub mend: &'static str,
}

/// What the request carries.
#[derive(Clone, Copy, Debug)]
pub enum Sends {
    /// This text in the header.
    Text(&'static str),
    /// A token with this flaw.
    Flawed(Flaw),
    /// The header twice.
    Twice(Part, Part),
    /// The header once, with two tokens and a comma between.
    Joined(Part, Part),
    /// The genuine token under the header's name with underscores.
    Underscores,
    /// A forged token of this many bytes.
    Oversized(usize),
    /// The headers of `assertion.plain_headers`, and no token.
    Plain,
}

/// One of two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The genuine one.
    Genuine,
    /// Signed by somebody else.
    Forged,
}

const ANYBODY: &str = "anybody can be whoever they like";
const NOT_VERIFIED: &str = "the signature is not verified: anybody can be whoever they like";
const VERIFY: &str = "verify the signature with the published keys, and refuse what fails";
const PIN: &str = "name the one algorithm you expect when you verify; never take it from the token";
const PUBLISHED: &str = "take keys from the gateway's JWKS alone; ignore jwk, jku, x5c and x5u in tokens";
const KID: &str = "look the key up by kid in the published set; refuse when it is not there";
const TIMES: &str = "require exp and nbf, with a leeway of a few seconds";
const AUDIENCE: &str = "require aud to be yours";
const ONE: &str = "count the headers of that name; refuse when there is not exactly one";

/// All of them, in the order of their telling.
pub const ATTACKS: [Attack; 36] = [
    Attack {
        id: "empty",
        what: "an empty header",
        sends: Sends::Text(""),
        means: ANYBODY,
        mend: "treat an empty header like a missing one: refuse",
    },
    Attack {
        id: "garbage",
        what: "no JWT at all",
        sends: Sends::Text("garbage"),
        means: "the header is only looked for, not read: anybody can be whoever they like",
        mend: VERIFY,
    },
    Attack {
        id: "garbage-parts",
        what: "three parts that are no JSON",
        sends: Sends::Text("e30.e30.e30"),
        means: NOT_VERIFIED,
        mend: VERIFY,
    },
    flawed(
        "foreign-signature",
        "signed by a stranger's key",
        Flaw::ForeignSignature,
        NOT_VERIFIED,
        VERIFY,
    ),
    flawed(
        "altered",
        "claims altered after signing",
        Flaw::AlteredClaims,
        NOT_VERIFIED,
        VERIFY,
    ),
    flawed(
        "cut-signature",
        "the signature cut short",
        Flaw::CutSignature,
        NOT_VERIFIED,
        VERIFY,
    ),
    flawed(
        "no-signature",
        "no signature",
        Flaw::EmptySignature,
        NOT_VERIFIED,
        VERIFY,
    ),
    flawed(
        "zero-signature",
        "a signature of zeros",
        Flaw::ZeroSignature,
        "the library has the fault CVE-2022-21449 or one like it: anybody can be whoever they like",
        "update the library or runtime that verifies ECDSA",
    ),
    flawed("alg-none", "alg: none", Flaw::AlgNone("none"), NOT_VERIFIED, PIN),
    flawed("alg-None", "alg: None", Flaw::AlgNone("None"), NOT_VERIFIED, PIN),
    flawed("alg-NONE", "alg: NONE", Flaw::AlgNone("NONE"), NOT_VERIFIED, PIN),
    flawed("alg-nOnE", "alg: nOnE", Flaw::AlgNone("nOnE"), NOT_VERIFIED, PIN),
    flawed(
        "hmac-pem",
        "HS256, secret: the public key (PEM)",
        Flaw::HmacWithPublicKey(Form::Pem),
        "the public key is taken for a shared secret: anybody can be whoever they like",
        PIN,
    ),
    flawed(
        "hmac-der",
        "HS256, secret: the public key (DER)",
        Flaw::HmacWithPublicKey(Form::Der),
        "the public key is taken for a shared secret: anybody can be whoever they like",
        PIN,
    ),
    flawed("unknown-kid", "an unknown kid", Flaw::UnknownKid, NOT_VERIFIED, KID),
    flawed("no-kid", "no kid", Flaw::NoKid, NOT_VERIFIED, KID),
    flawed(
        "other-kid",
        "the kid of another published key",
        Flaw::OtherKid,
        "the kid does not decide which key verifies",
        KID,
    ),
    flawed("jwk", "brings its key along (jwk)", Flaw::KeyInside, ANYBODY, PUBLISHED),
    flawed(
        "x5c",
        "brings a certificate along (x5c)",
        Flaw::CertificateInside,
        ANYBODY,
        PUBLISHED,
    ),
    flawed(
        "jku",
        "says where its key is (jku)",
        Flaw::KeyElsewhere,
        ANYBODY,
        PUBLISHED,
    ),
    flawed(
        "x5u",
        "says where its certificate is (x5u)",
        Flaw::CertificateElsewhere,
        ANYBODY,
        PUBLISHED,
    ),
    flawed(
        "expired",
        "expired an hour ago",
        Flaw::LongExpired,
        "a statement that leaks can be used for ever",
        TIMES,
    ),
    flawed(
        "just-expired",
        "expired 90 s ago",
        Flaw::JustExpired,
        "the leeway is longer than a statement lives, so that one that leaks is of use for longer",
        TIMES,
    ),
    flawed(
        "not-yet-valid",
        "not valid yet",
        Flaw::NotYetValid,
        "nbf is not looked at",
        TIMES,
    ),
    flawed(
        "other-audience",
        "meant for another web client",
        Flaw::OtherAudience,
        "whoever runs another web client behind this gateway can be anybody here",
        AUDIENCE,
    ),
    flawed(
        "no-audience",
        "without an audience",
        Flaw::NoAudience,
        "aud is compared only where there is one",
        AUDIENCE,
    ),
    flawed(
        "other-issuer",
        "from another issuer",
        Flaw::OtherIssuer,
        "iss is not looked at",
        "require iss to be the gateway's, all of it",
    ),
    flawed(
        "other-type",
        "a token of another kind (typ)",
        Flaw::OtherType,
        "a token made for another purpose counts as a statement",
        "require typ to be JWT",
    ),
    flawed(
        "critical",
        "demands an unknown extension (crit)",
        Flaw::Critical,
        "what a token says must be understood is ignored",
        "refuse every token whose header has crit",
    ),
    Attack {
        id: "twice-genuine-first",
        what: "the header twice: genuine, forged",
        sends: Sends::Twice(Part::Genuine, Part::Forged),
        means: "which of two headers counts is left to chance",
        mend: ONE,
    },
    Attack {
        id: "twice-forged-first",
        what: "the header twice: forged, genuine",
        sends: Sends::Twice(Part::Forged, Part::Genuine),
        means: "which of two headers counts is left to chance",
        mend: ONE,
    },
    Attack {
        id: "joined-genuine-first",
        what: "two tokens and a comma: genuine, forged",
        sends: Sends::Joined(Part::Genuine, Part::Forged),
        means: "a list is taken apart where one token belongs",
        mend: "verify the whole value of the header as one token",
    },
    Attack {
        id: "joined-forged-first",
        what: "two tokens and a comma: forged, genuine",
        sends: Sends::Joined(Part::Forged, Part::Genuine),
        means: "a list is taken apart where one token belongs",
        mend: "verify the whole value of the header as one token",
    },
    Attack {
        id: "underscores",
        what: "the header spelt with underscores",
        sends: Sends::Underscores,
        means: "another header passes for the assertion's. The gateway removes it; another proxy may not",
        mend: "have the server drop headers with underscores, or compare the name as it was sent",
    },
    Attack {
        id: "oversized",
        what: "a forged token of 64 KiB",
        sends: Sends::Oversized(64 * 1024),
        means: NOT_VERIFIED,
        mend: VERIFY,
    },
    Attack {
        id: "plain-headers",
        what: "Remote-User and its like, no token",
        sends: Sends::Plain,
        means: "plain headers are believed: whoever reaches the web client past the gateway can be whoever they like",
        mend: "believe the assertion alone",
    },
];

const fn flawed(id: &'static str, what: &'static str, flaw: Flaw, means: &'static str, mend: &'static str) -> Attack {
    Attack {
        id,
        what,
        sends: Sends::Flawed(flaw),
        means,
        mend,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_attack_has_a_name_of_its_own_and_says_what_to_do() {
        let ids: HashSet<_> = ATTACKS.iter().map(|attack| attack.id).collect();
        let words: HashSet<_> = ATTACKS.iter().map(|attack| attack.what).collect();
        assert_eq!((ids.len(), words.len()), (ATTACKS.len(), ATTACKS.len()));
        for attack in ATTACKS {
            assert!(!attack.means.is_empty() && !attack.mend.is_empty(), "{attack:?}");
        }
    }
}
