//! `sekisho limits check`: every error of a policy in one run, or what it comes to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::super::open;
use super::super::output::{BAD, CARE, GOOD, Output, aside, plain};
use super::words;
use crate::config::Problem;
use crate::config::limits_file::{LimitsFile, Preset};
use crate::domain::language::Language;
use crate::domain::limits::allowance::{Allowance, DAY, HOUR};
use crate::domain::limits::policy::{LimitRule, RuleName};
use crate::domain::limits::reading::{Softness, Statement};

#[derive(Args)]
pub struct Check {
    /// The policy: a file, or the name of a preset [default: limits.policy of the configuration]
    policy: Option<PathBuf>,
    /// The language of the sentences: en or ja
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = language)]
    lang: Language,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let (named, (name, read)) = match &self.policy {
            Some(named) => (Some(named.clone()), (named.display().to_string(), read(named))),
            None => (open::config(config)?.limits.policy, in_force(config)?),
        };
        let open = named.and_then(|file| LimitsFile::open_to_writers(&file));
        let file = match read {
            Ok(file) => file,
            Err(problems) => return Ok(refuse(&problems)),
        };
        if self.json {
            output.json(&for_programs(&file, open.as_deref(), self.lang))?;
            return Ok(ExitCode::SUCCESS);
        }
        for statement in file.policy.statements() {
            output.line(words::statement(self.lang, &statement))?;
        }
        let warnings = warnings(&file, open.as_deref(), self.lang);
        for warning in &warnings {
            aside(format_args!("{CARE}warning:{CARE:#} {}", plain(warning)));
        }
        for network in &file.policy.exempt {
            output.line(exempt(&file, network, self.lang))?;
        }
        output.line(self.verdict(&plain(&name), warnings.len()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn verdict(&self, name: &str, warnings: usize) -> String {
        match (self.lang, warnings) {
            (Language::En, 0) => format!("{GOOD}{name} is in order.{GOOD:#}"),
            (Language::En, 1) => format!("{GOOD}{name} is in order{GOOD:#}, with one warning."),
            (Language::En, n) => format!("{GOOD}{name} is in order{GOOD:#}, with {n} warnings."),
            (Language::Ja, 0) => format!("{GOOD}{name} に問題はありません。{GOOD:#}"),
            (Language::Ja, n) => format!("{GOOD}{name} に誤りはありません{GOOD:#}が、注意が{n}件あります。"),
        }
    }
}

/// Everything to think over, and that everybody may write to the file, where they may.
fn warnings(file: &LimitsFile, open: Option<&str>, language: Language) -> Vec<String> {
    let advice = file.policy.advice().into_iter();
    let advice = advice.map(|advice| words::advice(language, &advice));
    open.map(str::to_owned).into_iter().chain(advice).collect()
}

/// Whom no rule counts, and why, where that is said.
fn exempt(file: &LimitsFile, network: &ipnet::IpNet, language: Language) -> String {
    let reason = file
        .reasons
        .iter()
        .find(|(known, _)| known == network)
        .map(|(_, reason)| plain(reason));
    match (language, reason) {
        (Language::En, None) => format!("No rule counts {network}."),
        (Language::En, Some(reason)) => format!("No rule counts {network}: {reason}."),
        (Language::Ja, None) => format!("{network} はどの規則にも数えられません。"),
        (Language::Ja, Some(reason)) => format!("{network} はどの規則にも数えられません（{reason}）。"),
    }
}

/// The policy that the configuration names, and how to call it.
pub fn in_force(config: &Path) -> anyhow::Result<(String, Result<LimitsFile, Vec<Problem>>)> {
    let config = open::config(config)?;
    let file = config.limits.policy.as_ref();
    let name = file.map_or_else(|| "The preset standard".to_owned(), |file| file.display().to_string());
    Ok((name, LimitsFile::in_force(&config.limits)))
}

/// The policy on trial.
///
/// # Errors
/// When there is none.
pub fn on_trial(config: &Path) -> anyhow::Result<Result<LimitsFile, Vec<Problem>>> {
    let config = open::config(config)?;
    match &config.limits.candidate {
        Some(file) if file.exists() => Ok(LimitsFile::load(file)),
        Some(file) => bail!("no policy is on trial: {} does not exist", file.display()),
        None => bail!("no policy is on trial: limits.candidate is not set; name a file or a preset"),
    }
}

/// A file, or a preset where no file has this name.
pub fn read(named: &Path) -> Result<LimitsFile, Vec<Problem>> {
    let preset = named.to_str().filter(|_| !named.exists()).and_then(Preset::parse);
    preset.map_or_else(|| LimitsFile::load(named), |preset| Ok(LimitsFile::of_preset(preset)))
}

/// Says everything that is wrong.
pub fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        aside(format_args!("{BAD}error:{BAD:#} {}", plain(&problem.to_string())));
    }
    ExitCode::FAILURE
}

