//! Writes a policy as the text that reads back as the same.

use std::fmt::Write as _;

use super::preset::{Preset, RULES};
use crate::config::keys::writer::{rule_line, wrapped};
use crate::domain::limits::policy::{LimitRule, Policy};

/// How the documented file begins.
const PREFACE: &str = "The policy of the limits: how often may be tried, by whom, and what happens beyond that. Name it in \
sekisho.toml: limits.policy = \"limits.toml\". A running gateway takes changes up by itself within seconds, or refuses the \
whole file and goes on with the former one. What it comes to, in sentences: sekisho limits check
The rules below are those of the preset \"standard\", which is in force where no file is named. A file of yours may begin \
with preset = \"standard\" (or \"relaxed\", or \"strict\") and name nothing but what it changes: a rule of the same name \
changes the preset's in the keys that it has, and other names are added. Without that line the file is all there is.
An attempt is counted before it is judged, for names that exist and for names that do not, and draws on every rule that \
concerns it. One that proves to be honest is given back.
name: lower-case letters, digits and . + -, at most 48 of them. What has been counted stays with it.
endpoint: one, or a list that shares one budget, of \"sign-in\", \"forgot-password\", \"set-password\" (links of letters), \
\"change-password\" (the old password, by somebody signed in), \"api-token\" and \"any-request\" (to the gateway's own \
pages, by itself).
key: what is counted by: \"client\" (an address, or a /64 of IPv6), \"subnet\" (/24, /48), \"account\" (or the mail address \
of a reset), \"client+account\", \"device\" (one browser at one account that has met before), \"password\" (the same one at \
any account) or \"global\".
quota: \"10 per 15m\" lets ten through at once and then one every 90 seconds.
lane: \"strangers\", \"known\" (browsers that have signed in to the account before, and sessions) or \"any\", which is \
what it is without the key.
in_flight: how many may be under way at once; without it as many as the quota lets through.
action: what happens beyond the quota: \"refuse\" (the default), \"slow\" (strangers are answered late, by ten seconds at \
most) or \"notify\" (an event, a metric and a line in the log, and nothing else).
enabled: false leaves a rule in the file and counts nothing.";

const EXEMPT: &str = "Clients whom no rule counts, by network, with a reason for those who come later: write both or the \
network alone. Whoever is exempt may guess without end.";

/// The content of `config/limits.toml`: every rule of the preset \"standard\", each with what it is for.
pub fn documented() -> String {
    explained(Preset::Standard)
}

impl Preset {
    /// The preset written out, each rule with what it is for.
    pub fn documented(self) -> String {
        explained(self)
    }
}

fn explained(preset: Preset) -> String {
    let mut text = String::new();
    let preface = PREFACE.replace(
        "\"standard\", which",
        &match preset {
            Preset::Standard => "\"standard\", which".to_owned(),
            other => format!("\"{}\"; \"standard\"", other.as_str()),
        },
    );
    for paragraph in preface.split('\n') {
        text.push_str(&wrapped(paragraph));
    }
    text.push_str("\n#preset = \"standard\"\n\n");
    text.push_str(&wrapped(EXEMPT));
    text.push_str(
        "exempt = []\n#exempt = [\"10.0.0.0/8\", { network = \"192.0.2.0/24\", reason = \"the monitoring\" }]\n",
    );
    for (template, rule) in RULES.iter().zip(&preset.policy().rules) {
        text.push('\n');
        text.push_str(&rule_line());
        text.push_str(&wrapped(template.doc));
        text.push_str(&block(rule));
    }
    text
}

/// A policy as a file that reads back as the same.
pub fn write(policy: &Policy) -> String {
    let exempt: Vec<toml::Value> = policy.exempt.iter().map(|net| net.to_string().into()).collect();
    let mut text = String::new();
    if !exempt.is_empty() {
        let _infallible = writeln!(text, "exempt = {}", toml::Value::from(exempt));
    }
    for rule in &policy.rules {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&block(rule));
    }
    text
}

fn block(rule: &LimitRule) -> String {
    let mut text = String::from("[[rule]]\n");
    let endpoints: Vec<toml::Value> = rule.endpoints.iter().map(|endpoint| endpoint.as_str().into()).collect();
    let endpoint = match <[toml::Value; 1]>::try_from(endpoints) {
        Ok([one]) => one,
        Err(several) => several.into(),
    };
    let mut assign = |part: &str, value: toml::Value| {
        let _infallible = writeln!(text, "{part} = {value}");
    };
    assign("name", rule.name.as_str().into());
    assign("endpoint", endpoint);
    assign("key", rule.key.as_str().into());
    assign("quota", rule.quota.to_string().into());
    assign("lane", rule.lane.as_str().into());
    if let Some(most) = rule.in_flight {
        assign("in_flight", i64::from(most).into());
    }
    assign("action", rule.action.as_str().into());
    assign("enabled", rule.enabled.into());
    text
}
