//! The gateway as its operator runs it: the real binary, a config file and a data directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use rustls::RootCertStore;
use tempfile::TempDir;

use super::{IN, OUT, WIKI_IN, WIKI_OUT, eventually};

/// One gateway: a home directory, and a server process while it runs.
pub struct Gateway {
    home: TempDir,
    roots: Arc<RootCertStore>,
    server: Mutex<Option<Server>>,
    address: Address,
    printed: Arc<Mutex<Vec<u8>>>,
}

/// Where the server listens now; it changes with each start.
pub type Address = Arc<Mutex<SocketAddr>>;

struct Server {
    process: Child,
    /// The processes that have taken its place, the newest last.
    successors: Vec<u32>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Ran {
    /// It went well.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// It failed as a command should: exit code 1 and one line on standard error.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.err.trim_end().lines().count(), 1, "one clear line: {self:#?}");
        self.err
    }
}

impl Gateway {
    /// Writes certificates and config; starts nothing.
    pub fn prepare(upstream: SocketAddr, smtp: SocketAddr, overrides: &str) -> Self {
        let home = tempfile::Builder::new().prefix("sekisho-").tempdir().unwrap();
        let roots = Arc::new(certificates(home.path()));
        fs::write(
            home.path().join("sekisho.toml"),
            basic_config(home.path(), upstream, smtp).to_string(),
        )
        .unwrap();
        fs::write(home.path().join("limits.toml"), basic_policy().to_string()).unwrap();
        let gateway = Self {
            home,
            roots,
            server: Mutex::new(None),
            address: Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], 0)))),
            printed: Arc::default(),
        };
        gateway.configure(overrides);
        gateway
    }

    /// The directory of everything this gateway has.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        self.home().join("sekisho.toml")
    }

    /// The policy file of the limits.
    pub fn policy(&self) -> PathBuf {
        self.home().join("limits.toml")
    }

    /// Lays more TOML over the config file, and what belongs there, such as rules, over the policy file of the limits; the
    /// next start sees it.
    pub fn configure(&self, overrides: &str) {
        let overrides: toml::Table = overrides.parse().unwrap();
        let (policy, config) = overrides
            .into_iter()
            .partition(|(key, _)| OF_THE_POLICY.contains(&key.as_str()));
        lay_over_file(&self.config(), config);
        lay_over_file(&self.policy(), policy);
    }

    /// Where the server listens, kept up to date.
    pub fn address(&self) -> Address {
        Arc::clone(&self.address)
    }

    /// Who vouches for its certificate.
    pub fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&self) {
        self.start_by(self.command(&["serve"])).await;
    }

    /// The same, by a command that becomes the server.
    pub async fn start_by(&self, mut command: Command) {
        assert!(self.server.lock().is_none(), "it runs already");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        collect_lines(process.stdout.take().unwrap(), &self.printed, Arc::clone(&lines));
        collect_lines(process.stderr.take().unwrap(), &self.printed, Arc::default());
        *self.server.lock() = Some(Server {
            process,
            successors: Vec::new(),
            lines: Arc::clone(&lines),
        });
        eventually("the server to be ready", async || {
            let said = lines.lock().clone();
            if said.iter().any(|line| line == "ready") {
                return Some(());
            }
            if let Some(ended) = self.ended() {
                panic!("the server ended at its start with {ended}: {}", self.printed());
            }
            None
        })
        .await;
        let said = self.said();
        let mut places = said.iter().filter_map(|line| line.strip_prefix("listening on "));
        if let Some(address) = places.find_map(|place| place.parse().ok()) {
            *self.address.lock() = address;
        }
    }

    /// Where the running server is asked for metrics and health.
    pub fn metrics(&self) -> SocketAddr {
        let said = self.said();
        let address = said.iter().find_map(|line| line.strip_prefix("metrics on "));
        address.expect("it says where metrics are").parse().unwrap()
    }

    /// What the running server wrote to standard output, line by line.
    pub fn said(&self) -> Vec<String> {
        let server = self.server.lock();
        server
            .as_ref()
            .map_or_else(Vec::new, |server| server.lines.lock().clone())
    }

    /// An orderly stop.
    pub async fn stop(&self) -> ExitStatus {
        self.signal("TERM");
        let status = eventually("the server to stop", async || self.ended()).await;
        self.server.lock().take();
        status
    }

    /// As a power cut would: nothing is finished, nothing is flushed.
    pub fn kill(&self) {
        if let Some(mut server) = self.server.lock().take() {
            server.kill();
        }
    }

    /// Has the program that lies where the server was started from take its place.
    pub async fn upgrade(&self) -> Ran {
        let ran = self.cli(&["upgrade"]).await;
        let process = ran.out.strip_prefix("Process ").and_then(|rest| rest.split(' ').next());
        if let Some(process) = process {
            let mut server = self.server.lock();
            server.as_mut().unwrap().successors.push(process.parse().unwrap());
        }
        ran
    }

    /// Whether a process that once was the server still runs.
    pub fn is_running(&self, process: u32) -> bool {
        // The first is this one's child, and has to be looked after.
        let _ = self.ended();
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Sends the running server a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// An orderly stop and a new start on the same data.
    pub async fn restart(&self) {
        assert!(self.stop().await.success());
        self.start().await;
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        let server = self.server.lock();
        let server = server.as_ref().expect("it runs");
        server.successors.last().copied().unwrap_or(server.process.id())
    }

    /// How many open files and threads the server has.
    pub fn holds(&self) -> (usize, usize) {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", self.pid())).unwrap().count();
        (count("fd"), count("task"))
    }

    /// How the server ended; `None` while it runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.server
            .lock()
            .as_mut()
            .expect("it was started")
            .process
            .try_wait()
            .unwrap()
    }

    /// Runs another command of the same binary on the same config.
    pub async fn cli(&self, args: &[&str]) -> Ran {
        self.run(self.command(args)).await
    }

    /// Runs another command that must succeed and answer in JSON.
    pub async fn cli_json<T: serde::de::DeserializeOwned>(&self, args: &[&str]) -> T {
        let out = self.cli(args).await.succeeded();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// Runs a command prepared with [`Gateway::command`].
    pub async fn run(&self, command: Command) -> Ran {
        self.hand(command, Vec::new()).await
    }

    /// The same, with this on its standard input.
    pub async fn hand(&self, mut command: Command, input: Vec<u8>) -> Ran {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || {
            let mut process = command.spawn().unwrap();
            let mut pipe = process.stdin.take().unwrap();
            let writing = std::thread::spawn(move || pipe.write_all(&input));
            let output = process.wait_with_output().unwrap();
            // A command that is not interested need not read it.
            let _ = writing.join().unwrap();
            output
        })
        .await
        .unwrap();
        let mut printed = self.printed.lock();
        printed.extend_from_slice(&output.stdout);
        printed.extend_from_slice(&output.stderr);
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A command of the same binary on the same config, in a bare environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command
            .args(args)
            .arg("--config")
            .arg(self.config())
            .current_dir(self.home())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Everything that any process of this gateway ever printed.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock()).into_owned()
    }

    /// Every file of the store, as bytes.
    pub fn stored(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.home().join("store")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
        found
    }

    fn last_words(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.lock().take() {
            server.kill();
        }
        if std::thread::panicking() {
            eprintln!("---- the gateway's last words:\n{}\n----", self.last_words());
        }
    }
}

