//! The policy file of the limits: a text of its own, since whoever tunes the limits is seldom whoever deploys the gateway.
//!
//! It is read as a whole or refused with everything that is wrong with it. What a rule means is in `domain::limits`.

mod preset;
mod reading;
mod sense;
mod writing;

use std::path::Path;

use ipnet::IpNet;

pub use preset::Preset;
pub use writing::{documented, write};

use super::files;
use super::{Limits, Problem};
use crate::domain::limits::policy::Policy;

/// Most rules of a policy, those of its preset among them: each attempt asks all of them.
pub const MOST_RULES: usize = 64;

/// What a policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsFile {
    /// What its rules change and add to.
    pub preset: Option<Preset>,
    /// The rules and exemptions, those of the preset among them.
    pub policy: Policy,
    /// Why networks are exempt, where that is said.
    pub reasons: Vec<(IpNet, String)>,
}

impl LimitsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        // Why a file cannot be had names it already.
        let bytes = files::read(path).map_err(|why| vec![Problem::of_key("", why)])?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => reading::read(text, Some(path)),
            Err(_) => Err(vec![Problem::of_file(path, None, "it is not text (UTF-8)")]),
        }
    }

    /// What everybody on the machine may do to this file, where they may; whoever writes a policy decides whom it stops.
    pub fn open_to_writers(path: &Path) -> Option<String> {
        files::open_to_writers(path)
    }

    /// The policy that a configuration names: its file, or the preset `standard`.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn in_force(limits: &Limits) -> Result<Self, Vec<Problem>> {
        let standard = || Ok(Self::of_preset(Preset::Standard));
        limits.policy.as_deref().map_or_else(standard, Self::load)
    }

    /// A preset and nothing else.
    pub fn of_preset(preset: Preset) -> Self {
        Self {
            preset: Some(preset),
            policy: preset.policy(),
            reasons: Vec::new(),
        }
    }
}

/// Reads the text of a policy that is in no file.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn parse(text: &str) -> Result<Policy, Vec<Problem>> {
    reading::read(text, None).map(|file| file.policy)
}

/// The preset of this name.
pub fn preset(name: &str) -> Option<Policy> {
    Preset::parse(name).map(Preset::policy)
}

#[cfg(test)]
mod tests;
