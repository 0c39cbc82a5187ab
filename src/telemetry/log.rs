//! Log output: people read it on a terminal, programs as one JSON object a line. Nothing secret is in it:
//! no query string, token, cookie or password is ever handed to a log macro.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    /// One JSON object a line.
    Json,
    /// For reading.
    Human,
}

impl LogStyle {
    /// Human on a terminal, JSON elsewhere.
    pub fn automatic() -> Self {
        if io::stderr().is_terminal() {
            Self::Human
        } else {
            Self::Json
        }
    }
}

/// Starts logging to standard error. A second call changes nothing.
///
/// `level` is `error`, `warn`, `info`, `debug` or `trace`. The libraries underneath are quieter: Pingora logs raw
/// requests with their query strings, and lettre whole conversations, so both stay off below `error`.
pub fn start(style: LogStyle, level: &str) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let _ = match style {
        LogStyle::Json => registry
            .with(
                layer
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
            )
            .try_init(),
        LogStyle::Human => registry
            .with(layer.compact().with_ansi(io::stderr().is_terminal()).with_target(false))
            .try_init(),
    };
}

/// Starts logging into a file, for reading. A second call changes nothing.
pub fn start_in(file: File, level: &str) {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Arc::new(file))
        .compact()
        .with_ansi(false)
        .with_target(false);
    let _ = tracing_subscriber::registry()
        .with(filter(level))
        .with(layer)
        .try_init();
}

fn filter(level: &str) -> EnvFilter {
    let directives = format!(
        "{level},pingora=off,pingora_core=off,pingora_proxy=off,pingora_pool=error,pingora_rustls=off,lettre=off,mailin=off,h2=error,\
         hyper=error,hyper_util=error,rustls=error,sqlx=warn,reqwest=error,mio=error,tower=error"
    );
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"))
}
