//! Which policy a command means: the one in force, a file, or a preset by its name.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use crate::config::Config;
use crate::config::limits_file::{self, LimitsFile};
use crate::domain::limits::policy::Policy;

use super::super::open;
use super::super::output::Several;

/// A policy and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name of its file or preset.
    pub name: String,
    /// What it says.
    pub policy: Arc<Policy>,
}

/// The policy of this file, or the preset of this name.
///
/// # Errors
/// When there is none, or everything that is wrong with it.
pub fn named(text: &str) -> anyhow::Result<Named> {
    let preset = limits_file::preset(text).filter(|_| !Path::new(text).exists());
    let policy = match preset {
        Some(policy) => policy,
        None => read(Path::new(text))?,
    };
    Ok(Named {
        name: text.to_owned(),
        policy: Arc::new(policy),
    })
}

/// What the configuration puts in force.
///
/// # Errors
/// When its file is not there or is wrong.
pub fn in_force(config: &Config) -> anyhow::Result<Named> {
    if !config.limits.enabled {
        bail!("limits.enabled = false in the configuration: no policy is in force; name one with --active");
    }
    match &config.limits.policy {
        Some(file) => of_file(file),
        None => named("standard"),
    }
}

/// What the configuration has on trial; `None` when it names no file, or there is none.
///
/// # Errors
/// When the file is wrong.
pub fn on_trial(config: &Config) -> anyhow::Result<Option<Named>> {
    let file = config.limits.candidate.as_ref().filter(|file| file.exists());
    file.map(|file| of_file(file)).transpose()
}

/// The one that was typed, or the one in force.
///
/// # Errors
/// When it cannot be had.
pub fn typed_or_in_force(typed: Option<&str>, config: &Path) -> anyhow::Result<Named> {
    match typed {
        Some(text) => named(text),
        None => in_force(&open::config(config)?),
    }
}

/// What the configuration names is called by its last name: where it lies is known.
fn of_file(file: &Path) -> anyhow::Result<Named> {
    let name = file.file_name().unwrap_or_default();
    Ok(Named {
        name: name.to_string_lossy().into_owned(),
        policy: Arc::new(read(file)?),
    })
}

fn read(file: &Path) -> anyhow::Result<Policy> {
    if !file.exists() {
        bail!(
            "{} is neither a preset (relaxed, standard, strict) nor a file",
            file.display()
        );
    }
    match LimitsFile::load(file) {
        Ok(read) => Ok(read.policy),
        Err(problems) => Err(Several::of(&problems).into()),
    }
}
