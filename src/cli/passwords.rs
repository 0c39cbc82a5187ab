//! `sekisho passwords`: lists of passwords that nobody may choose. Takes and shows no password of anybody.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::crypto::blocklist::Gathering;
use crate::crypto::entropy::OsEntropy;

use super::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Make a list of known passwords for passwords.blocklist
    #[command(arg = super::unused_config())]
    #[command(
        after_help = "LIST holds one password a line, or one SHA-1 in 40 hexadecimal digits, with `:` and a count behind it \
        where there is one, as the lists of Have I Been Pwned have it. Nothing is sent anywhere. The outcome takes two \
        bytes and a quarter for each password and holds none of them.\n\nExample:\n  \
        sekisho passwords build --at-least 10 pwned-passwords.txt -o /etc/sekisho/known.filter"
    )]
    Build(Build),
}

#[derive(Args)]
pub struct Build {
    /// The lists
    #[arg(value_name = "LIST", required = true)]
    lists: Vec<PathBuf>,
    /// The file to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Leave out hashes that were counted fewer times
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    at_least: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(&self, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::Build(build) => build.run(output),
        }
    }
}

impl Build {
    fn run(&self, output: &mut Output) -> anyhow::Result<()> {
        let mut gathering = Gathering::default();
        for path in &self.lists {
            let unread = || format!("could not read {}", path.display());
            let file = File::open(path).with_context(unread)?;
            gathering
                .take(BufReader::new(file), self.at_least)
                .with_context(unread)?;
        }
        let (taken, left_out) = (gathering.taken, gathering.left_out);
        let list = match gathering.finish() {
            Ok(list) => list,
            Err(why) => bail!("no list was made: {why}"),
        };
        let bytes = list
            .save(&self.output, &OsEntropy)
            .with_context(|| format!("could not write {}", self.output.display()))?;
        if self.json {
            return output.json(&json!({
                "file": self.output, "passwords": list.passwords(), "lines": taken, "left_out": left_out, "bytes": bytes,
            }));
        }
        output.line(format_args!(
            "{} holds {} passwords in {} KiB ({taken} lines taken, {left_out} left out).\nName it in the configuration, and \
             restart the gateway:\n\n[passwords]\nblocklist = [\"{}\"]",
            self.output.display(),
            list.passwords(),
            bytes.div_ceil(1024),
            std::path::absolute(&self.output).unwrap_or_else(|_| self.output.clone()).display(),
        ))
    }
}
