//! Rounds in which every proxy has one turn, so that what the machine does to one it does to all.

use anyhow::{Context, ensure};
use serde::Serialize;

use super::child::{Cores, Place, Server};
use super::gateway::{Home, under};
use super::load::{self, Generator, Turn, Visitor};
use super::options::Options;
use super::stats::Spread;

/// The figures of all rounds at one number of connections.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// Connections that sent requests.
    pub connections: u32,
    /// Who made the load.
    pub generator: Generator,
    /// The gateway with a signed-in session.
    pub gateway: Figures,
    /// The bare proxy.
    pub bare: Figures,
    /// The second process of the bare proxy: the control.
    pub control: Figures,
    /// The gateway against the mean of its two neighbours in each round.
    pub ratio: Ratio,
    /// The second bare proxy against the first: what a ratio of equals looks like here.
    pub control_ratio: Ratio,
}

/// What one proxy did.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Requests a second.
    pub rate: Spread,
    /// Processor time of the proxy for one request, in microseconds.
    pub cpu: Spread,
    /// Median time of an answer, in microseconds.
    pub p50: Spread,
    /// The 99th percentile, in microseconds.
    pub p99: Spread,
    /// Resident memory after the last round, in bytes.
    pub memory: u64,
}

/// One proxy against another, by rounds.
#[derive(Debug, Serialize)]
pub struct Ratio {
    /// Requests a second: more is better.
    pub rate: Spread,
    /// Processor time for a request: less is better.
    pub cpu: Spread,
    /// Median time of an answer: less is better.
    pub p50: Spread,
    /// The 99th percentile: less is better.
    pub p99: Spread,
}

/// The proxies, and a visitor signed in at the gateway.
struct Scene {
    // Stopped in this order: proxies before what stands behind them.
    proxies: [Server; 3],
    _upstream: Server,
    _home: Home,
    visitor: Visitor,
}

const BARE: usize = 0;
const GATEWAY: usize = 1;
const CONTROL: usize = 2;

/// Figures of one turn.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rate: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
}

/// Runs every round.
pub fn run(options: &Options, cores: &Cores, connections: u32) -> anyhow::Result<Rounds> {
    let runtime = tokio::runtime::Runtime::new()?;
    let scene = runtime.block_on(Scene::set(options, cores))?;
    let generator = Generator::choose(options.no_wrk);
    let turn = |which: usize, seconds: u32| -> anyhow::Result<Figure> {
        let proxy = scene.proxies.get(which).context("a proxy")?;
        let before = proxy.cpu()?;
        let turn = generator.run(cores, proxy.address, &scene.visitor, connections, seconds)?;
        Ok(Figure::of(&turn, proxy.cpu()?.saturating_sub(before).as_secs_f64()))
    };
    for which in [BARE, GATEWAY, CONTROL] {
        turn(which, options.seconds())?;
    }
    let mut rounds: Vec<[Figure; 3]> = Vec::new();
    for round in 0..options.rounds() {
        // The gateway always stands between its neighbours, so that a steady drift of the machine cancels out.
        let forward = round % 2 == 0;
        let (first, last) = if forward { (BARE, CONTROL) } else { (CONTROL, BARE) };
        let (first, gateway, last) = (
            turn(first, options.seconds())?,
            turn(GATEWAY, options.seconds())?,
            turn(last, options.seconds())?,
        );
        rounds.push(if forward {
            [first, gateway, last]
        } else {
            [last, gateway, first]
        });
    }
    // A session that had ended on the way would have been answered by the gateway itself.
    runtime.block_on(scene.check())?;
    scene.figures(connections, generator, &rounds)
}

impl Scene {
    async fn set(options: &Options, cores: &Cores) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let logs = std::env::temp_dir();
        let mut command = cores.command(&this, Place::Load);
        command.args(["upstream", &options.bytes.to_string()]);
        let log = logs.join(format!("sekisho-bench-upstream-{}.log", std::process::id()));
        let upstream = Server::start("the upstream", command, log)?;
        let home = Home::make(upstream.address).await?;
        let bare = |name: &'static str| {
            let mut command = under(cores, &[], &this);
            command
                .arg("bare")
                .args([&home.certificates.certificate, &home.certificates.key])
                .arg(upstream.address.to_string());
            Server::start(name, command, home.path().join(name))
        };
        let proxies = [
            bare("the bare proxy")?,
            home.start(cores, &[])?,
            bare("the second bare proxy")?,
        ];
        home.add_account("101")?;
        let [_, gateway, _] = &proxies;
        let visitor = home
            .sign_in(gateway.address, "101")
            .await
            .with_context(|| gateway.last_words())?;
        let scene = Self {
            proxies,
            _upstream: upstream,
            _home: home,
            visitor,
        };
        scene.check().await?;
        Ok(scene)
    }

    /// The gateway tells the upstream who is asking and keeps the session to itself; the bare proxies pass it on.
    async fn check(&self) -> anyhow::Result<()> {
        let [bare, gateway, control] = &self.proxies;
        let seen = load::look(gateway.address, &self.visitor).await?;
        ensure!(
            seen.contains("x-sekisho-assertion") && !seen.contains("cookie"),
            "the gateway sent no assertion: {seen:?}"
        );
        for bare in [bare, control] {
            let seen = load::look(bare.address, &self.visitor).await?;
            ensure!(
                seen.contains("cookie"),
                "the bare proxy did not pass the request on: {seen:?}"
            );
        }
        Ok(())
    }

    fn figures(&self, connections: u32, generator: Generator, rounds: &[[Figure; 3]]) -> anyhow::Result<Rounds> {
        let figures = |which: usize| -> anyhow::Result<Figures> {
            let of =
                |value: fn(&Figure) -> f64| Spread::of(rounds.iter().filter_map(|round| round.get(which)).map(value));
            Ok(Figures {
                rate: of(|figure| figure.rate),
                cpu: of(|figure| figure.cpu),
                p50: of(|figure| figure.p50),
                p99: of(|figure| figure.p99),
                memory: self.proxies.get(which).context("a proxy")?.memory()?,
            })
        };
        Ok(Rounds {
            connections,
            generator,
            gateway: figures(GATEWAY)?,
            bare: figures(BARE)?,
            control: figures(CONTROL)?,
            ratio: Ratio::of(rounds, |[bare, gateway, control]| (*gateway, bare.mean(*control))),
            control_ratio: Ratio::of(rounds, |[bare, _, control]| (*control, *bare)),
        })
    }
}

impl Figure {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    fn of(turn: &Turn, cpu_seconds: f64) -> Self {
        Self {
            rate: turn.rate(),
            cpu: cpu_seconds * 1e6 / turn.requests.max(1) as f64,
            p50: turn.p50,
            p99: turn.p99,
        }
    }

    fn mean(self, other: Self) -> Self {
        Self {
            rate: f64::midpoint(self.rate, other.rate),
            cpu: f64::midpoint(self.cpu, other.cpu),
            p50: f64::midpoint(self.p50, other.p50),
            p99: f64::midpoint(self.p99, other.p99),
        }
    }
}

impl Ratio {
    fn of(rounds: &[[Figure; 3]], pair: fn(&[Figure; 3]) -> (Figure, Figure)) -> Self {
        let of = |value: fn(&Figure) -> f64| {
            Spread::of(rounds.iter().map(pair).map(|(one, other)| value(&one) / value(&other)))
        };
        Self {
            rate: of(|figure| figure.rate),
            cpu: of(|figure| figure.cpu),
            p50: of(|figure| figure.p50),
            p99: of(|figure| figure.p99),
        }
    }
}
