//! The gateway's public keys: fetched from its JWKS, kept for a while, fetched again when one is missing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use reqwest::{Certificate, Client, Url, redirect};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Trust;

/// How long the keys are used before they are fetched again.
const KEEP: Duration = Duration::from_mins(5);
/// The gateway is asked at most this often, whatever `kid` strangers make up.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a fetch may take in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// A JWKS holds a handful of keys; anything larger is not one.
const LARGEST: usize = 256 * 1024;

/// Why a key was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The gateway does not publish it.
    Unknown,
    /// The gateway could not be asked; the reason.
    Unavailable(String),
}

/// The published keys, shared by all requests.
pub struct Keys {
    client: Client,
    url: Url,
    current: ArcSwapOption<Fetched>,
    /// When the last fetch started and, if it failed, why. Its lock is held while fetching, so that
    /// many requests with the same unknown key cause one fetch.
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

struct Fetched {
    set: JwkSet,
    at: Instant,
}

impl Keys {
    /// Prepares the fetching; nothing is fetched before the first request needs a key.
    pub fn new(trust: &Trust) -> io::Result<Self> {
        let url = Url::parse(&trust.jwks_url)
            .map_err(|error| invalid(format!("the JWKS address `{}` is no URL: {error}", trust.jwks_url)))?;
        Ok(Self {
            client: client(trust, &url)?,
            url,
            current: ArcSwapOption::empty(),
            last: Mutex::new(None),
        })
    }

    /// The published key of this id.
    pub async fn find(&self, kid: &str) -> Result<Jwk, KeyError> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        self.refresh(kid).await.map_err(KeyError::Unavailable)?;
        self.known(kid).ok_or(KeyError::Unknown)
    }

    fn known(&self, kid: &str) -> Option<Jwk> {
        let current = self.current.load();
        let fetched = current.as_ref().filter(|fetched| fetched.at.elapsed() < KEEP)?;
        fetched.set.find(kid).cloned()
    }

    async fn refresh(&self, kid: &str) -> Result<(), String> {
        let mut last = self.last.lock().await;
        // Whoever held the lock before may have fetched what this request is waiting for.
        if self.known(kid).is_some() {
            return Ok(());
        }
        if let Some((at, result)) = &*last
            && at.elapsed() < PAUSE
        {
            return result.clone();
        }
        let at = Instant::now();
        let result = self.fetch().await;
        if let Err(why) = &result {
            tracing::warn!(url = %self.url, why, "could not fetch the gateway's keys");
        }
        let (set, result) = match result {
            Ok(set) => (Some(set), Ok(())),
            Err(why) => (None, Err(why)),
        };
        if let Some(set) = set {
            self.current.store(Some(Arc::new(Fetched { set, at })));
        }
        *last = Some((at, result.clone()));
        result
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let mut response = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| chain(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("{} is larger than {LARGEST} bytes", self.url));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| format!("{} is no JWKS: {error}", self.url))
    }
}

fn client(trust: &Trust, url: &Url) -> io::Result<Client> {
    let mut builder = Client::builder()
        .timeout(PATIENCE)
        // The keys come from this address and from nowhere it might point to, nor through a proxy.
        .redirect(redirect::Policy::none())
        .no_proxy();
    if let Some(path) = &trust.ca_pem {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    if let (Some(host), Some(address)) = (url.host_str(), trust.door_connect) {
        builder = builder.resolve(host, address);
    }
    builder.build().map_err(io::Error::other)
}

fn certificates(path: &Path) -> io::Result<Vec<Certificate>> {
    let pem = fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))?;
    let found = Certificate::from_pem_bundle(&pem)
        .map_err(|error| invalid(format!("{} holds no certificates: {error}", path.display())))?;
    if found.is_empty() {
        return Err(invalid(format!("{} holds no certificates", path.display())));
    }
    Ok(found)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// An error with its causes: reqwest's own words leave out why a connection failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
