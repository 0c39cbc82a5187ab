//! Rounds in which every proxy has one turn, so that what the machine does to one it does to all.

use anyhow::Context;
use serde::Serialize;

use super::cases::Case;
use super::child::Cores;
use super::load::{Generator, Turn, Visitor};
use super::options::Options;
use super::peers::{Peer, Role};
use super::stats::Spread;

/// The figures of all rounds of one kind of traffic.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// What was asked for.
    pub case: Case,
    /// Who made the load.
    pub generator: Generator,
    /// Every proxy.
    pub peers: Vec<Row>,
    /// The second bare proxy against the first: what a ratio of equals looks like here.
    pub control: Ratio,
}

/// One proxy.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: &'static str,
    /// Its figures; otherwise why there are none.
    pub figures: Result<Figures, String>,
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
    /// The gateway against it, in each round; against both bare proxies where it is one. `None`: it is the gateway.
    pub gateway: Option<Ratio>,
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

/// Figures of one turn.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rate: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
}

/// Beyond this, two equals differ so much that no ratio means anything.
const MOST_NOISE: f64 = 0.10;

/// One turn of each proxy, which nobody looks at.
pub fn warm_up(options: &Options, cores: &Cores, peers: &[Peer], visitor: &Visitor, case: &Case) -> anyhow::Result<()> {
    let generator = Generator::choose(case, options.built_in);
    for peer in peers {
        turn(peer, |peer| {
            generator.run(cores, peer, visitor, case, options.seconds())
        })?;
    }
    Ok(())
}

/// Runs every round.
pub fn run(options: &Options, cores: &Cores, peers: &[Peer], visitor: &Visitor, case: Case) -> anyhow::Result<Rounds> {
    let generator = Generator::choose(&case, options.built_in);
    // By peers, then by rounds.
    let mut turns: Vec<Vec<Figure>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds() {
        let mut order: Vec<(&Peer, &mut Vec<Figure>)> = peers.iter().zip(&mut turns).collect();
        // Forth and back, so that a steady drift of the machine cancels out.
        if round % 2 == 1 {
            order.reverse();
        }
        for (peer, turns) in order {
            let figure = turn(peer, |at| generator.run(cores, at, visitor, &case, options.seconds()))
                .with_context(|| peer.name)?;
            turns.extend(figure);
        }
    }
    let of = |role: Role| -> anyhow::Result<&Vec<Figure>> {
        let found = peers.iter().zip(&turns).find(|(peer, _)| peer.part == role);
        found.map(|(_, turns)| turns).context("a peer is missing")
    };
    let (gateway, bare, control) = (of(Role::Gateway)?, of(Role::Bare)?, of(Role::Control)?);
    let both: Vec<Figure> = bare.iter().zip(control).map(|(one, other)| one.mean(*other)).collect();
    let row = |(peer, turns): (&Peer, &Vec<Figure>)| -> anyhow::Result<Row> {
        let figures = match &peer.standing {
            Err(why) => Err(why.clone()),
            Ok(running) => {
                let against = match peer.part {
                    Role::Gateway => None,
                    Role::Bare | Role::Control => Some(&both),
                    Role::Other => Some(turns),
                };
                let memory = running.memory()?;
                Ok(Figures::of(
                    turns,
                    memory,
                    against.map(|against| Ratio::of(gateway, against)),
                ))
            }
        };
        Ok(Row {
            name: peer.name,
            figures,
        })
    };
    Ok(Rounds {
        case,
        generator,
        peers: peers.iter().zip(&turns).map(row).collect::<anyhow::Result<_>>()?,
        control: Ratio::of(control, bare),
    })
}

/// `None` where the peer does not run.
fn turn(
    peer: &Peer,
    load: impl FnOnce(std::net::SocketAddr) -> anyhow::Result<Turn>,
) -> anyhow::Result<Option<Figure>> {
    let Ok(running) = &peer.standing else {
        return Ok(None);
    };
    let before = running.cpu()?;
    let turn = load(running.address)?;
    let used = running.cpu()?.saturating_sub(before);
    Ok(Some(Figure::of(&turn, used.as_secs_f64())))
}

impl Rounds {
    /// Whether the control says that the ratios mean something.
    pub fn is_quiet(&self) -> bool {
        [self.control.rate.median, self.control.cpu.median]
            .iter()
            .all(|ratio| is_quiet(*ratio))
    }
}

/// Whether two equals are nearly equal.
pub fn is_quiet(ratio: f64) -> bool {
    (ratio - 1.0).abs() <= MOST_NOISE
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

impl Figures {
    fn of(turns: &[Figure], memory: u64, gateway: Option<Ratio>) -> Self {
        let of = |value: fn(&Figure) -> f64| Spread::of(turns.iter().map(value));
        Self {
            rate: of(|figure| figure.rate),
            cpu: of(|figure| figure.cpu),
            p50: of(|figure| figure.p50),
            p99: of(|figure| figure.p99),
            memory,
            gateway,
        }
    }
}

impl Ratio {
    fn of(ones: &[Figure], others: &[Figure]) -> Self {
        let of = |value: fn(&Figure) -> f64| {
            let pairs = ones.iter().zip(others);
            Spread::of(pairs.map(|(one, other)| value(one) / value(other)))
        };
        Self {
            rate: of(|figure| figure.rate),
            cpu: of(|figure| figure.cpu),
            p50: of(|figure| figure.p50),
            p99: of(|figure| figure.p99),
        }
    }
}
