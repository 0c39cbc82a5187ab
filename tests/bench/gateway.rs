//! The gateway as an operator sets it up, and somebody signed in at it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use http::header::{HOST, ORIGIN, SET_COOKIE};
use sekisho::crypto::devca::DevCertificates;
use sekisho::demo::mailcatcher::{Inbox, MailCatcher};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::child::{Cores, Place, Server};
use super::load::{Visitor, client};

/// Host of the in-office door.
const DOOR: &str = "in.test";
/// Host of the other.
const OTHER_DOOR: &str = "out.test";
/// The most a letter may take.
const LETTER: Duration = Duration::from_mins(1);

/// Directory, certificates, config and mail server of one gateway.
pub struct Home {
    directory: TempDir,
    /// The certificate, which the bare proxy shows as well.
    pub certificates: DevCertificates,
    inbox: Inbox,
    _mail: DropGuard,
}

impl Home {
    /// Makes everything but the processes. Needs a running tokio runtime for the mail server.
    pub async fn make(upstream: SocketAddr) -> anyhow::Result<Self> {
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
            inbox,
            _mail: stop.drop_guard(),
        };
        fs::write(home.config(), home.settings(upstream, smtp))?;
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
    pub fn add_account(&self, extension: &str) -> anyhow::Result<()> {
        let email = format!("{extension}@{DOOR}");
        let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["account", "add", extension, "--name", "Sam Taylor", "--email", &email])
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

    /// Follows the link of the Welcome letter, sets a password and signs in.
    pub async fn sign_in(&self, at: SocketAddr, extension: &str) -> anyhow::Result<Visitor> {
        let email = format!("{extension}@{DOOR}");
        let letter = self.inbox.wait_for(LETTER, |letter| letter.to.contains(&email)).await;
        let links = letter.context("no Welcome letter came")?.links();
        let ticket = links.iter().find_map(|link| link.split_once("ticket="));
        let (_, ticket) = ticket.context("the Welcome letter has no link")?;
        let password = "correct horse of a benchmark 71";
        let set = json!({ "ticket": ticket, "password": password, "confirmation": password });
        post(at, "/set-password", &set).await?;
        let answer = post(at, "/login", &json!({ "login": extension, "password": password })).await?;
        let cookie = answer
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok()?.split(';').next())
            .find(|pair| pair.starts_with("__Host-sekisho="));
        Ok(Visitor {
            host: DOOR.to_owned(),
            cookie: cookie.context("signing in gave no session")?.to_owned(),
        })
    }

    fn config(&self) -> PathBuf {
        self.path().join("sekisho.toml")
    }

    fn settings(&self, upstream: SocketAddr, smtp: SocketAddr) -> String {
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

async fn post(at: SocketAddr, path: &str, body: &serde_json::Value) -> anyhow::Result<reqwest::Response> {
    let answer = client()?
        .post(format!("https://{at}{path}"))
        .header(HOST, DOOR)
        .header(ORIGIN, format!("https://{DOOR}"))
        .json(body)
        .send()
        .await?;
    ensure!(answer.status() == 200, "{path} answered {}", answer.status());
    Ok(answer)
}
