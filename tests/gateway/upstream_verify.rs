//! `sekisho upstream verify`: what it says about web clients that check everything, nothing, and all but one thing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sekisho::demo::client::{SampleClient, Trust};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::gateway::Ran;
use crate::harness::{ASSERTION, House, OUT, eventually, now};

const AUDIENCE: &str = "sekisho-upstream";

/// What a careless web client does not do, or does too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weakness {
    Nothing,
    ChecksNothing,
    RefusesEverybody,
    StumblesOverGarbage,
    ShutsOutAfterTen,
    TakesAnEmptyHeader,
    TakesAnyHeader,
    VerifiesNoSignature,
    TakesZeros,
    BelievesNone,
    SharesThePublicKey,
    PassesUnknownKeys,
    TriesEveryKey,
    BelievesJwk,
    BelievesX5c,
    FetchesJku,
    NeverExpires,
    IsPatient,
    IgnoresNbf,
    IgnoresAudience,
    NeedsNoAudience,
    IgnoresIssuer,
    IgnoresType,
    IgnoresCritical,
    TakesTheFirst,
    TakesTheLast,
    SplitsAndTakesTheFirst,
    SplitsAndTakesTheLast,
    ReadsUnderscores,
    BelievesPlainHeaders,
}

/// Each weakness and what must be reported.
const FOUND: &[(Weakness, &[&str])] = &[
    (Weakness::Nothing, &[]),
    (Weakness::TakesAnEmptyHeader, &["empty"]),
    (
        Weakness::VerifiesNoSignature,
        &[
            "foreign-signature",
            "altered",
            "cut-signature",
            "no-signature",
            "zero-signature",
            "other-kid",
            "oversized",
        ],
    ),
    (Weakness::TakesZeros, &["zero-signature"]),
    (
        Weakness::BelievesNone,
        &["alg-none", "alg-None", "alg-NONE", "alg-nOnE"],
    ),
    (Weakness::SharesThePublicKey, &["hmac-pem", "hmac-der"]),
    (
        Weakness::PassesUnknownKeys,
        &["unknown-kid", "no-kid", "jwk", "x5c", "jku", "x5u"],
    ),
    (Weakness::TriesEveryKey, &["other-kid"]),
    (Weakness::BelievesJwk, &["jwk"]),
    (Weakness::BelievesX5c, &["x5c"]),
    (Weakness::FetchesJku, &["jku", "asks-address"]),
    (Weakness::NeverExpires, &["expired", "just-expired"]),
    (Weakness::IsPatient, &["just-expired"]),
    (Weakness::IgnoresNbf, &["not-yet-valid"]),
    (Weakness::IgnoresAudience, &["other-audience", "no-audience"]),
    (Weakness::NeedsNoAudience, &["no-audience"]),
    (Weakness::IgnoresIssuer, &["other-issuer"]),
    (Weakness::IgnoresType, &["other-type"]),
    (Weakness::IgnoresCritical, &["critical"]),
    (Weakness::TakesTheFirst, &["twice-genuine-first"]),
    (Weakness::TakesTheLast, &["twice-forged-first"]),
    (Weakness::SplitsAndTakesTheFirst, &["joined-genuine-first"]),
    (Weakness::SplitsAndTakesTheLast, &["joined-forged-first"]),
    (Weakness::ReadsUnderscores, &["underscores"]),
    (Weakness::BelievesPlainHeaders, &["plain-headers"]),
];

/// A web client with one weakness.
struct Weak {
    weakness: Weakness,
    keys: JwkSet,
    refused: AtomicUsize,
}

