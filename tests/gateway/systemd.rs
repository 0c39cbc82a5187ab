//! What a service manager hears of the gateway: that it is ready, reloads, works and stops; and its silence when it hangs.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::unistd::Pid;
use parking_lot::Mutex;

use crate::harness::{House, eventually};

/// Within this time a gateway that is watched says that it works.
const WATCHDOG: Duration = Duration::from_millis(1500);

/// A service manager, as far as it listens.
struct Listener {
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Listener {
    /// Starts the gateway of this house as a service manager does that watches over it.
    async fn start(house: &House, watched: Option<u32>) -> Self {
        let place = house.gateway.home().join("notify");
        let socket = UnixDatagram::bind(&place).unwrap();
        let heard: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let noted = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut words = [0; 1024];
            while let Ok(length) = socket.recv(&mut words) {
                let words = String::from_utf8(words[..length].to_vec()).unwrap();
                noted.lock().push((Instant::now(), words));
            }
        });
        let mut command = house.gateway.command(&["serve"]);
        command.env("NOTIFY_SOCKET", place);
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        if let Some(pid) = watched {
            command.env("WATCHDOG_PID", pid.to_string());
        }
        house.gateway.start_by(command).await;
        Self { heard }
    }

    fn all(&self) -> Vec<String> {
        self.heard.lock().iter().map(|(_, words)| words.clone()).collect()
    }

    /// All but the pings.
    fn news(&self) -> Vec<String> {
        let mut all = self.all();
        all.retain(|words| words != "WATCHDOG=1");
        all
    }

    /// Waits for so much news, and answers the last.
    async fn news_number(&self, number: usize) -> String {
        eventually("news", async || self.news().get(number - 1).cloned()).await
    }

    fn pings(&self) -> usize {
        self.all().len() - self.news().len()
    }

    /// How long ago the last ping was.
    fn silent_for(&self) -> Duration {
        let heard = self.heard.lock();
        let last = heard.iter().rev().find(|(_, words)| words == "WATCHDOG=1");
        last.map_or(Duration::MAX, |(at, _)| at.elapsed())
    }
}

/// The threads of the gateway's database, which hang until this is dropped.
struct Hanging {
    go_on: Option<mpsc::Sender<()>>,
    holding: Option<JoinHandle<()>>,
}

impl Hanging {
    fn database_of(pid: u32) -> Self {
        let (go_on, over) = mpsc::channel::<()>();
        // Whoever seizes a thread holds it to its own end.
        let holding = std::thread::spawn(move || {
            let mut held = Vec::new();
            while over.recv_timeout(Duration::from_millis(20)) == Err(mpsc::RecvTimeoutError::Timeout) {
                for entry in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
                    let task = entry.unwrap();
                    let number: i32 = task.file_name().to_str().unwrap().parse().unwrap();
                    let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
                    if name.starts_with("sqlx-sqlite") && !held.contains(&number) {
                        ptrace::seize(Pid::from_raw(number), ptrace::Options::empty()).unwrap();
                        ptrace::interrupt(Pid::from_raw(number)).unwrap();
                        held.push(number);
                    }
                }
            }
        });
        Self {
            go_on: Some(go_on),
            holding: Some(holding),
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.go_on.take();
        if let Some(holding) = self.holding.take() {
            let _ = holding.join();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_of_the_start_of_reloads_and_of_the_stop() {
    let house = House::closed("").await;
    let manager = Listener::start(&house, None).await;
    let ready = manager.news_number(1).await;
    let main = format!("MAINPID={}", house.gateway.pid());
    let lines: Vec<_> = ready.lines().collect();
    assert_eq!(lines[..2], ["READY=1", &main], "{ready}");
    assert!(lines[2].starts_with("STATUS=serving on 127.0.0.1:"), "{ready}");

    let steps = [
        ("[branding]\nname = \"Another\"", "was taken up"),
        ("[branding]\naccent = \"no colour\"", "was refused"),
    ];
    for (number, (change, outcome)) in (1..).zip(steps) {
        house.gateway.configure(change);
        house.gateway.cli(&["reload"]).await;
        let began = manager.news_number(2 * number).await;
        let since = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.is_some_and(|since| since.parse::<u64>().is_ok()), "{began}");
        let ended = manager.news_number(2 * number + 1).await;
        assert!(
            ended.starts_with("READY=1\nSTATUS=") && ended.contains(outcome),
            "{ended}"
        );
    }
    assert!(house.gateway.stop().await.success());
    let last = manager.news().pop().unwrap();
    assert!(last.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=21000000\n"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_hears_of_a_gateway_that_works_and_nothing_of_one_that_hangs() {
    let house = House::closed("").await;
    let manager = Listener::start(&house, None).await;
    eventually("some pings", async || (manager.pings() >= 4).then_some(())).await;
    assert!(manager.silent_for() < WATCHDOG);

    let hanging = Hanging::database_of(house.gateway.pid());
    eventually("the silence that has it restarted", async || {
        (manager.silent_for() > WATCHDOG).then_some(())
    })
    .await;
    assert!(house.gateway.printed().contains("the database does not answer"));
    drop(hanging);
    let before = manager.pings();
    eventually("pings again", async || (manager.pings() > before).then_some(())).await;
    assert!(house.gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_that_watches_another_process_hears_nothing() {
    let house = House::closed("").await;
    let manager = Listener::start(&house, Some(1)).await;
    assert!(manager.news_number(1).await.starts_with("READY=1"));
    assert!(house.gateway.stop().await.success());
    assert_eq!(manager.pings(), 0);
}