/// For the command line.
pub fn preset(text: &str) -> Result<Preset, String> {
    Preset::parse(text).ok_or_else(|| "it is relaxed, standard or strict".to_owned())
}

fn language(text: &str) -> Result<Language, String> {
    text.parse().map_err(|_| "it is en or ja".to_owned())
}

fn for_programs(file: &LimitsFile, open: Option<&str>, language: Language) -> Value {
    let policy = &file.policy;
    let exempt: Vec<Value> = policy
        .exempt
        .iter()
        .map(|network| {
            let reason = file
                .reasons
                .iter()
                .find(|(known, _)| known == network)
                .map(|(_, reason)| reason);
            json!({ "network": network.to_string(), "reason": reason })
        })
        .collect();
    let statements: Vec<Value> = policy
        .statements()
        .iter()
        .map(|statement| {
            let mut value = figures(statement);
            value["text"] = words::statement(language, statement).into();
            value
        })
        .collect();
    json!({
        "preset": file.preset.map(Preset::as_str),
        "rules": policy.rules.iter().map(rule).collect::<Vec<_>>(),
        "exempt": exempt,
        "statements": statements,
        "warnings": warnings(file, open, language),
    })
}

/// A rule with all its parts.
fn rule(rule: &LimitRule) -> Value {
    json!({
        "name": rule.name.as_str(),
        "endpoint": rule.endpoints.iter().map(|endpoint| endpoint.as_str()).collect::<Vec<_>>(),
        "key": rule.key.as_str(),
        "quota": rule.quota.to_string(),
        "lane": rule.lane.as_str(),
        "in_flight": rule.in_flight,
        "action": rule.action.as_str(),
        "enabled": rule.enabled,
    })
}

fn figures(statement: &Statement) -> Value {
    let allowed = |allowance: &Allowance| {
        json!({
            "at_once": allowance.at_once(),
            "an_hour": allowance.lasting(HOUR),
            "a_day": allowance.lasting(DAY),
            "first_day": allowance.most_within(DAY),
            "rule": allowance.tightest(DAY).map(RuleName::as_str),
        })
    };
    match statement {
        Statement::Strangers(endpoint, scope, allowance) => json!({
            "about": endpoint.as_str(),
            "scope": scope.as_str(),
            "allowed": allowance.as_ref().map(allowed),
        }),
        Statement::Owner(keeps, rivals) => json!({
            "about": "owner",
            "allowed": keeps.as_ref().map(allowed),
            "shared": rivals.iter().flat_map(|(_, rules)| rules).map(RuleName::as_str).collect::<Vec<_>>(),
        }),
        Statement::Soft(rule, quota, softness) => json!({
            "about": "soft",
            "rule": rule.as_str(),
            "quota": quota.to_string(),
            "action": match softness {
                Softness::Slow => "slow",
                Softness::Tell => "notify",
            },
        }),
        Statement::Morning(morning) => json!({
            "about": "morning",
            "people": morning.as_ref().map(|morning| morning.people),
            "at_once": morning.as_ref().and_then(|morning| morning.at_once),
            "rule": morning.as_ref().map(|morning| morning.rule.as_str()),
        }),
    }
}
