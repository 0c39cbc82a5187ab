//! `sekisho serve`: the gateway in the foreground, until a signal stops it.

use std::io::{self, Write};
use std::path::Path;

use crate::app::{self, Listening};
use crate::config::{Config, Log, LogFormat};
use crate::telemetry::log::{self, LogStyle};

use super::output::Several;
use super::{open, runtime};

/// Serves with the configuration in `path`.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let config = open::config(path)?;
    let problems = config.check_files();
    if !problems.is_empty() {
        return Err(Several::of(&problems).into());
    }
    start_log(&config.log);
    warn(&config);
    runtime::serve(async {
        let stop = runtime::stop_on_signal()?;
        app::serve(config, Some(path), stop, |listening| tell(&listening)).await?;
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
