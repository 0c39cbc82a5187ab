//! `sekisho limits example`: a policy to start from.

use std::process::ExitCode;

use clap::Args;

use super::super::output::Output;
use super::check::preset;
use crate::config::limits_file::Preset;

#[derive(Args)]
pub struct Example {
    /// The preset: relaxed, standard or strict
    #[arg(default_value = "standard", value_parser = preset)]
    preset: Preset,
}

impl Example {
    pub fn run(&self, output: &mut Output) -> anyhow::Result<ExitCode> {
        output.text(&self.preset.documented())?;
        Ok(ExitCode::SUCCESS)
    }
}
