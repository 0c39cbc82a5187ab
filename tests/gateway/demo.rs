//! The demo as somebody meets it who has just built it: what it prints can be typed, and reaches the gateway that runs.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{OTHER_PASSWORD, Visitor, eventually};

/// A demo that runs, in a directory that had nothing in it.
struct Demo {
    home: TempDir,
    process: Child,
    port: u16,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Demo {
    async fn start() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        // Between the look for free ports and their use somebody else may take one.
        for _ in 0..5 {
            let mut demo = Self::on(free_ports());
            let ready = eventually("the demo to be ready or to have ended", async || {
                let ready = demo.text().contains("Ctrl-C");
                (ready || demo.process.try_wait().unwrap().is_some()).then_some(ready)
            })
            .await;
            if ready {
                return demo;
            }
        }
        panic!("the demo does not start");
    }

    fn on([gateway, client, smtp, inbox]: [u16; 4]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.arg("demo").current_dir(home.path()).env_remove("RUST_LOG");
        for (option, port) in [
            ("--port", gateway),
            ("--client-port", client),
            ("--smtp-port", smtp),
            ("--inbox-port", inbox),
        ] {
            command.arg(option).arg(port.to_string());
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, printed) = (process.stdout.take().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
        let kept = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                kept.lock().extend_from_slice(&piece[..count]);
            }
        });
        Self {
            home,
            process,
            port: gateway,
            printed,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock()).into_owned()
    }

    /// The command that it prints with these words at the end.
    fn command(&self, words: &str) -> String {
        let text = self.text();
        let line = text.lines().find(|line| line.ends_with(words));
        line.unwrap_or_else(|| panic!("{words}: {text}")).trim().to_owned()
    }

    /// Types a command where the demo was started.
    async fn shell(&self, line: String) -> Output {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).current_dir(self.home.path());
        tokio::task::spawn_blocking(move || shell.output().unwrap())
            .await
            .unwrap()
    }

    /// The same, of a command that must succeed.
    #[track_caller]
    fn types(&self, line: String) -> impl Future<Output = String> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let done = self.shell(line).await;
            assert!(done.status.success(), "{caller}: {done:?}");
            String::from_utf8(done.stdout).unwrap()
        }
    }

    /// Whether the signal does something else than end it.
    fn catches(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        (caught >> (signal as i32 - 1)) & 1 == 1
    }

    fn visitor(&self) -> Visitor {
        let at = SocketAddr::from(([127, 0, 0, 1], self.port));
        let roots = roots(&self.home.path().join("certs/ca.pem"));
        Visitor::of(Arc::new(Mutex::new(at)), &format!("localhost:{}", self.port), roots)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_ports() -> [u16; 4] {
    let held = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn roots(authority: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    Arc::new(roots)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_that_the_demo_prints_reach_its_gateway_and_the_limits_can_be_tried() {
    let mut demo = Demo::start().await;
    let watch = demo.command("limits watch");
    let program = watch.strip_suffix(" limits watch").unwrap().to_owned();
    let typed = |words: &str| format!("{program} {words}");
    let look = async || -> Value { serde_json::from_str(&demo.types(format!("{watch} --once --json")).await).unwrap() };
    assert_eq!(look().await["running"], true);

    // Wrong passwords, until the page says in words when to try again; and the terminal, which rule stopped them.
    let visitor = demo.visitor();
    for _ in 0..5 {
        let guess = json!({"login": "102", "password": OTHER_PASSWORD});
        assert_eq!(visitor.post_json("/login", &guess).await.status, 401);
    }
    // On a slow machine the demo's short limit has room again by now.
    let stopped = eventually("the limit to be met", async || {
        let answer = visitor.sign_in("102", OTHER_PASSWORD).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert!(stopped.text().contains("Try again in"), "{stopped:?}");
    eventually("the rule to be shown", async || {
        let seen = look().await["last_minute"].clone();
        let failed = seen["failed"].as_u64().is_some_and(|failed| failed > 0);
        (seen["rules"] == json!([["sign-in.client+account", 1]]) && failed).then_some(())
    })
    .await;

    // The lab: another policy on trial, in force, and back.
    let data = demo.home.path().join("demo-data");
    demo.types(typed("limits example strict > demo-data/limits.candidate.toml"))
        .await;
    let read = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    let (first, strict) = (read("limits.toml"), read("limits.candidate.toml"));
    let promoted = demo.types(typed("limits promote")).await;
    assert!(promoted.contains("in force"), "{promoted}");
    assert_eq!(read("limits.toml"), strict);
    demo.types(typed("limits revert")).await;
    assert_eq!(read("limits.toml"), first);
    let applied = demo.types(typed("limits apply strict --for 2h")).await;
    assert!(applied.contains("strict"), "{applied}");
    demo.types(typed("limits ban 203.0.113.0/24 --for 2h")).await;
    demo.types(typed("reload")).await;
    let events: Vec<Value> = serde_json::from_str(&demo.types(typed("event list --json")).await).unwrap();
    for name in ["limits.promoted", "limits.reverted", "limits.taken-up"] {
        assert!(events.iter().any(|event| event["name"] == name), "{name}: {events:#?}");
    }

    // It ends with its terminal and its helpers end with it, so no other process may take its place.
    let upgrade = demo.shell(typed("upgrade")).await;
    assert_eq!(upgrade.status.code(), Some(1));
    let why = String::from_utf8(upgrade.stderr).unwrap();
    assert!(why.contains("this is the demo"), "{why}");
    demo.types(demo.command("account disable 101")).await;
    assert!(!demo.catches(Signal::SIGHUP) && demo.catches(Signal::SIGTERM));
    kill(Pid::from_raw(demo.process.id().cast_signed()), Signal::SIGTERM).unwrap();
    let ended = eventually("the demo to end", async || demo.process.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended:?}");
}
