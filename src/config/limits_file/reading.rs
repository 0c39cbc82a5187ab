//! Reads a policy file, collecting every problem instead of stopping at the first.

use std::path::Path;

use ipnet::IpNet;
use serde_json::json;
use toml::de::{DeTable, DeValue};

use super::sense::{nonsense, reserved};
use super::{LimitsFile, MOST_RULES, Preset};
use crate::config::keys::forms::{Count, Form, Given, List, Misread, OneOf, Switch, Text, line, parsed};
use crate::config::keys::reader::{line_of, nearest, parse_toml, printable};
use crate::config::problem::Problem;
use crate::config::server::proxies::network;
use crate::domain::limits::Quota;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::{Action, KeyKind, LaneFilter, LimitRule, RuleName};

/// The keys of the file.
const KEYS: [&str; 3] = ["preset", "exempt", "rule"];

/// The keys of a rule.
const PARTS: [&str; 8] = [
    "name",
    "endpoint",
    "key",
    "quota",
    "lane",
    "in_flight",
    "action",
    "enabled",
];

/// Most networks that are exempt.
const MOST_EXEMPT: usize = 1000;

/// Reads `text`, the content of `file` where there is one.
pub(super) fn read(text: &str, file: Option<&Path>) -> Result<LimitsFile, Vec<Problem>> {
    let mut reading = Reading {
        text,
        file,
        problems: Vec::new(),
    };
    let root = match parse_toml(text) {
        Ok(root) => root,
        Err((line, message)) => {
            reading.report_line(line, "", message);
            return Err(reading.problems);
        }
    };
    let root = root.get_ref();
    let before = reading.problems.len();
    let preset = reading.preset(root);
    let base = if reading.problems.len() > before {
        Base::Misread
    } else {
        Base::of(preset)
    };
    let mut read = LimitsFile {
        preset,
        ..LimitsFile::default()
    };
    for (network, reason) in reading.exempt(root) {
        read.policy.exempt.push(network);
        read.reasons.extend(reason.map(|reason| (network, reason)));
    }
    read.policy.rules = reading.rules(root, base);
    reading.report_unknown(root, "", &KEYS, |_| None);
    if reading.problems.is_empty() && read.policy.rules.is_empty() {
        reading.report_line(
            None,
            "",
            "it has neither a preset nor a rule, so that nothing would be limited; write preset = \"standard\" above all else"
                .to_owned(),
        );
    }
    reading
        .problems
        .sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    if reading.problems.is_empty() {
        Ok(read)
    } else {
        Err(reading.problems)
    }
}

/// What the rules of a file change.
enum Base {
    /// The rules of a preset, or none.
    Rules(Vec<LimitRule>),
    /// Nobody knows: what is missing in a rule may be in the preset that was meant.
    Misread,
}

impl Base {
    fn of(preset: Option<Preset>) -> Self {
        Self::Rules(preset.map(|preset| preset.policy().rules).unwrap_or_default())
    }
}

struct Reading<'t> {
    text: &'t str,
    file: Option<&'t Path>,
    problems: Vec<Problem>,
}

/// One rule while it is read.
struct Draft {
    /// As problems name it.
    title: String,
    /// Where it begins.
    at: usize,
    rule: LimitRule,
    /// The parts that are written, and where.
    written: Vec<(&'static str, usize)>,
    /// Those that could not be read.
    misread: Vec<&'static str>,
}

impl Draft {
    fn key(&self, part: &str) -> String {
        format!("{}, {part}", self.title)
    }

    /// The first of these parts that is written.
    fn place(&self, parts: &[&'static str]) -> (&'static str, usize) {
        let written = |part: &&str| self.written.iter().find(|(name, _)| name == part).copied();
        let first = parts.iter().find_map(written);
        first.unwrap_or((parts.first().copied().unwrap_or_default(), self.at))
    }
}

impl Reading<'_> {
    fn report(&mut self, at: usize, key: &str, message: String) {
        self.report_line(Some(line_of(self.text, at)), key, message);
    }

    fn report_line(&mut self, line: Option<usize>, key: &str, message: String) {
        self.problems.push(Problem {
            file: self.file.map(Path::to_owned),
            line,
            key: key.to_owned(),
            message,
        });
    }

