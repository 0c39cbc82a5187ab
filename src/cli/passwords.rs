//! `sekisho passwords`: lists of passwords that nobody may choose. Takes and shows no password of anybody.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::crypto::blocklist::{Gathering, Strays};
use crate::crypto::entropy::OsEntropy;

use super::output::{Output, counted};

#[derive(Subcommand)]
pub enum Command {
    /// Make a list of known passwords for passwords.blocklist
    #[command(arg = super::unused_config())]
    #[command(
        after_help = "LIST holds one password a line, or one SHA-1 in 40 hexadecimal digits, with `:` and a count behind it \
        where there is one, as the lists of Have I Been Pwned have it. Where most lines of a list are hashes, any other line \
        is left out and told with its number; put words into a list of their own. Nothing is sent anywhere. The outcome takes two \
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
        let mut strays = Vec::new();
        for path in &self.lists {
            let unread = || format!("could not read {}", path.display());
            let file = File::open(path).with_context(unread)?;
            let stray = gathering
                .take(BufReader::new(file), self.at_least)
                .with_context(unread)?;
            if stray.lines > 0 {
                strays.push((path, stray));
            }
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
            let no_hashes = |(path, stray): &(&PathBuf, Strays)| json!({ "list": path, "lines": stray.lines, "first": stray.first });
            return output.json(&json!({
                "file": self.output, "passwords": list.passwords(), "lines": taken, "left_out": left_out, "bytes": bytes,
                "no_hashes": strays.iter().map(no_hashes).collect::<Vec<_>>(),
            }));
        }
        for (path, stray) in &strays {
            output.line(told(path, stray))?;
        }
        output.line(format_args!(
            "{} holds {} in {} KiB ({} taken, {left_out} left out).\nName it in the configuration, and reload the gateway \
             (sekisho reload):\n\n[passwords]\nblocklist = [\"{}\"]",
            self.output.display(),
            counted(list.passwords(), "password", "passwords"),
            bytes.div_ceil(1024),
            counted(taken, "line", "lines"),
            std::path::absolute(&self.output).unwrap_or_else(|_| self.output.clone()).display(),
        ))
    }
}

/// Which lines of a list of hashes are no hashes.
fn told(path: &Path, strays: &Strays) -> String {
    let numbers: Vec<String> = strays.first.iter().map(u64::to_string).collect();
    let more = if strays.lines > strays.first.len() as u64 {
        " …"
    } else {
        ""
    };
    let (lines, are) = match strays.lines {
        1 => ("line", "is no hash and was"),
        _ => ("lines", "are no hashes and were"),
    };
    format!(
        "{} is a list of hashes; {} {lines} of it {are} left out: {}{more}\n",
        path.display(),
        strays.lines,
        numbers.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_hashes_are_told_by_number() {
        let strays = |lines, first: &[u64]| Strays {
            lines,
            first: first.to_vec(),
        };
        let path = Path::new("pwned.txt");
        assert_eq!(
            told(path, &strays(1, &[3])),
            "pwned.txt is a list of hashes; 1 line of it is no hash and was left out: 3\n"
        );
        assert_eq!(
            told(path, &strays(12, &[3, 5])),
            "pwned.txt is a list of hashes; 12 lines of it are no hashes and were left out: 3, 5 …\n"
        );
    }
}
