//! Proxied requests of somebody signed in, while strangers try more passwords than can be hashed.
//!
//! Requests come at half the rate that the gateway could answer, whether or not it keeps up. The limits are off, so that
//! every password reaches the hashing threads, which share the one core of the gateway.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;

use super::cases::Part;
use super::child::{Cores, Place};
use super::gateway::post;
use super::load::{Demand, Dialler, Generator, Protocol, Turn, output};
use super::options::{Errand, Options};
use super::rounds::is_quiet;
use super::scene::Scene;
use super::stats::Spread;

/// What strangers did to those who are signed in.
#[derive(Debug, Serialize)]
pub struct Flood {
    /// Proxied requests a second that were due.
    pub offered: u32,
    /// Without strangers, before and after.
    pub quiet: Served,
    /// With them.
    pub flooded: Served,
    /// The 99th percentile with strangers against that without, by rounds.
    pub p99: Spread,
    /// The 99th percentile after the flood against that before it: what a ratio of equals looks like here.
    pub control: Spread,
    /// What became of their passwords, in all rounds.
    pub guesses: Guesses,
    /// Resident memory of the gateway before the first password and after the last, in bytes.
    pub memory: [u64; 2],
}

/// How people were served.
#[derive(Debug, Serialize)]
pub struct Served {
    /// Requests answered in a second.
    pub rate: Spread,
    /// Median time of an answer, in microseconds.
    pub p50: Spread,
    /// The 99th percentile, in microseconds.
    pub p99: Spread,
}

/// What became of passwords.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Guesses {
    /// Hashed, and wrong.
    pub hashed: u64,
    /// Turned away: too many were waiting.
    pub shed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How strangers try passwords.
#[derive(Args, Clone, Copy, Debug)]
pub struct Guessing {
    /// Connections
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// Passwords a second in all
    #[arg(long, default_value_t = 400)]
    pub rate: u32,
}

/// Runs every round: without strangers, with them, without.
pub fn run(options: &Options, cores: &Cores) -> anyhow::Result<Flood> {
    let runtime = tokio::runtime::Runtime::new()?;
    let scene = runtime.block_on(Scene::set(cores, "[limits]\nenabled = false\n"))?;
    let (at, visitor) = (scene.gateway.address, &scene.visitor);
    let small = Part::Small.case().context("a kind of traffic")?;
    let generator = Generator::choose(&small, options.built_in);
    let most = generator.run(cores, at, visitor, &small, options.seconds())?.rate();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands of requests"
    )]
    let offered = (most / 2.0) as u32;
    let demand = Demand {
        connections: 32,
        rate: offered,
        ..Demand::of(&small, options.seconds())
    };
    let turn = || -> anyhow::Result<Turn> {
        let mut command = cores.command(std::env::current_exe()?, Place::Load);
        command.arg("load").arg(at.to_string());
        visitor.arguments(&mut command);
        demand.arguments(&mut command);
        Ok(serde_json::from_str(&output(command)?)?)
    };
    let before = scene.gateway.memory()?;
    let mut rounds = Vec::new();
    let mut guesses = Guesses::default();
    for _ in 0..options.rounds() {
        let quiet = turn()?;
        let strangers = Strangers::let_in(cores, &scene)?;
        let flooded = turn()?;
        guesses.add(strangers.send_away()?);
        rounds.push([quiet, flooded, turn()?]);
    }
    ensure!(guesses.hashed > 0, "no password was hashed");
    Ok(Flood {
        offered,
        quiet: Served::of(rounds.iter().flat_map(|[before, _, after]| [before, after])),
        flooded: Served::of(rounds.iter().map(|[_, flooded, _]| flooded)),
        p99: Spread::of(
            rounds
                .iter()
                .map(|[before, flooded, after]| flooded.p99 / f64::midpoint(before.p99, after.p99)),
        ),
        control: Spread::of(rounds.iter().map(|[before, _, after]| after.p99 / before.p99)),
        guesses,
        memory: [before, scene.gateway.memory()?],
    })
}