    fn report_misread(&mut self, key: &str, misread: Vec<Misread>) {
        for problem in misread {
            self.report(problem.at, key, problem.why);
        }
    }

    fn preset(&mut self, root: &DeTable<'_>) -> Option<Preset> {
        let given = root.get("preset")?;
        let form = OneOf(Preset::ALL.map(|preset| (preset.as_str(), preset)).to_vec());
        form.read(given)
            .map_err(|misread| self.report_misread("preset", misread))
            .ok()
    }

    /// The networks that are exempt, each with the reason where one is given.
    fn exempt(&mut self, root: &DeTable<'_>) -> Vec<(IpNet, Option<String>)> {
        let Some(given) = root.get("exempt") else {
            return Vec::new();
        };
        let Some(elements) = given.get_ref().as_array() else {
            let message = "it is not a list; write exempt = [\"10.0.0.0/8\"]".to_owned();
            self.report(given.span().start, "exempt", message);
            return Vec::new();
        };
        if elements.len() > MOST_EXEMPT {
            let message = format!("{} networks are too many; the most is {MOST_EXEMPT}", elements.len());
            self.report(given.span().start, "exempt", message);
            return Vec::new();
        }
        let mut exempt: Vec<(IpNet, Option<String>)> = Vec::new();
        for element in elements {
            let Some((network, reason)) = self.exemption(element) else {
                continue;
            };
            if exempt.iter().any(|(known, _)| *known == network) {
                self.report(
                    element.span().start,
                    "exempt",
                    format!("{network} is in the list twice"),
                );
            } else {
                exempt.push((network, reason));
            }
        }
        exempt
    }

    fn exemption(&mut self, element: &Given<'_>) -> Option<(IpNet, Option<String>)> {
        let DeValue::Table(table) = element.get_ref() else {
            let read = network().read(element);
            return read
                .map_err(|misread| self.report_misread("exempt", misread))
                .ok()
                .map(|network| (network, None));
        };
        self.report_unknown(table, "exempt", &["network", "reason"], |_| None);
        let reason = table.get("reason").map(|given| line().read(given)).transpose();
        let reason = reason
            .map_err(|misread| self.report_misread("exempt, reason", misread))
            .ok();
        let Some(given) = table.get("network") else {
            let message = "the network is missing; write { network = \"10.0.0.0/8\", reason = \"..\" }".to_owned();
            self.report(element.span().start, "exempt", message);
            return None;
        };
        let network = network()
            .read(given)
            .map_err(|misread| self.report_misread("exempt, network", misread))
            .ok();
        Some((network?, reason?))
    }

    /// The rules of the base, changed and added to.
    fn rules(&mut self, root: &DeTable<'_>, base: Base) -> Vec<LimitRule> {
        let (mut rules, complete) = match base {
            Base::Rules(rules) => (rules, true),
            Base::Misread => (Vec::new(), false),
        };
        let Some((key, given)) = root.get_key_value("rule") else {
            return rules;
        };
        let Some(tables) = given.get_ref().as_array() else {
            let message = "there are several rules; begin each with [[rule]], in two brackets".to_owned();
            self.report(key.span().start, "rule", message);
            return rules;
        };
        let inherited = rules.clone();
        let mut named: Vec<(RuleName, usize)> = Vec::new();
        for (index, element) in tables.iter().enumerate() {
            let at = element.span().start;
            let Some(table) = element.get_ref().as_table() else {
                self.report(
                    at,
                    &format!("rule {}", index + 1),
                    "it is no rule; begin each with [[rule]]".to_owned(),
                );
                continue;
            };
            let Some(draft) = self.rule(table, at, index, &inherited, complete) else {
                continue;
            };
            let (_, place) = draft.place(&["name"]);
            let name = draft.rule.name.clone();
            if let Some((_, line)) = named.iter().find(|(known, _)| *known == name) {
                let message = format!("line {line} has a rule of this name already; give one of them another");
                self.report(place, &draft.key("name"), message);
                continue;
            }
            named.push((name.clone(), line_of(self.text, place)));
            match rules.iter_mut().find(|rule| rule.name == name) {
                Some(rule) => *rule = draft.rule,
                None => rules.push(draft.rule),
            }
        }
        if rules.len() > MOST_RULES {
            let message = format!(
                "{} rules are too many; the most is {MOST_RULES}, the preset's among them",
                rules.len()
            );
            self.report(key.span().start, "rule", message);
        }
        rules
    }

