//! `sekisho limits`: how often may be tried, who tries, and what is done about it.

pub mod campaigns;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// List attacks, or show one: where it comes from, whom it is aimed at, and whether it got in
    #[command(
        after_help = "Examples:\n  sekisho limits campaigns --since 7d\n  sekisho limits campaigns show mtpa9wn5\n\nAn attack \
        is under way until nothing of it has been seen for half an hour. Its record is stored at once when it begins, gets in \
        or ends, and once a minute as it grows; sekisho limits watch shows it as it is."
    )]
    Campaigns(campaigns::Campaigns),
    /// Look on: what is being tried, what is refused, and which attacks are under way
    #[command(
        after_help = "Looks anew each second; q ends it. Where the output is no terminal, it is a line each second; with --once \
        it is one look, with --once --json for programs. It asks the running gateway; where none is running, it shows the \
        attacks that are stored."
    )]
    Watch(watch::Watch),
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Campaigns(campaigns) => campaigns.run(path, output)?,
            Self::Watch(watch) => watch.run(path, output)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
