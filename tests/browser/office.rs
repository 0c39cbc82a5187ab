//! The product with everything around it that a browser meets: the gateway, the sample web client behind it and a
//! mail server beside it. The gateway's own tests have a bare upstream instead; people have this one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use rcgen::{KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sekisho::crypto::devca::DevCertificates;
use sekisho::demo::client::{SampleClient, Trust};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::harness::gateway::Address;
use crate::harness::{Gateway, IN, Mailbox, OUT, now};

/// Everything a browser meets.
pub struct Office {
    /// The product.
    pub gateway: Gateway,
    /// The mail server beside it.
    pub mailbox: Mailbox,
    /// Where browsers connect for either door.
    pub road: SocketAddr,
    /// Who vouches for the gateway's certificate.
    pub roots: Arc<RootCertStore>,
    /// SHA-256 of the gateway's public key, in base64: what a browser is told to trust.
    pub key_digest: String,
    client: Mutex<Option<Running>>,
    _certificates: TempDir,
    _road: DropGuard,
}

/// The sample web client while it runs.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Office {
    /// With the test configuration.
    pub async fn open() -> Self {
        Self::with("").await
    }

    /// With `overrides`, a piece of TOML that is laid over the test configuration.
    pub async fn with(overrides: &str) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::Builder::new().prefix("sekisho-certs-").tempdir().unwrap();
        let certificates = DevCertificates::ensure(directory.path(), &[IN, OUT], now()).unwrap();
        let mailbox = Mailbox::open().await;
        let (road, listener) = take_port().await;
        let client = SampleClient::bind(any_port(), trust(road, &certificates.authority))
            .await
            .unwrap();
        let gateway = Gateway::prepare(client.addr(), mailbox.address(), "");
        gateway.configure(&format!(
            "[server]\ntls_certificate = '{}'\ntls_key = '{}'",
            certificates.certificate.display(),
            certificates.key.display()
        ));
        gateway.configure(overrides);
        let stop = CancellationToken::new();
        tokio::spawn(carry(listener, gateway.address(), stop.clone()));
        gateway.start().await;
        Self {
            gateway,
            mailbox,
            road,
            key_digest: key_digest(&certificates.key),
            roots: Arc::new(roots(&certificates.authority)),
            client: Mutex::new(Some(run(client))),
            _certificates: directory,
            _road: stop.drop_guard(),
        }
    }

    /// Adds an account, whose Welcome letter goes out.
    pub async fn invite(&self, person: &Person) {
        let Person {
            extension,
            name,
            email,
            language,
        } = person;
        let args = [
            "account",
            "add",
            extension,
            "--name",
            name,
            "--email",
            email,
            "--language",
            language,
        ];
        self.gateway.cli(&args).await.succeeded();
    }

    /// The help desk mails another Welcome link.
    pub async fn welcome_again(&self, person: &Person) {
        let args = ["account", "welcome", &person.extension];
        self.gateway.cli(&args).await.succeeded();
    }

    /// The web client goes away, as if its machine had been switched off.
    pub async fn stop_client(&self) {
        let running = self.client.lock().take();
        let Running { stop, task } = running.expect("the web client runs");
        stop.cancel();
        task.await.unwrap();
    }
}

/// Somebody who gets an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// The extension number.
    pub extension: String,
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// The language of the account.
    pub language: String,
}

impl Person {
    /// Somebody with this extension number and name, and an address made of the number.
    pub fn new(extension: &str, name: &str, language: &str) -> Self {
        Self {
            extension: extension.to_owned(),
            name: name.to_owned(),
            email: format!("p{extension}@example.com"),
            language: language.to_owned(),
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn take_port() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

fn trust(road: SocketAddr, authority: &Path) -> Trust {
    Trust {
        jwks_url: format!("https://{IN}/.well-known/sekisho/jwks.json"),
        ca_pem: Some(authority.to_owned()),
        issuer: format!("https://{OUT}"),
        audience: "sekisho-upstream".to_owned(),
        header: "X-Sekisho-Assertion".to_owned(),
        logout_path: "/logout".to_owned(),
        door_connect: Some(road),
    }
}

fn roots(authority: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    roots
}

fn run(client: SampleClient) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(client.run(stop.clone()));
    Running { stop, task }
}

/// The web client must know its way to the gateway before the gateway has a port, and browsers must keep theirs when
/// the gateway is started anew: so both take this road, which carries bytes to wherever the gateway is now.
async fn carry(listener: TcpListener, gateway: Address, stop: CancellationToken) {
    let carrying = async {
        loop {
            let Ok((mut from, _)) = listener.accept().await else {
                return;
            };
            let to = *gateway.lock();
            tokio::spawn(async move {
                if let Ok(mut to) = TcpStream::connect(to).await {
                    from.set_nodelay(true).ok();
                    to.set_nodelay(true).ok();
                    tokio::io::copy_bidirectional(&mut from, &mut to).await.ok();
                }
            });
        }
    };
    stop.run_until_cancelled(carrying).await;
}

fn key_digest(key: &Path) -> String {
    let key = KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    BASE64_STANDARD.encode(Sha256::digest(key.subject_public_key_info()))
}
