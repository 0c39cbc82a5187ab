//! The gateway as an operator sets it up, and somebody signed in at it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN, SET_COOKIE};
use http::{Method, Response};
use sekisho::crypto::devca::DevCertificates;
use sekisho::demo::mailcatcher::{Inbox, MailCatcher};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::child::{Cores, Place, Server};
use super::load::{Dialler, Line, Protocol, Visitor};

/// Host of the in-office door.
pub const DOOR: &str = "in.test";
/// Where a proxy comes from that asks the gateway about requests: nobody else is believed.
pub const PROXY: &str = "127.0.0.2";
/// Host of the other.
const OTHER_DOOR: &str = "out.test";
/// Who is signed in.
const PERSON: &str = "101";
/// The most a letter may take.
const LETTER: Duration = Duration::from_mins(1);

/// Directory, certificates, config and mail server of one gateway.
pub struct Home {
    directory: TempDir,
    /// The certificate, which the other proxies show as well.
    pub certificates: DevCertificates,
    /// Where requests go.
    pub upstream: SocketAddr,
    inbox: Inbox,
    _mail: DropGuard,
}

impl Home {
    /// Makes everything but the processes; `more` is added to the configuration. Needs a running tokio runtime for the
    /// mail server.
    pub async fn make(upstream: SocketAddr, more: &str) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("sekisho-bench-").tempdir()?;
        let names = [DOOR, OTHER_DOOR];
        let certificates =
            DevCertificates::ensure(&directory.path().join("certs"), &names, sekisho::app::world().now())?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let catcher = MailCatcher::bind(any, any).await?;
        let (inbox, smtp) = (catcher.inbox(), catcher.smtp_addr());
        let stop = CancellationToken::new();
        tokio::spawn(catcher.run(stop.clone()));
        let home = Self {
            directory,
            certificates,
            upstream,
            inbox,
            _mail: stop.drop_guard(),
        };
        fs::write(home.config(), home.settings(smtp) + more)?;
        Ok(home)
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the gateway. `runner` is a program it runs under, such as valgrind, with its options.
    pub fn start(&self, cores: &Cores, runner: &[String]) -> anyhow::Result<Server> {
        let mut command = under(cores, runner, env!("CARGO_BIN_EXE_sekisho"));
        command.arg("serve").arg("--config").arg(self.config());
        Server::start("the gateway", command, self.path().join("gateway.log"))
    }

    /// Adds an account by the command line, before the first start or while the gateway runs.
    pub fn add_account(&self) -> anyhow::Result<()> {
        let email = format!("{PERSON}@{DOOR}");
        let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["account", "add", PERSON, "--name", "Sam Taylor", "--email", &email])
            .args(["--group", "sales", "--language", "en", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            output.status.success(),
            "could not add an account: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Somebody without a session.
    pub fn stranger(&self) -> Visitor {
        Visitor {
            host: DOOR.to_owned(),
            cookie: String::new(),
            authority: self.certificates.authority.clone(),
        }
    }

    /// Follows the link of the Welcome letter, sets a password and signs in.
    pub async fn sign_in(&self, at: SocketAddr) -> anyhow::Result<Visitor> {
        let email = format!("{PERSON}@{DOOR}");
        let letter = self.inbox.wait_for(LETTER, |letter| letter.to.contains(&email)).await;
        let links = letter.context("no Welcome letter came")?.links();
        let ticket = links.iter().find_map(|link| link.split_once("ticket="));
        let (_, ticket) = ticket.context("the Welcome letter has no link")?;
        let password = "correct horse of a benchmark 71";
        let set = json!({ "ticket": ticket, "password": password, "confirmation": password });
        let stranger = self.stranger();
        let mut line = Dialler::new(at, &stranger, Protocol::Http1)?.open().await?;
        let answer = post(&mut line, "/set-password", &set).await?;
        ensure!(answer.status() == 200, "setting a password: {}", answer.status());
        let answer = post(&mut line, "/login", &json!({ "login": PERSON, "password": password })).await?;
        ensure!(answer.status() == 200, "signing in: {}", answer.status());
        let cookie = answer
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok()?.split(';').next())
            .find(|pair| pair.starts_with("__Host-sekisho="));
        Ok(Visitor {
            cookie: cookie.context("signing in gave no session")?.to_owned(),
            ..stranger
        })
    }

    fn config(&self) -> PathBuf {
        self.path().join("sekisho.toml")
    }

    fn settings(&self, smtp: SocketAddr) -> String {
        let upstream = self.upstream;
        let home = self.path().display();
        let (certificate, key) = (self.certificates.certificate.display(), self.certificates.key.display());
        let port = smtp.port();
        format!(
            r#"
            [doors]
            in_office = "https://{DOOR}"
            out_of_office = "https://{OTHER_DOOR}"
            [server]
            listen = ["127.0.0.1:0"]
            tls_certificate = "{certificate}"
            tls_key = "{key}"
            drain_timeout = "2s"
            max_connections = 50000
            max_connections_per_client = 50000
            trusted_proxies = ["{PROXY}/32"]
            [forward_auth]
            proxies = ["{PROXY}/32"]
            [upstream]
            url = "http://{upstream}"
            [mail]
            from = "no-reply@{DOOR}"
            smtp_host = "127.0.0.1"
            smtp_port = {port}
            security = "danger_plain"
            [store]
            directory = "{home}/store"
            [secrets]
            directory = "{home}/secrets"
            [metrics]
            listen = "127.0.0.1:0"
            [log]
            level = "warn"
            "#
        )
    }
}

/// A command tied to the core of the proxies, under another program where one is given.
pub fn under(cores: &Cores, runner: &[String], program: impl AsRef<Path>) -> Command {
    match runner.split_first() {
        None => cores.command(program, Place::Proxies),
        Some((first, options)) => {
            let mut command = cores.command(first, Place::Proxies);
            command.args(options).arg(program.as_ref());
            command
        }
    }
}

/// A form of ours, as a page sends it.
pub async fn post(line: &mut Line, path: &str, body: &serde_json::Value) -> anyhow::Result<Response<Bytes>> {
    let origin = HeaderValue::from_str(&format!("https://{DOOR}"))?;
    let fields = [
        (ORIGIN, origin),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    line.send(Method::POST, path, &fields, Bytes::from(body.to_string()))
        .await
}
