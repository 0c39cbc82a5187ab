//! Log output: people read it on a terminal, programs as one JSON object a line. Nothing secret is in it:
//! no query string, token, cookie or password is ever handed to a log macro.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
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
    set_level(level);
    let registry = tracing_subscriber::registry().with(Gate);
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
    set_level(level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Arc::new(file))
        .compact()
        .with_ansi(false)
        .with_target(false);
    let _ = tracing_subscriber::registry().with(Gate).with(layer).try_init();
}

/// From now on this much is logged.
pub fn set_level(level: &str) {
    IN_FORCE.store(Arc::new(filter(level)));
    // What each place in the code was told about itself is asked anew.
    tracing::callsite::rebuild_interest_cache();
}

static IN_FORCE: LazyLock<ArcSwap<Targets>> = LazyLock::new(|| ArcSwap::from_pointee(filter("info")));

/// Lets through what the level in force admits. Without a lock: every request writes a line.
struct Gate;

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&**IN_FORCE.load(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::<S>::enabled(&**IN_FORCE.load(), metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&**IN_FORCE.load())
    }
}

fn filter(level: &str) -> Targets {
    let directives = format!(
        "{level},pingora=off,pingora_core=off,pingora_proxy=off,pingora_pool=error,pingora_rustls=off,lettre=off,mailin=off,h2=error,\
         hyper=error,hyper_util=error,rustls=error,sqlx=warn,reqwest=error,mio=error,tower=error"
    );
    directives
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
}
