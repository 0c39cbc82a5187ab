//! Verifies the assertion of Sekisho, with jsonwebtoken 11 and reqwest 0.13.
//!
//! Copy everything above the last part, which is a server with axum that shows its use: GET / answers 200 with the
//! account's id, or 401. In this repository: `cargo run --example verify`. The sample web client of the demo does the same step by step
//! and can say which one failed: `src/demo/client/verify.rs`.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::{JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

const HEADER: &str = "x-sekisho-assertion";
/// Yours, never the one that a token names.
const ALGORITHM: (Algorithm, KeyAlgorithm) = (Algorithm::ES256, KeyAlgorithm::ES256);
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 5;
/// How long the keys are used when they cannot be fetched.
const STALE: Duration = Duration::from_hours(1);
/// Between two fetches, whatever `kid` strangers make up.
const PAUSE: Duration = Duration::from_secs(5);
/// For one fetch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request is refused: answer 401, and do not fall back to anything.
type Refusal = Box<dyn Error + Send + Sync>;

/// The claims this application works with.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    sub: String,
}

/// Verifies assertions.
struct Verifier {
    validation: Validation,
    jwks_url: String,
    /// After which the keys are fetched again.
    keep: Duration,
    client: reqwest::Client,
    keys: Mutex<Keys>,
}

/// The gateway's public keys.
#[derive(Default)]
struct Keys {
    set: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

/// The part of a token's header that matters here. It is not verified: it may choose among the published keys, no more.
#[derive(Deserialize)]
struct Head {
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl Verifier {
    fn new(jwks_url: String, issuer: &str, audience: &str, keep: Duration) -> Result<Self, Refusal> {
        let mut validation = Validation::new(ALGORITHM.0);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        // The keys come from the configured address, and from nowhere it might point to.
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            validation,
            jwks_url,
            keep,
            client,
            keys: Mutex::default(),
        })
    }

    /// The claims of the person who asks.
    async fn verify(&self, headers: &HeaderMap) -> Result<Claims, Refusal> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err("not exactly one assertion".into());
        };
        let token = value.to_str()?;
        let head = head(token)?;
        if head.typ.as_deref() != Some("JWT") || head.crit.is_some() {
            return Err("not a token of this kind".into());
        }
        let key = self.key(&head.kid.ok_or("no kid")?).await?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation)?.claims;
        if claims.sub.is_empty() {
            return Err("names nobody".into());
        }
        Ok(claims)
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Refusal> {
        // Held while fetching: many requests with a new kid cause one fetch.
        let mut keys = self.keys.lock().await;
        let within = |at: Option<Instant>, limit| at.is_some_and(|at| at.elapsed() < limit);
        let fresh = keys.set.contains_key(kid) && within(keys.fetched, self.keep);
        if !fresh && !within(keys.tried, PAUSE) {
            keys.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(set) => {
                    keys.set = set;
                    keys.fetched = keys.tried;
                }
                // The keys that are there stay in use for a while.
                Err(error) => eprintln!("cannot fetch {}: {error}", self.jwks_url),
            }
        }
        let known = keys.set.get(kid).filter(|_| within(keys.fetched, STALE));
        known.cloned().ok_or_else(|| "no such key".into())
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, Refusal> {
        let answer = self.client.get(&self.jwks_url).send().await?;
        if answer.status() != StatusCode::OK {
            return Err(answer.status().to_string().into());
        }
        let published: JwkSet = serde_json::from_slice(&answer.bytes().await?)?;
        let ours = |jwk: &&jsonwebtoken::jwk::Jwk| jwk.common.key_algorithm == Some(ALGORITHM.1);
        let keys = published.keys.iter().filter(ours);
        Ok(keys
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)))
            .collect())
    }
}

/// The library's own reading of the header leaves `crit` out.
fn head(token: &str) -> Result<Head, Refusal> {
    let head = token.split('.').next().unwrap_or_default();
    Ok(serde_json::from_slice(&base64::Engine::decode(
        &base64::prelude::BASE64_URL_SAFE_NO_PAD,
        head,
    )?)?)
}

async fn answer(State(verifier): State<Arc<Verifier>>, headers: HeaderMap) -> (StatusCode, String) {
    match verifier.verify(&headers).await {
        Ok(claims) => (StatusCode::OK, claims.sub),
        Err(_) => (StatusCode::UNAUTHORIZED, "no valid assertion".to_owned()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Refusal> {
    let setting = |name: &str, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is there already")?;
    let verifier = Verifier::new(
        setting("JWKS_URL", "https://phone.example.com/.well-known/sekisho/jwks.json"),
        &setting("ISSUER", "https://phone.example.com"),
        &setting("AUDIENCE", "sekisho-upstream"),
        Duration::from_secs(setting("KEYS_KEEP", "300").parse()?),
    )?;
    let listener = TcpListener::bind(format!("127.0.0.1:{}", setting("PORT", "5000"))).await?;
    println!("listening on {}", listener.local_addr()?);
    let router = Router::new().fallback(answer).with_state(Arc::new(verifier));
    axum::serve(listener, router).await?;
    Ok(())
}
