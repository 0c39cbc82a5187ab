//! `sekisho limits apply`: another policy for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::Timestamp;

use crate::app::read_policy;
use crate::domain::order::{Kind, Order, PolicySource, Words};

use super::super::open;
use super::super::output::{Output, Several};
use super::ban::replaced;
use super::terms::{self, Why, moment, span, until_words};

#[derive(Args)]
pub struct Apply {
    /// A preset (relaxed, standard or strict), or a policy file
    #[arg(value_name = "PRESET|FILE", required_unless_present = "end")]
    policy: Option<String>,
    #[command(flatten)]
    time: Limit,
    #[command(flatten)]
    why: Why,
    /// Return to the policy of the configuration now
    #[arg(long, conflicts_with_all = ["policy", "reason", "author"])]
    end: bool,
}

/// For how long: no policy is applied for ever, since nobody would remember.
#[derive(Args)]
#[group(id = "limit", required = true, multiple = false, args = ["span", "until", "end"])]
struct Limit {
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    span: Option<Duration>,
    /// Until when, such as "2027-01-31 18:00"; in the zone of this machine unless it says another
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<Timestamp>,
}

impl Apply {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let Some(policy) = self.policy.as_deref().filter(|_| !self.end) else {
            return end(path, output);
        };
        let source = source(policy)?;
        read_policy(&source).map_err(Several)?;
        let (given, now) = open::office(path, async |office, config| {
            if !config.limits.enabled {
                bail!("limits.enabled = false in the configuration: no policy is in force, and none can be applied");
            }
            let now = office.orders.world.now();
            let until = self
                .time
                .until
                .or_else(|| self.time.span.map(|span| terms::end(now, span)));
            if until.is_none_or(|until| until <= now) {
                bail!("that is over already");
            }
            let terms = self.why.terms(until);
            Ok((office.orders.apply(source, terms).await?, now))
        })?;
        replaced(&given, output);
        output.line(format!(
            "The policy {} is in force {}; then that of the configuration is again.",
            given.order.decree.subject(),
            until_words(given.order.until, now, output)
        ))
    }
}

fn end(path: &Path, output: &mut Output) -> anyhow::Result<()> {
    let is_it = |order: &Order| order.decree.kind() == Kind::Policy;
    let ended = open::office(path, async |office, _| Ok(office.orders.end(is_it).await?))?;
    let ended = ended.ok_or_else(|| anyhow!("no policy is applied; that of the configuration is in force"))?;
    output.line(format!(
        "The policy {} is applied no more; that of the configuration is in force.",
        ended.decree.subject()
    ))
}

/// What is named: a file when it looks like one or there is one, else a preset.
fn source(named: &str) -> anyhow::Result<PolicySource> {
    let path = PathBuf::from(named);
    let is_file = named.contains(['/', '.']) || path.exists();
    if !is_file {
        return Ok(PolicySource::Preset(named.to_owned()));
    }
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let name = path.file_name().map_or(named.into(), |name| name.to_string_lossy());
    // The name is shown and recorded.
    let name = Words::parse(&name).map_err(|problem| anyhow!("the name of {}: {problem}", path.display()))?;
    Ok(PolicySource::File {
        name: name.as_str().to_owned(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_as_it_is_now_and_anything_else_is_a_preset() {
        assert_eq!(source("strict").unwrap(), PolicySource::Preset("strict".to_owned()));
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("tonight.toml");
        fs::write(&file, "preset = \"strict\"\n").unwrap();
        let taken = source(file.to_str().unwrap()).unwrap();
        fs::write(&file, "something else").unwrap();
        assert_eq!(
            taken,
            PolicySource::File {
                name: "tonight.toml".to_owned(),
                text: "preset = \"strict\"\n".to_owned()
            }
        );
        assert!(source("./none.toml").unwrap_err().to_string().contains("./none.toml"));
    }
}
