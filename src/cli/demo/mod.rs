//! `sekisho demo`: the real gateway on this machine, between a sample web client and a mail catcher.
//!
//! It runs the same code as `serve`. What differs is its configuration, `config/demo.toml`, the two helpers, and
//! that it makes its own certificates and sample accounts.

mod ground;
mod people;
mod ports;
mod settings;
mod tour;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{self, Origins};
use crate::config::{Config, JWKS_PATH};
use crate::crypto::devca::DevCertificates;
use crate::demo::client::{SampleClient, Trust};
use crate::demo::mailcatcher::MailCatcher;
use crate::telemetry::log::{self, LogStyle};

use super::output::{FAINT, Output, Several, aside};
use super::{runtime, serve};
use ground::Ground;
use ports::Ports;
use tour::Tour;

/// The gateway has stopped when the helpers are asked to; they have nothing left to wait for.
const HELPERS: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Everything stays on this machine. The accounts, the letters and the log are kept in the data \
    directory and survive a restart. A development certificate authority is made under certs/.\n\n\
    Examples:\n  sekisho demo\n  sekisho demo --fresh\n  sekisho demo --short-sessions\n  sekisho demo --port 9443 --client-port 9081"
)]
pub struct Demo {
    /// Start over: remove what an earlier demo left in its data directory
    #[arg(long)]
    fresh: bool,
    /// Where the demo keeps its accounts, letters and log
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    data: PathBuf,
    /// Port of the gateway [default: 8443, from config/demo.toml]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of the sample web client [default: 8081, from config/demo.toml]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    client_port: Option<u16>,
    /// Port of the mail catcher's mail server [default: 2525, from config/demo.toml]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    smtp_port: Option<u16>,
    /// Port of the mail catcher's inbox page
    #[arg(long, value_name = "PORT", default_value_t = 8025, value_parser = clap::value_parser!(u16).range(1..))]
    inbox_port: u16,
    /// End sessions after 90 seconds without use and 5 minutes in all, to see how that looks
    #[arg(long)]
    short_sessions: bool,
    /// Log to the terminal at this level, instead of to a file in the data directory
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG")]
    log: Option<String>,
}

impl Demo {
    pub fn run(&self, output: &mut Output) -> anyhow::Result<()> {
        let mut config = settings::load()?;
        self.adapt(&mut config)?;
        let ports = Ports::of(&config, self.inbox_port);
        if !ports.reserve()? {
            settings::without_ipv6(&mut config);
        }
        let ground = Ground::at(&self.data)?;
        let claim = ground.claim()?;
        if self.fresh {
            ground.clear()?;
        }
        ground.prepare()?;
        settings::policies(&mut config, &ground)?;
        let certificates = settings::certificates(&mut config)?;
        let problems = config.check_files();
        if !problems.is_empty() {
            return Err(Several::of(&problems).into());
        }
        fs::write(ground.config(), settings::written(&config))
            .with_context(|| format!("could not write {}", ground.config().display()))?;
        self.start_log(&ground)?;
        // From here on the gateway holds the store itself.
        drop(claim);
        serve::warn(&config);
        runtime::serve(self.play(config, &ports, &ground, &certificates, output))
    }

    /// What the options say goes before what the file says.
    fn adapt(&self, config: &mut Config) -> anyhow::Result<()> {
        if let Some(port) = self.port {
            settings::move_to(config, port)?;
        }
        if let Some(port) = self.client_port {
            config.upstream.set_port(port);
        }
        if let Some(port) = self.smtp_port {
            config.mail.smtp_port = port;
        }
        if self.short_sessions {
            config.sessions.lifetime = settings::SHORT;
        }
        settings::keep_in(config, &self.data)
    }

    /// The terminal is for reading: the log goes to a file, unless it is asked for here.
    fn start_log(&self, ground: &Ground) -> anyhow::Result<()> {
        if let Some(level) = &self.log {
            log::start(LogStyle::automatic(), level);
            return Ok(());
        }
        let path = ground.log();
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("could not write the log {}", path.display()))?;
        log::start_in(file, "info");
        Ok(())
    }

    async fn play(
        &self,
        config: Config,
        ports: &Ports,
        ground: &Ground,
        certificates: &DevCertificates,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let stop = runtime::stop_on_signal()?;
        let accounts = people::gather(&config).await?;
        let catcher = MailCatcher::bind(at_home(ports.smtp), at_home(ports.inbox))
            .await?
            .with_directory(ground.inbox())
            .with_context(|| format!("could not open the inbox in {}", ground.inbox().display()))?;
        let client = SampleClient::bind(at_home(ports.client), trust(&config, ports, certificates))
            .await
            .context("could not start the sample web client")?;

        let helpers = CancellationToken::new();
        let tracker = TaskTracker::new();
        tracker.spawn(catcher.run(helpers.clone()));
        tracker.spawn(client.run(helpers.clone()));
        tracker.close();
        tokio::spawn(announce(stop.clone()));

        let config_file = ground.config();
        let tour = Tour {
            config: &config,
            inbox_port: ports.inbox,
            accounts: &accounts,
            program: std::env::args().next().unwrap_or_else(|| "sekisho".to_owned()),
            config_file: &config_file,
            authority: near(&certificates.authority),
            data: ground.directory(),
            log: self.log.is_none().then(|| ground.log()),
        };
        let origins = Origins {
            file: &config_file,
            predecessor: None,
            demo: true,
        };
        let served = app::serve(config.clone(), origins, stop.clone(), |_| {
            // A reader who has gone is no reason to stop.
            let _ = tour.print(output);
        })
        .await;
        helpers.cancel();
        let _ = tokio::time::timeout(HELPERS, tracker.wait()).await;
        served?;
        aside(format_args!(
            "Stopped. {FAINT}The demo's data stays in {}.{FAINT:#}",
            ground.directory().display()
        ));
        Ok(())
    }
}

/// Says that a stop is under way, since finishing open requests can take a moment.
async fn announce(stop: CancellationToken) {
    stop.cancelled().await;
    aside("\nStopping; open requests are finished first.");
}

/// A path as short as it can be written where the demo was started.
fn near(path: &Path) -> PathBuf {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
        .to_owned()
}

const fn at_home(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The sample client believes this gateway alone.
fn trust(config: &Config, ports: &Ports, certificates: &DevCertificates) -> Trust {
    Trust {
        jwks_url: config.doors.in_office.link(JWKS_PATH),
        ca_pem: Some(certificates.authority.clone()),
        issuer: config.assertion.terms.issuer.clone(),
        audience: config.assertion.terms.audience.clone(),
        header: config.assertion.header.clone(),
        logout_path: config.routes.logout.clone(),
        door_connect: Some(at_home(ports.gateway)),
    }
}
