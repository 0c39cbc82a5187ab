//! Asking the web client: one request on a connection of its own, as the gateway would send it but for what is tried.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http::header::{HOST, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity};
use url::Url;

use crate::config::{Site, Upstream};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer is looked through for a marker.
const LOOKED_AT: usize = 1024 * 1024;

/// The way to the web client.
pub struct Way {
    client: Client,
    url: Url,
    usual: HeaderMap,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer.
    Came {
        /// Its status.
        status: StatusCode,
        /// Where it leads, when it leads elsewhere.
        location: Option<String>,
        /// Its body, or the beginning of it.
        body: String,
    },
    /// None; why.
    None(String),
}

impl Answer {
    /// The status; `None` without an answer.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Came { status, .. } => Some(*status),
            Self::None(_) => None,
        }
    }
}

impl Way {
    /// To this address of a site's web client, with what the gateway sends beside the assertion.
    ///
    /// # Errors
    /// A file that the connection needs cannot be read.
    pub fn to(url: Url, site: &Site) -> anyhow::Result<Self> {
        let door = site.doors.out_of_office.authority();
        let door = HeaderValue::from_str(&door).context("the door is no host")?;
        let mut usual = HeaderMap::new();
        if site.upstream.preserve_host {
            usual.insert(HOST, door.clone());
        }
        usual.insert("x-forwarded-host", door);
        usual.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        Ok(Self {
            client: client(&site.upstream)?,
            url,
            usual,
        })
    }

    /// The address that is asked.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same on another address of this machine.
    pub fn beside(&self, address: SocketAddr) -> Option<Self> {
        let mut url = self.url.clone();
        url.set_ip_host(address.ip()).ok()?;
        url.set_port(Some(address.port())).ok()?;
        Some(Self {
            client: self.client.clone(),
            url,
            usual: self.usual.clone(),
        })
    }

    /// Asks with these headers.
    pub async fn ask(&self, headers: HeaderMap) -> Answer {
        let mut request = self.client.get(self.url.clone()).headers(self.usual.clone()).build();
        if let Ok(request) = &mut request {
            // Appended one by one: the same name may be there twice.
            for (name, value) in &headers {
                request.headers_mut().append(name, value.clone());
            }
        }
        let answered = match request {
            Ok(request) => self.client.execute(request).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(response) => read(response).await,
            Err(error) => Answer::None(words(error)),
        }
    }
}

async fn read(mut response: reqwest::Response) -> Answer {
    let status = response.status();
    let location = response.headers().get(LOCATION);
    let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    let mut body = Vec::new();
    // A body that breaks off or never ends says nothing less about the status.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LOOKED_AT {
            break;
        }
    }
    Answer::Came {
        status,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

fn client(upstream: &Upstream) -> anyhow::Result<Client> {
    let mut builder = Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        // What one attack does to a connection must not touch the next.
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE);
    if let Some(path) = &upstream.ca_file {
        let pem = read_file("upstream.ca_file", path)?;
        let certificates =
            Certificate::from_pem_bundle(&pem).with_context(|| format!("{} holds no certificates", path.display()))?;
        if certificates.is_empty() {
            bail!("{} holds no certificates", path.display());
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(certificate), Some(key)) = (&upstream.client_certificate, &upstream.client_key) {
        let mut pem = read_file("upstream.client_certificate", certificate)?;
        pem.push(b'\n');
        pem.extend(read_file("upstream.client_key", key)?);
        let identity = Identity::from_pem(&pem);
        builder = builder.identity(identity.context("upstream.client_certificate and client_key make no identity")?);
    }
    Ok(builder.build()?)
}

fn read_file(key: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {key}, {}", path.display()))
}

/// The deepest cause says most: refused, timed out, not trusted.
fn words(error: reqwest::Error) -> String {
    let error = anyhow::Error::new(error.without_url());
    error.root_cause().to_string()
}
