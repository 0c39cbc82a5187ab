//! Letters as the configuration and its theme write them, to look at before anybody receives one.

use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::language::Language;

use super::office::world;
use super::theme::{self, ThemeFiles};

pub use crate::mail::letters::KINDS;

/// A letter to a person who does not exist; its links do not work, and say so.
pub struct Preview {
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part, a whole document.
    pub html: String,
}

/// Writes a sample of one of the [`KINDS`].
///
/// # Errors
/// When the theme cannot be used.
pub fn preview(config: &Config, kind: &str, language: Language) -> Result<Preview, Fault> {
    let press = theme::press(config, &ThemeFiles::of(config)?.letters)?;
    let written = press.sample(kind, language, config.links, world().now())?;
    Ok(Preview {
        subject: written.subject,
        text: written.text,
        html: written.html,
    })
}
