//! `sekisho limits diff`: what another policy would change, rule by rule.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::super::output::{BAD, GOOD, Output};
use super::check;
use crate::domain::limits::difference::{Difference, RuleChange};
use crate::domain::limits::policy::LimitRule;

/// Something was found.
const DIFFERENT: u8 = 3;

#[derive(Args)]
pub struct Diff {
    /// The other policy: a file, or the name of a preset [default: limits.candidate of the configuration]
    other: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let (_, active) = check::in_force(config)?;
        let other = match &self.other {
            Some(named) => check::read(named),
            None => check::on_trial(config)?,
        };
        let (active, other) = match (active, other) {
            (Ok(active), Ok(other)) => (active, other),
            (active, other) => {
                let problems: Vec<_> = active.err().into_iter().chain(other.err()).flatten().collect();
                return Ok(check::refuse(&problems));
            }
        };
        let difference = Difference::between(&active.policy, &other.policy);
        if self.json {
            output.json(&for_programs(&difference))?;
        } else {
            report(&difference, output)?;
        }
        Ok(if difference.is_empty() {
            ExitCode::SUCCESS
        } else {
            DIFFERENT.into()
        })
    }
}

/// A difference for people.
pub fn report(difference: &Difference, output: &mut Output) -> anyhow::Result<()> {
    if difference.is_empty() {
        return output.line("Both policies say the same.");
    }
    for change in &difference.rules {
        match change {
            RuleChange::Added(rule) => output.line(format!("{GOOD}+ {}{GOOD:#}: {}", rule.name, in_words(rule)))?,
            RuleChange::Removed(rule) => output.line(format!("{BAD}- {}{BAD:#}: {}", rule.name, in_words(rule)))?,
            RuleChange::Changed(name, parts) => {
                for part in parts {
                    output.line(format!("~ {name}: {} {} -> {}", part.part, part.before, part.after))?;
                }
            }
        }
    }
    for network in &difference.exempted {
        output.line(format!("{GOOD}+ exempt{GOOD:#}: {network}"))?;
    }
    for network in &difference.counted_again {
        output.line(format!("{BAD}- exempt{BAD:#}: {network}"))?;
    }
    Ok(())
}

/// The parts of a rule but for those that are as without a word.
fn in_words(rule: &LimitRule) -> String {
    let silent = [
        ("lane", "any"),
        ("in_flight", "none"),
        ("action", "refuse"),
        ("enabled", "true"),
    ];
    let parts = rule.parts();
    let parts = parts
        .iter()
        .filter(|(part, value)| !silent.contains(&(*part, value.as_str())));
    let parts: Vec<_> = parts.map(|(part, value)| format!("{part} {value}")).collect();
    parts.join(", ")
}

/// A difference for programs.
pub fn for_programs(difference: &Difference) -> Value {
    let rules: Vec<Value> = difference
        .rules
        .iter()
        .map(|change| match change {
            RuleChange::Added(rule) => json!({ "rule": rule.name.as_str(), "change": "added", "after": parts(rule) }),
            RuleChange::Removed(rule) => json!({ "rule": rule.name.as_str(), "change": "removed", "before": parts(rule) }),
            RuleChange::Changed(name, changed) => json!({
                "rule": name.as_str(),
                "change": "changed",
                "before": changed.iter().map(|part| (part.part.to_owned(), part.before.as_str().into())).collect::<serde_json::Map<_, Value>>(),
                "after": changed.iter().map(|part| (part.part.to_owned(), part.after.as_str().into())).collect::<serde_json::Map<_, Value>>(),
            }),
        })
        .collect();
    let networks = |networks: &[ipnet::IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "rules": rules,
        "exempted": networks(&difference.exempted),
        "counted_again": networks(&difference.counted_again),
    })
}

fn parts(rule: &LimitRule) -> serde_json::Map<String, Value> {
    rule.parts()
        .into_iter()
        .map(|(part, value)| (part.to_owned(), value.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::*;
    use crate::config::limits_file::{Preset, parse};
    use crate::domain::limits::policy::Policy;

    fn other() -> Policy {
        parse(
            "preset = \"standard\"\nexempt = [\"10.0.0.0/8\"]\n[[rule]]\nname = \"sign-in.client\"\nquota = \"7 per 1h\"\n\
             action = \"slow\"\n[[rule]]\nname = \"mine\"\nendpoint = [\"sign-in\", \"api-token\"]\nkey = \"global\"\nquota = \"1 per 1h\"",
        )
        .unwrap()
    }

    #[test]
    fn a_difference_is_told_rule_by_rule_in_both_directions() {
        let told = |old: &Policy, new: &Policy| {
            let sheet = Sheet::default();
            report(&Difference::between(old, new), &mut sheet.output()).unwrap();
            sheet.text()
        };
        let standard = Preset::Standard.policy();
        assert_eq!(
            told(&standard, &other()),
            "~ sign-in.client: quota 30 per 15m -> 7 per 1h\n~ sign-in.client: action refuse -> slow\n\
             + mine: endpoint sign-in, api-token, key global, quota 1 per 1h\n+ exempt: 10.0.0.0/8\n"
        );
        assert!(
            told(&other(), &standard)
                .contains("- mine: endpoint sign-in, api-token, key global, quota 1 per 1h\n- exempt: 10.0.0.0/8\n")
        );
        assert_eq!(told(&standard, &standard), "Both policies say the same.\n");
    }

    #[test]
    fn programs_get_the_same() {
        let told = for_programs(&Difference::between(&Preset::Standard.policy(), &other()));
        assert_eq!(
            told["rules"][0]["before"],
            json!({ "quota": "30 per 15m", "action": "refuse" })
        );
        assert_eq!(
            told["rules"][0]["after"],
            json!({ "quota": "7 per 1h", "action": "slow" })
        );
        assert_eq!(told["rules"][1]["change"], "added");
        assert_eq!(told["exempted"], json!(["10.0.0.0/8"]));
    }
}