    /// One rule, with what is wrong with it reported. `None`: it has no name to go by.
    fn rule(
        &mut self,
        table: &DeTable<'_>,
        at: usize,
        index: usize,
        inherited: &[LimitRule],
        complete: bool,
    ) -> Option<Draft> {
        let nameless = format!("rule {}", index + 1);
        let before = self.problems.len();
        let name = self.name(table, &nameless);
        if name.is_none() && self.problems.len() == before {
            let message = "it is missing; write for example: name = \"sign-in.night\"".to_owned();
            self.report(at, &format!("{nameless}, name"), message);
        }
        let base = name
            .as_ref()
            .and_then(|name| inherited.iter().find(|rule| rule.name == *name));
        let title = name.as_ref().map_or(nameless, |name| format!("rule {name}"));
        let mut draft = Draft {
            title,
            at,
            rule: base.cloned().unwrap_or_else(|| blank(name.as_ref())),
            written: Vec::new(),
            misread: Vec::new(),
        };
        if let Some((key, _)) = table.get_key_value("name") {
            draft.written.push(("name", key.span().start));
        }
        self.parts(table, &mut draft);
        if let Some(name) = name.as_ref().filter(|_| base.is_none() && complete) {
            self.report_missing(&draft, name, inherited);
        }
        self.report_unknown(table, &draft.title, &PARTS, |key| {
            (key == "exempt" || key == "preset").then(|| {
                format!("{key} belongs above the first [[rule]]: whatever stands below one is read as a part of it")
            })
        });
        for found in nonsense(&draft.rule) {
            let known = |part: &&str| draft.misread.contains(part) || (base.is_none() && is_missing(&draft, part));
            if !found.parts.iter().any(known) {
                let (part, place) = draft.place(found.parts);
                self.report(place, &draft.key(part), found.why);
            }
        }
        name.map(|_| draft)
    }

    fn name(&mut self, table: &DeTable<'_>, nameless: &str) -> Option<RuleName> {
        let form = Text {
            parse: |text| {
                let name = RuleName::parse(text).ok_or_else(|| {
                    let text = printable(text);
                    format!(
                        "{text:?} is no name; take lower-case letters, digits and the signs . + -, at most 48 of them"
                    )
                })?;
                reserved(&name).map_or(Ok(name), |why| Err(why.to_owned()))
            },
            print: RuleName::to_string,
            schema: json!({}),
        };
        let given = table.get("name")?;
        let read = form.read(given);
        read.map_err(|misread| self.report_misread(&format!("{nameless}, name"), misread))
            .ok()
    }

    /// Puts what is written in the place of what is inherited.
    fn parts(&mut self, table: &DeTable<'_>, draft: &mut Draft) {
        if let Some(endpoints) = self.part(table, draft, "endpoint", &OneOrMore(endpoint())) {
            draft.rule.endpoints = endpoints;
        }
        let keys = OneOf(KeyKind::ALL.map(|key| (key.as_str(), key)).to_vec());
        if let Some(key) = self.part(table, draft, "key", &keys) {
            draft.rule.key = key;
        }
        if let Some(quota) = self.part(table, draft, "quota", &parsed::<Quota>(json!({}))) {
            draft.rule.quota = quota;
        }
        let lanes = OneOf(LaneFilter::ALL.map(|lane| (lane.as_str(), lane)).to_vec());
        if let Some(lane) = self.part(table, draft, "lane", &lanes) {
            draft.rule.lane = lane;
        }
        let most = Count {
            least: 1,
            most: 1_000_000,
        };
        if let Some(in_flight) = self.part(table, draft, "in_flight", &most) {
            draft.rule.in_flight = Some(in_flight);
        }
        let actions = OneOf(Action::ALL.map(|action| (action.as_str(), action)).to_vec());
        if let Some(action) = self.part(table, draft, "action", &actions) {
            draft.rule.action = action;
        }
        if let Some(enabled) = self.part(table, draft, "enabled", &Switch) {
            draft.rule.enabled = enabled;
        }
    }

