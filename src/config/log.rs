//! `[log]`: what the gateway says about itself.

use super::keys::forms::OneOf;
use super::keys::{Slot, Walker};

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `json` or `human`; default `auto`: human on a terminal.
    pub format: LogFormat,
    /// `error`, `warn`, `info` (default), `debug` or `trace`.
    pub level: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For reading.
    Human,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
        }
    }
}

impl Log {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "log",
            "What the gateway says about itself. Never passwords, tokens or cookies.",
        );
        walker.key(
            "format",
            "\"json\" is one object a line, \"human\" is for reading, \"auto\" is human on a terminal and JSON elsewhere.",
            &OneOf(vec![
                ("auto", LogFormat::Auto),
                ("json", LogFormat::Json),
                ("human", LogFormat::Human),
            ]),
            Slot::Default(&mut self.format),
        );
        walker.key(
            "level",
            "How much it says. \"debug\" and \"trace\" are for finding faults and slow it down.",
            &OneOf(
                ["error", "warn", "info", "debug", "trace"]
                    .map(|level| (level, level.to_owned()))
                    .into(),
            ),
            Slot::Default(&mut self.level),
        );
    }
}