/// The same, running.
struct Running {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Weak {
    async fn open(weakness: Weakness, keys: &JwkSet, ip: Ipv4Addr) -> Running {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let weak = Arc::new(Self {
            weakness,
            keys: keys.clone(),
            refused: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(answer).with_state(weak);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Running {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn is(&self, weakness: Weakness) -> bool {
        self.weakness == weakness
    }

    async fn lets_in(&self, headers: &HeaderMap) -> bool {
        if self.is(Weakness::BelievesPlainHeaders) && headers.contains_key("remote-user") {
            return true;
        }
        let mut values: Vec<&str> = headers
            .get_all(ASSERTION)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        if self.is(Weakness::ReadsUnderscores) {
            let folded = headers.get(ASSERTION.replace('-', "_"));
            values.extend(folded.map(|value| value.to_str().unwrap()));
        }
        let token = match values[..] {
            [one] => one,
            [first, ..] if self.is(Weakness::TakesTheFirst) => first,
            [.., last] if self.is(Weakness::TakesTheLast) => last,
            _ => return false,
        };
        let token = match self.weakness {
            Weakness::TakesAnyHeader => return true,
            Weakness::TakesAnEmptyHeader if token.is_empty() => return true,
            Weakness::SplitsAndTakesTheFirst => token.split(", ").next().unwrap(),
            Weakness::SplitsAndTakesTheLast => token.split(", ").last().unwrap(),
            _ => token,
        };
        self.accepts(token).await.unwrap_or(false)
    }

    async fn accepts(&self, token: &str) -> Option<bool> {
        let mut parts = token.split('.');
        let (head, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let signed = format!("{head}.{claims}");
        let (head, claims) = (decode(head)?, decode(claims)?);
        let is_right = self.has_right_head(&head)
            && self.is_signed(&head, &signed, signature).await?
            && self.has_right_claims(&claims);
        Some(is_right)
    }

    fn has_right_head(&self, head: &Value) -> bool {
        (head["typ"] == "JWT" || self.is(Weakness::IgnoresType))
            && (head["crit"].is_null() || self.is(Weakness::IgnoresCritical))
    }

    async fn is_signed(&self, head: &Value, signed: &str, signature: &str) -> Option<bool> {
        let alg = head["alg"].as_str()?;
        if self.is(Weakness::BelievesNone) && alg.eq_ignore_ascii_case("none") {
            return Some(true);
        }
        if self.is(Weakness::SharesThePublicKey) && alg == "HS256" {
            let own = self.keys.find(head["kid"].as_str()?)?;
            return Some(public_key_forms(own).iter().any(|secret| {
                let key = EncodingKey::from_secret(secret);
                jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap() == signature
            }));
        }
        if alg != "ES256" {
            return None;
        }
        let published = head["kid"].as_str().and_then(|kid| self.keys.find(kid)).cloned();
        let brought = match self.weakness {
            Weakness::PassesUnknownKeys if published.is_none() => return Some(true),
            Weakness::BelievesX5c if head["x5c"].is_array() => return Some(true),
            Weakness::VerifiesNoSignature if published.is_some() => return Some(true),
            Weakness::TakesZeros if signature.chars().all(|c| c == 'A') && !signature.is_empty() => return Some(true),
            Weakness::BelievesJwk => serde_json::from_value(head["jwk"].clone()).ok(),
            Weakness::FetchesJku if head["jku"].is_string() => {
                let set: JwkSet = reqwest::get(head["jku"].as_str()?).await.ok()?.json().await.ok()?;
                set.keys.into_iter().next()
            }
            _ => None,
        };
        let candidates: Vec<Jwk> = if self.is(Weakness::TriesEveryKey) {
            self.keys.keys.clone()
        } else {
            published.into_iter().chain(brought).collect()
        };
        Some(candidates.iter().any(|jwk| {
            let key = DecodingKey::from_jwk(jwk).unwrap();
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, Algorithm::ES256).unwrap_or(false)
        }))
    }

    fn has_right_claims(&self, claims: &Value) -> bool {
        let at = now().as_second();
        let leeway = match self.weakness {
            Weakness::NeverExpires => i64::MAX / 2,
            Weakness::IsPatient => 300,
            _ => 5,
        };
        let aud = &claims["aud"];
        let in_time = claims["exp"].as_i64().is_some_and(|exp| at < exp + leeway);
        let begun = claims["nbf"].as_i64().is_some_and(|nbf| at >= nbf - 5) || self.is(Weakness::IgnoresNbf);
        let from_us = claims["iss"] == format!("https://{OUT}") || self.is(Weakness::IgnoresIssuer);
        let for_us = aud == AUDIENCE
            || self.is(Weakness::IgnoresAudience)
            || self.is(Weakness::NeedsNoAudience) && aud.is_null();
        in_time && begun && from_us && for_us
    }
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The forms of a public key that careless libraries take for a secret.
fn public_key_forms(jwk: &Jwk) -> [Vec<u8>; 2] {
    let json = serde_json::to_value(jwk).unwrap();
    let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(json[name].as_str().unwrap()).unwrap();
    let head = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    let head = (0..head.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap());
    let der: Vec<u8> = head.chain(coordinate("x")).chain(coordinate("y")).collect();
    let text = base64::prelude::BASE64_STANDARD.encode(&der);
    let (first, second) = text.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
    [pem.into_bytes(), der]
}

async fn answer(State(weak): State<Arc<Weak>>, headers: HeaderMap) -> StatusCode {
    match weak.weakness {
        Weakness::ChecksNothing => return StatusCode::OK,
        Weakness::RefusesEverybody => return StatusCode::FORBIDDEN,
        Weakness::StumblesOverGarbage if headers.get(ASSERTION).is_some_and(|value| value == "garbage") => {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        Weakness::ShutsOutAfterTen if weak.refused.load(Ordering::Relaxed) >= 10 => {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        _ => {}
    }
    if weak.lets_in(&headers).await {
        StatusCode::OK
    } else {
        weak.refused.fetch_add(1, Ordering::Relaxed);
        StatusCode::UNAUTHORIZED
    }
}

/// A gateway with two published keys, and what it publishes.
async fn house_with_two_keys() -> (House, JwkSet) {
    let house = House::open().await;
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    let visitor = house.visitor();
    let keys = eventually("two keys to be published", async || {
        let answer = visitor.fetch("/.well-known/sekisho/jwks.json").await;
        let keys: JwkSet = serde_json::from_slice(&answer.body).unwrap();
        (keys.keys.len() == 2).then_some(keys)
    })
    .await;
    (house, keys)
}

async fn verify(house: &House, address: SocketAddr, more: &[&str]) -> Ran {
    let url = format!("http://{address}");
    let mut args = vec!["upstream", "verify", &url];
    args.extend(more);
    house.gateway.cli(&args).await
}

/// The exit code, and the names of all rows with a verdict.
async fn report(house: &House, address: SocketAddr) -> (i32, Value) {
    let ran = verify(house, address, &["--json"]).await;
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    (ran.code.unwrap(), report)
}

/// The names of the rows with this verdict that are to be refused.
fn rows<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["verdict"] == verdict && row["genuine"] == false)
        .map(|row| row["id"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_weakness_of_a_web_client_is_found_and_nothing_else() {
    let (house, keys) = house_with_two_keys().await;
    for (weakness, found) in FOUND {
        let weak = Weak::open(*weakness, &keys, Ipv4Addr::LOCALHOST).await;
        let (code, report) = report(&house, weak.address).await;
        assert_eq!(rows(&report, "accepted"), *found, "{weakness:?}: {report:#}");
        assert_eq!(code, i32::from(!found.is_empty()), "{weakness:?}");
        assert_eq!(report["proved"], true, "{weakness:?}");
        assert!(rows(&report, "untried").is_empty(), "with two keys all is tried");
        for row in report["rows"].as_array().unwrap() {
            let told = row["verdict"] == "accepted" && row["genuine"] == false;
            assert_eq!(row["note"].is_string(), told, "{row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_that_checks_nothing_is_told_apart_from_one_that_refuses_everybody() {
    let (house, keys) = house_with_two_keys().await;
    let open = async |weakness| Weak::open(weakness, &keys, Ipv4Addr::LOCALHOST).await;

    let (code, all) = report(&house, open(Weakness::ChecksNothing).await.address).await;
    assert_eq!((code, rows(&all, "accepted")), (1, vec!["nothing"]), "{all:#}");

    let (code, any) = report(&house, open(Weakness::TakesAnyHeader).await.address).await;
    let accepted = rows(&any, "accepted");
    assert!(
        code == 1 && accepted.len() > 25 && !accepted.contains(&"nothing"),
        "{any:#}"
    );

    for weakness in [Weakness::RefusesEverybody, Weakness::ShutsOutAfterTen] {
        let (code, unproved) = report(&house, open(weakness).await.address).await;
        assert_eq!(
            (code, &unproved["proved"]),
            (2, &false.into()),
            "{weakness:?}: {unproved:#}"
        );
        assert!(unproved["doubt"].is_string());
    }
    // A port that nobody has.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (code, silent) = report(&house, gone).await;
    assert_eq!((code, &silent["proved"]), (2, &false.into()), "{silent:#}");

    let (code, stumbling) = report(&house, open(Weakness::StumblesOverGarbage).await.address).await;
    assert_eq!(
        (code, rows(&stumbling, "stumbled")),
        (0, vec!["garbage"]),
        "{stumbling:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_on_every_address_of_the_machine_is_reported_as_reachable_past_the_gateway() {
    let (house, keys) = house_with_two_keys().await;
    let weak = Weak::open(Weakness::BelievesPlainHeaders, &keys, Ipv4Addr::UNSPECIFIED).await;
    let port = weak.address.port();
    let (code, report) = report(&house, SocketAddr::from(([127, 0, 0, 1], port))).await;
    assert_eq!(code, 1);
    assert_eq!(rows(&report, "reachable"), ["side-door"], "{report:#}");
    let listens = format!("listens on 0.0.0.0:{port}");
    let found = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .any(|row| row["what"] == listens);
    assert!(found, "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_web_client_comes_out_clean_and_every_try_is_an_event() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (house, _) = house_with_two_keys().await;
    let gateway = *house.gateway.address().lock();
    let trust = Trust {
        jwks_url: format!("https://{OUT}/.well-known/sekisho/jwks.json"),
        ca_pem: Some(house.gateway.home().join("ca.pem")),
        issuer: format!("https://{OUT}"),
        audience: AUDIENCE.to_owned(),
        header: ASSERTION.to_owned(),
        logout_path: "/logout".to_owned(),
        door_connect: Some(gateway),
    };
    let client = SampleClient::bind(([127, 0, 0, 1], 0).into(), trust).await.unwrap();
    let address = client.addr();
    let stop = CancellationToken::new();
    let _stopped_at_last = stop.clone().drop_guard();
    tokio::spawn(client.run(stop));

    let told = verify(&house, address, &[]).await.succeeded();
    assert!(
        told.contains("refuses all of it") && !told.contains("ACCEPTED"),
        "{told}"
    );
    assert!(told.lines().count() > 40, "a line for each: {told}");
    let url = format!("http://{address}");
    house.event("upstream.tried", Some(&url)).await;
    // Whoever the statements speak of can be found in no list of accounts.
    let me = verify(&house, address, &["--path", "/me", "--marker", "(test)", "--json"]).await;
    assert_eq!(me.code, Some(0), "{me:#?}");
    assert!(!house.gateway.printed().contains("eyJ"), "no statement is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_of_a_further_site_is_tried_with_its_own_audience() {
    let (house, keys) = house_with_two_keys().await;
    let weak = Weak::open(Weakness::Nothing, &keys, Ipv4Addr::LOCALHOST).await;
    house.gateway.configure(&format!(
        "[sites.wiki]\npath = \"/wiki\"\nupstream.url = \"http://{}\"\nassertion.audience = \"{AUDIENCE}\"\n\
         [assertion]\naudience = \"somebody-else\"",
        weak.address
    ));
    // The address says which site it is.
    let (code, report) = report(&house, weak.address).await;
    assert_eq!((code, &report["proved"]), (0, &true.into()), "{report:#}");
    assert!(report["url"].as_str().unwrap().ends_with("/wiki"), "{report:#}");
    let other = verify(&house, weak.address, &["--site", "main"]).await;
    assert_eq!(
        other.code,
        Some(2),
        "for the main site's audience the statement is no genuine one: {other:#?}"
    );
    let none = verify(&house, weak.address, &["--site", "shop"]).await.failed();
    assert!(none.contains("main, wiki"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_statement_goes_nowhere_unasked() {
    let house = House::closed("").await;
    let refused = house
        .gateway
        .cli(&["upstream", "verify", "http://192.0.2.1:5000"])
        .await
        .failed();
    assert!(refused.contains("--elsewhere"), "{refused}");
    let without_keys = house
        .gateway
        .cli(&["upstream", "verify", "http://127.0.0.1:5000"])
        .await
        .failed();
    assert!(without_keys.contains("no signing key"), "{without_keys}");
    assert!(house.events().await.is_empty(), "nothing was tried");
}