    fn part<F: Form>(
        &mut self,
        table: &DeTable<'_>,
        draft: &mut Draft,
        part: &'static str,
        form: &F,
    ) -> Option<F::Value> {
        let (key, given) = table.get_key_value(part)?;
        draft.written.push((part, key.span().start));
        match form.read(given) {
            Ok(value) => Some(value),
            Err(misread) => {
                draft.misread.push(part);
                self.report_misread(&draft.key(part), misread);
                None
            }
        }
    }

    /// A rule that no preset has says all that it needs.
    fn report_missing(&mut self, draft: &Draft, name: &RuleName, inherited: &[LimitRule]) {
        let near = nearest(name.as_str(), inherited.iter().map(|rule| rule.name.as_str()));
        let meant = near.map_or_else(String::new, |near| format!("; or is {near} of the preset meant?"));
        for (part, example) in NEEDED {
            if is_missing(draft, part) {
                let message = format!("it is missing; write for example: {part} = \"{example}\"{meant}");
                self.report(draft.at, &draft.key(part), message);
            }
        }
    }

    /// Everything in a table that is none of these keys. `instead` knows better than a guess.
    fn report_unknown(
        &mut self,
        table: &DeTable<'_>,
        title: &str,
        known: &[&str],
        instead: impl Fn(&str) -> Option<String>,
    ) {
        let mut keys: Vec<_> = table.keys().filter(|key| !known.contains(&&**key.get_ref())).collect();
        keys.sort_by_key(|key| key.span().start);
        for key in keys {
            let (name, at) = (key.get_ref(), key.span().start);
            let path = if title.is_empty() {
                printable(name)
            } else {
                format!("{title}, {}", printable(name))
            };
            let message = instead(name).unwrap_or_else(|| match nearest(name, known.iter().copied()) {
                Some(near) => format!("there is no such key; did you mean {near}?"),
                None => format!("there is no such key; remove it, or write one of {}", known.join(", ")),
            });
            self.report(at, &path, message);
        }
    }
}

/// What a rule cannot do without, with examples.
const NEEDED: [(&str, &str); 3] = [("endpoint", "sign-in"), ("key", "client"), ("quota", "10 per 15m")];

fn is_missing(draft: &Draft, part: &str) -> bool {
    NEEDED.iter().any(|(needed, _)| *needed == part) && !draft.written.iter().any(|(written, _)| *written == part)
}

/// A rule of which nothing is known yet but what it is without a word.
fn blank(name: Option<&RuleName>) -> LimitRule {
    let standard = Preset::Standard.policy().rules;
    let any = standard.into_iter().next();
    #[expect(clippy::expect_used, reason = "the preset has rules, which a test reads")]
    let any = any.expect("a rule of the preset");
    LimitRule {
        name: name.cloned().unwrap_or(any.name),
        endpoints: vec![Endpoint::SignIn],
        key: KeyKind::Client,
        lane: LaneFilter::default(),
        quota: any.quota,
        in_flight: None,
        action: Action::default(),
        enabled: true,
    }
}

fn endpoint() -> OneOf<Endpoint> {
    OneOf(Endpoint::ALL.map(|endpoint| (endpoint.as_str(), endpoint)).to_vec())
}

/// One value, or a list of them.
struct OneOrMore<F>(F);

impl<F: Form<Value: PartialEq>> Form for OneOrMore<F> {
    type Value = Vec<F::Value>;

    fn read(&self, given: &Given<'_>) -> Result<Self::Value, Vec<Misread>> {
        if given.get_ref().is_array() {
            return List { of: &self.0, least: 1 }.read(given);
        }
        self.0.read(given).map(|value| vec![value])
    }

    fn write(&self, value: &Self::Value) -> toml::Value {
        match value.as_slice() {
            [one] => self.0.write(one),
            several => several
                .iter()
                .map(|value| self.0.write(value))
                .collect::<Vec<_>>()
                .into(),
        }
    }

    fn schema(&self) -> serde_json::Value {
        let one = self.0.schema();
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