impl Server {
    fn kill(&mut self) {
        for process in &self.successors {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Collects what a process writes, so that its pipe never fills and every word can be searched.
fn collect_lines(from: impl Read + Send + 'static, printed: &Arc<Mutex<Vec<u8>>>, lines: Arc<Mutex<Vec<String>>>) {
    let printed = Arc::clone(printed);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            printed.lock().extend_from_slice(&line);
            lines.lock().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}

/// A certificate authority of this test alone, and the doors' certificate by it.
fn certificates(home: &Path) -> RootCertStore {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another name than its certificates have: OpenSSL would take them for signed by themselves.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of a test");
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([IN, OUT, WIKI_IN, WIKI_OUT].map(str::to_owned))
        .unwrap()
        .signed_by(&key, &Issuer::from_params(&params, &authority_key))
        .unwrap();
    fs::write(home.join("ca.pem"), authority.pem()).unwrap();
    fs::write(home.join("tls.pem"), leaf.pem()).unwrap();
    let key_file = home.join("tls.key");
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    roots
}

/// Small hashes, since what is tested is not how slow they are; wide limits, since every visitor comes from one
/// address. The stories about limits set their own.
fn basic_config(home: &Path, upstream: SocketAddr, smtp: SocketAddr) -> toml::Table {
    let home = home.display();
    let smtp_port = smtp.port();
    format!(
        r#"
        [doors]
        in_office = "https://{IN}"
        out_of_office = "https://{OUT}"
        [server]
        listen = ["127.0.0.1:0"]
        tls_certificate = "{home}/tls.pem"
        tls_key = "{home}/tls.key"
        drain_timeout = "1s"
        [upstream]
        url = "http://{upstream}"
        [mail]
        from = "no-reply@phone.example"
        smtp_host = "127.0.0.1"
        smtp_port = {smtp_port}
        security = "danger_plain"
        timeout = "2s"
        rate = "1000 per 1s"
        [store]
        directory = "{home}/store"
        [secrets]
        directory = "{home}/secrets"
        [passwords.hashing]
        memory = "8 MiB"
        passes = 1
        queue = 64
        [limits]
        policy = "limits.toml"
        equal_resets = "100000 per 1h"
        mail_per_account = "100000 per 1h"
        mail_per_client = "100000 per 1h"
        mail_per_day = "1000000 per 1h"
        [metrics]
        listen = "127.0.0.1:0"
        [log]
        format = "json"
        "#
    )
    .parse()
    .unwrap()
}

/// The keys of the policy file.
const OF_THE_POLICY: [&str; 3] = ["preset", "exempt", "rule"];

/// Every rule of the presets, so wide that nobody meets it.
fn basic_policy() -> toml::Table {
    let rules = [
        "sign-in.client",
        "sign-in.account",
        "sign-in.client+account",
        "sign-in.device",
        "sign-in.session",
        "sign-in.subnet",
        "sign-in.password",
        "sign-in.global",
        "reset.client",
        "reset.email",
        "reset.device",
        "ticket.client",
        "token.client",
        "pages.client",
    ];
    let wide = rules.map(|rule| (rule, "1000000 per 15m"));
    format!("preset = \"standard\"\n{}", super::quotas(&wide))
        .parse()
        .unwrap()
}

fn lay_over_file(file: &Path, more: toml::Table) {
    if more.is_empty() {
        return;
    }
    let mut table: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    lay_over(&mut table, more);
    fs::write(file, table.to_string()).unwrap();
}

/// Puts `more` over `config`, table by table, and rule by rule.
fn lay_over(config: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (config.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => lay_over(old, new),
            (Some(toml::Value::Array(old)), toml::Value::Array(new)) if key == "rule" => {
                for rule in new {
                    let same = |old: &&mut toml::Value| old.get("name") == rule.get("name");
                    match (old.iter_mut().find(same), rule) {
                        (Some(toml::Value::Table(old)), toml::Value::Table(new)) => lay_over(old, new),
                        (_, rule) => old.push(rule),
                    }
                }
            }
            (_, value) => {
                config.insert(key, value);
            }
        }
    }
}

/// How long the gateway may take to notice what a command changed in its store.
pub const NOTICED: Duration = Duration::from_secs(1);
