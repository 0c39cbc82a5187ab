//! `sekisho serve`: the gateway in the foreground, until a signal stops it or another process takes its place.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::app::{self, Listening, Origins, Predecessor};
use crate::config::{Config, Log, LogFormat};
use crate::telemetry::log::{self, LogStyle};

use super::output::Several;
use super::{open, runtime};

// How it is started. No doc comment: the help of the command would be that.
#[derive(Args)]
pub struct Serve {
    /// Take the place of the gateway whose socket is standard input; `sekisho upgrade` has it start this
    #[arg(long, hide = true)]
    take_over: bool,
    /// It has been made nobody's child
    #[arg(long, hide = true, requires = "take_over")]
    detached: bool,
}

impl Serve {
    /// Serves with the configuration in `path`.
    pub fn run(&self, path: &Path) -> anyhow::Result<()> {
        if !self.take_over {
            return serve(path, None);
        }
        if !self.detached {
            return app::detach(path).context("could not start once more");
        }
        let predecessor = Predecessor::meet().context("could not meet the running gateway on standard input")?;
        let predecessor = Arc::new(predecessor);
        let served = serve(path, Some(&predecessor));
        if let Err(error) = &served {
            predecessor.fail(&format!("{error:#}"));
        }
        served
    }
}

fn serve(path: &Path, predecessor: Option<&Arc<Predecessor>>) -> anyhow::Result<()> {
    let config = open::config(path)?;
    let problems = config.check_files_to_start();
    if !problems.is_empty() {
        return Err(Several::of(&problems).into());
    }
    start_log(&config.log);
    warn(&config);
    runtime::serve(async {
        let stop = runtime::stop_on_signal()?;
        let origins = Origins {
            file: path,
            predecessor,
            demo: false,
        };
        app::serve(config, origins, stop, |listening| tell(&listening)).await?;
        Ok(())
    })
}

fn start_log(log: &Log) {
    let style = match log.format {
        LogFormat::Auto => LogStyle::automatic(),
        LogFormat::Json => LogStyle::Json,
        LogFormat::Human => LogStyle::Human,
    };
    log::start(style, &log.level);
}

/// Logs what weakens the gateway although it is allowed.
pub fn warn(config: &Config) {
    for problem in config.warnings() {
        tracing::warn!(key = problem.key, "{}", problem.message);
    }
}

/// Tells whoever started the gateway, a service manager or a test, that it can be used. Nobody has to read it.
fn tell(listening: &Listening) {
    let mut out = io::stdout().lock();
    for place in &listening.places {
        let _ = writeln!(out, "listening on {place}");
    }
    for place in &listening.redirecting {
        let _ = writeln!(out, "redirecting on {place}");
    }
    if let Some(address) = listening.metrics {
        let _ = writeln!(out, "metrics on {address}");
    }
    let _ = writeln!(out, "ready");
    let _ = out.flush();
}