impl Flood {
    /// Whether the control says that the ratio means something.
    pub fn is_quiet(&self) -> bool {
        is_quiet(self.control.median)
    }
}

impl Served {
    fn of<'a>(turns: impl Iterator<Item = &'a Turn>) -> Self {
        let turns: Vec<&Turn> = turns.collect();
        let of = |value: fn(&Turn) -> f64| Spread::of(turns.iter().map(|turn| value(turn)));
        Self {
            rate: of(Turn::rate),
            p50: of(|turn| turn.p50),
            p99: of(|turn| turn.p99),
        }
    }
}

impl Guesses {
    fn add(&mut self, other: Self) {
        self.hashed += other.hashed;
        self.shed += other.shed;
        self.seconds += other.seconds;
    }
}

/// Strangers at work, in a process of their own.
struct Strangers {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Strangers {
    /// Returns once the hashing threads turn passwords away.
    fn let_in(cores: &Cores, scene: &Scene) -> anyhow::Result<Self> {
        let mut command: Command = cores.command(std::env::current_exe()?, Place::Load);
        command.arg("flood").arg(scene.gateway.address.to_string());
        scene.home.stranger().arguments(&mut command);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = process.stdout.take().context("standard output is piped")?;
        let mut strangers = Self {
            process,
            said: BufReader::new(said),
        };
        let mut line = String::new();
        strangers.said.read_line(&mut line)?;
        ensure!(
            line.trim() == "saturated",
            "the hashing threads turned nobody away: {line:?}"
        );
        Ok(strangers)
    }

    /// Ends it, and tells what it did.
    fn send_away(mut self) -> anyhow::Result<Guesses> {
        drop(self.process.stdin.take());
        let mut said = String::new();
        self.said.read_to_string(&mut said)?;
        Ok(serde_json::from_str(&said)?)
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The most that strangers need until the hashing threads turn one away.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries passwords until standard input ends; says when the first was turned away, and at the end what became of all.
pub fn guess(to: &Errand, guessing: Guessing) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = tokio::time::Instant::now();
        let dialler = Dialler::new(to.address, &to.visitor, Protocol::Http1)?;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut strangers = JoinSet::new();
        for number in 0..guessing.connections {
            strangers.spawn(stranger(dialler.clone(), guessing, number, tell.clone()));
        }
        let mut guesses = Guesses::default();
        let (end, mut ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            let _ = end.send(());
        });
        loop {
            tokio::select! {
                _ = &mut ended => break,
                Some(failed) = strangers.join_next() => failed??,
                Some(was_shed) = told.recv() => {
                    if !was_shed {
                        guesses.hashed += 1;
                        continue;
                    }
                    guesses.shed += 1;
                    if guesses.shed == 1 {
                        println!("saturated");
                    }
                }
                () = tokio::time::sleep_until(begun + PATIENCE), if guesses.shed == 0 => break,
            }
        }
        guesses.seconds = begun.elapsed().as_secs_f64();
        println!("{}", serde_json::to_string(&guesses)?);
        Ok(())
    })
}

/// One of them, who tells of each password whether it was turned away.
async fn stranger(
    dialler: Dialler,
    guessing: Guessing,
    number: u32,
    tell: tokio::sync::mpsc::UnboundedSender<bool>,
) -> anyhow::Result<()> {
    let mut line = dialler.open().await?;
    let pace = Duration::from_secs(guessing.connections.into()) / guessing.rate;
    let mut due = tokio::time::Instant::now() + Duration::from_secs(number.into()) / guessing.rate;
    for attempt in 0_u64.. {
        tokio::time::sleep_until(due).await;
        due += pace;
        let login = format!(
            "9{:04}",
            (attempt * u64::from(guessing.connections) + u64::from(number)) % 10_000
        );
        let body = json!({ "login": login, "password": "not the password of anybody 17" });
        let answer = post(&mut line, "/login", &body).await?;
        let was_shed = answer.status() == 503;
        ensure!(
            was_shed || answer.status() == 401,
            "a password was answered {}",
            answer.status()
        );
        tell.send(was_shed)?;
    }
    Ok(())
}
