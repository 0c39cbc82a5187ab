//! Instructions for one request, counted by valgrind: the same on every run, however busy the machine is.
//!
//! Two runs that differ in nothing but the number of requests; what they differ by belongs to the requests. The
//! shorter run waits until it has lived as long as the longer one, so that background work cancels out as well.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::cases::Part;
use super::child::{Cores, Server, is_installed};
use super::gateway::Home;
use super::load::{self, Demand, Until, Visitor};
use super::peers::start_bare;
use super::scene::start_upstream;

/// Connections while instructions are counted.
const CONNECTIONS: u32 = 8;
/// Requests on each connection, in the short and in the long run.
const REQUESTS: [u64; 2] = [50, 450];

/// Instructions of user space for one request.
#[derive(Debug, Serialize)]
pub struct Instructions {
    /// The gateway with a signed-in session.
    pub gateway: f64,
    /// The bare proxy.
    pub bare: f64,
    /// The gateway against the bare proxy.
    pub ratio: f64,
}

/// Counts for both.
pub fn count(cores: &Cores) -> anyhow::Result<Instructions> {
    if !is_installed("valgrind") {
        bail!("--instructions needs valgrind; on Debian and Ubuntu: apt-get install valgrind");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let (gateway, bare) = runtime.block_on(async {
        let upstream = start_upstream(cores)?;
        let home = Home::make(upstream.address, "").await?;
        home.add_account()?;
        let plain = home.start(cores, &[])?;
        let visitor = home.sign_in(plain.address).await?;
        plain.stop()?;

        let gateway = slope(&home, "gateway", &visitor, |runner| home.start(cores, runner)).await?;
        let bare = slope(&home, "bare", &visitor, |runner| {
            start_bare("the bare proxy", cores, runner, &home)
        })
        .await?;
        anyhow::Ok((gateway, bare))
    })?;
    Ok(Instructions {
        gateway,
        bare,
        ratio: gateway / bare,
    })
}

/// Instructions of one request: the long run first, then the short one, which waits for as long.
async fn slope(
    home: &Home,
    name: &str,
    visitor: &Visitor,
    start: impl Fn(&[String]) -> anyhow::Result<Server>,
) -> anyhow::Result<f64> {
    let [few, many] = REQUESTS;
    let mut life = Duration::ZERO;
    let mut totals = [0.0; 2];
    let demand = Demand {
        connections: CONNECTIONS,
        ..Demand::of(&Part::Small.case().context("a kind of traffic")?, 0)
    };
    for (total, requests) in totals.iter_mut().zip([many, few]) {
        let profile = home.path().join(format!("callgrind.{name}.{requests}"));
        let server = start(&callgrind(&profile))?;
        let begun = Instant::now();
        load::visit(server.address, visitor, &demand, Until::Requests(requests)).await?;
        tokio::time::sleep(life.saturating_sub(begun.elapsed())).await;
        life = begun.elapsed();
        server.stop()?;
        *total = read(&profile)?;
        if let Some(directory) = std::env::var_os("SEKISHO_BENCH_PROFILES") {
            fs::copy(
                &profile,
                Path::new(&directory).join(profile.file_name().unwrap_or_default()),
            )?;
        }
    }
    let [long, short] = totals;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    let requests = ((many - few) * u64::from(CONNECTIONS)) as f64;
    Ok((long - short) / requests)
}

fn callgrind(profile: &Path) -> Vec<String> {
    vec![
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", profile.display()),
    ]
}

/// The sum of a profile.
fn read(profile: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(profile).with_context(|| format!("valgrind wrote no {}", profile.display()))?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    let total = total.with_context(|| format!("no total in {}", profile.display()))?;
    Ok(total.trim().parse()?)
}
