//! In English.

use std::time::Duration;

use super::{Rate, number};
use crate::domain::limits::Quota;
use crate::domain::limits::advice::Advice;
use crate::domain::limits::allowance::{Allowance, DAY, Scope};
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::reading::{Morning, Rival, Softness, Statement};

use Endpoint as At;

/// The words around a figure.
struct Frame {
    /// Before it.
    lead: &'static str,
    /// What is counted: one, and several.
    unit: [&'static str; 2],
    /// Between the first figure and the second.
    rest: &'static str,
    /// After the figures.
    tail: &'static str,
    /// What nothing limits, where there is no figure.
    endless: &'static str,
}

const GUESSES: [&str; 2] = ["guess", "guesses"];
const WRONG: [&str; 2] = ["wrong password", "wrong passwords"];

const fn frame(endpoint: Endpoint, scope: Scope) -> Frame {
    let (lead, unit, rest, tail, endless) = match (endpoint, scope) {
        (At::SignIn, Scope::Account) => (
            "A stranger gets",
            GUESSES,
            " for one account",
            ", wherever they come from",
            "how often strangers guess at one account, as long as they come from many addresses",
        ),
        (At::SignIn, Scope::ClientAtAccount) => (
            "From one address a stranger gets",
            GUESSES,
            " for one account",
            "",
            "how often one address guesses at one account",
        ),
        (At::SignIn, Scope::Client) => (
            "One address gets",
            WRONG,
            " over all accounts",
            "",
            "how often one address guesses at many accounts",
        ),
        (At::SignIn, Scope::Subnet) => (
            "One network (the /24 of IPv4, the /48 of IPv6) gets",
            WRONG,
            " over all accounts",
            "",
            "how often one network guesses, as long as it uses many addresses",
        ),
        (At::SignIn, Scope::Password) => (
            "With one password strangers get",
            ["try", "tries"],
            " over all accounts",
            "",
            "at how many accounts strangers try the same password",
        ),
        (At::SignIn, _) => (
            "All strangers together get",
            WRONG,
            "",
            "",
            "how often all strangers together guess",
        ),
        (At::ForgotPassword, Scope::Account) => (
            "For one mail address strangers get",
            ["reset request", "reset requests"],
            "",
            "",
            "how often strangers ask for a new password for one mail address",
        ),
        (At::ForgotPassword, _) => (
            "One address gets",
            ["reset request", "reset requests"],
            "",
            "",
            "how often one address asks for new passwords",
        ),
        (At::SetPassword, _) => (
            "One address may open",
            ["link of a letter", "links of letters"],
            "",
            "",
            "how many links of letters one address opens",
        ),
        (At::ChangePassword, _) => (
            "Somebody signed in gets",
            ["try", "tries"],
            " to give the password again",
            "",
            "how often somebody signed in tries the password",
        ),
        (At::ApiToken, _) => (
            "One address may present",
            ["unknown API token", "unknown API tokens"],
            "",
            "",
            "how many unknown API tokens one address presents",
        ),
        (At::AnyRequest, _) => (
            "One address gets",
            ["request", "requests"],
            " to the gateway's own pages",
            "",
            "how often one address asks for the gateway's own pages",
        ),
    };
    Frame {
        lead,
        unit,
        rest,
        tail,
        endless,
    }
}

pub fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Strangers(endpoint, scope, allowance) => {
            let frame = frame(*endpoint, *scope);
            match allowance {
                Some(allowance) => bounded(&frame, allowance),
                None => format!("Nothing limits {}.", frame.endless),
            }
        }
        Statement::Owner(keeps, rivals) => owner(keeps.as_ref(), rivals),
        Statement::Morning(morning) => self::morning(morning.as_ref()),
        Statement::Soft(rule, quota, softness) => soft(rule, quota, *softness),
    }
}

fn bounded(frame: &Frame, allowance: &Allowance) -> String {
    let Frame { lead, rest, tail, .. } = frame;
    let count = |n: u64| format!("{} {}", number(n), frame.unit[usize::from(n != 1)]);
    let figures = match Rate::of(allowance) {
        Rate::Hourly { hour, day } => format!("{} an hour{rest}, {} a day", count(hour), number(day)),
        Rate::Daily(day) => format!("{} a day{rest}", count(day)),
        Rate::OneIn(time) => format!("{} in {}{rest}", count(1), time_in_words(time)),
    };
    format!("{lead} at most {figures}{tail}{}.", first(allowance))
}

fn first(allowance: &Allowance) -> String {
    if let Rate::OneIn(_) = Rate::of(allowance) {
        return match allowance.at_once() {
            1 => String::new(),
            several => format!(", and {} at once at the beginning", number(several)),
        };
    }
    let (day, at_once) = (number(allowance.most_within(DAY)), number(allowance.at_once()));
    format!(" ({day} in the first day, since {at_once} may come at once)")
}

fn owner(keeps: Option<&Allowance>, rivals: &[(Rival, Vec<RuleName>)]) -> String {
    const WHERE: &str = "In a browser that has signed in to the account before,";
    let Some(keeps) = keeps else {
        return format!("{WHERE} nothing limits how often its owner tries.");
    };
    let tries = match keeps.at_once() {
        1 => "one try at once".to_owned(),
        several => format!("{} tries at once", number(several)),
    };
    let rate = match Rate::of(keeps) {
        Rate::Hourly { hour, .. } => format!("{} an hour", number(hour)),
        Rate::Daily(day) => format!("{} a day", number(day)),
        Rate::OneIn(time) => format!("one in {}", time_in_words(time)),
    };
    if rivals.is_empty() {
        return format!("{WHERE} its owner keeps {tries} and {rate}; no stranger can use them up.");
    }
    let rivals: Vec<_> = rivals
        .iter()
        .map(|(rival, rules)| {
            let who = match rival {
                Rival::Anybody => "any stranger",
                Rival::Address => "strangers at the same address",
                Rival::Network => "strangers in the same network",
                Rival::Everybody => "all strangers together",
            };
            format!("{who} ({})", names(rules))
        })
        .collect();
    format!(
        "{WHERE} its owner has {tries} and {rate}; they can be used up by {}, and by nobody else.",
        rivals.join(", by ")
    )
}

fn morning(morning: Option<&Morning>) -> String {
    let Some(morning) = morning else {
        return "Through one address as many people can sign in as like.".to_owned();
    };
    let at_once = morning.at_once.map_or_else(String::new, |most| {
        format!(", at most {} of them at the same moment", number(most))
    });
    format!(
        "At nine o'clock {} people can sign in through one address within {}{at_once}, if one in {} mistypes the password \
         once ({}).",
        number(morning.people),
        time_in_words(Morning::TIME),
        Morning::MISTYPED,
        morning.rule
    )
}

fn soft(rule: &RuleName, quota: &Quota, softness: Softness) -> String {
    let beyond = format!("{} in {}", number(quota.burst().into()), time_in_words(quota.period()));
    match softness {
        Softness::Slow => {
            format!("Beyond {beyond}, {rule} has attempts answered late, by ten seconds at most, and stops none.")
        }
        Softness::Tell => format!("Beyond {beyond}, {rule} tells of it, and stops nobody."),
    }
}

fn names(rules: &[RuleName]) -> String {
    let names: Vec<_> = rules.iter().map(RuleName::as_str).collect();
    names.join(", ")
}

pub fn advice(advice: &Advice) -> String {
    match advice {
        Advice::NeverBites(rule, tighter) => format!(
            "{rule} can never bite: {tighter} counts the same attempts, and runs out first; make {rule} tighter, or remove it"
        ),
        Advice::LocksOwnersOut(rule) => format!(
            "{rule} lets strangers lock the owner of an account out: it counts wrong passwords of known browsers and of \
             strangers together; write lane = \"strangers\""
        ),
        Advice::LocksEverybodyOut(rule) => format!(
            "{rule} lets strangers lock everybody out, at known browsers, too; write lane = \"strangers\", or action = \
             \"notify\""
        ),
        Advice::Unguarded(endpoint) => format!("no rule counts \"{}\": it may be tried without end", endpoint.as_str()),
        Advice::EndlessGuesses => {
            "no rule that refuses counts by account: passwords of one account may be guessed without end from many addresses"
                .to_owned()
        }
        Advice::ExemptsEverybody(network) => {
            format!("exempt: {network} is as good as everybody, and whoever is exempt may guess without end")
        }
        Advice::IdleCap(rule) => format!(
            "{rule}: in_flight is no lower than what the quota lets through at once, so it changes nothing"
        ),
    }
}

fn time_in_words(time: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = time.as_secs();
    let whole = |(unit, _): &&(u64, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, name) = UNITS.iter().find(whole).copied().unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{} {name}{}", number(count), if count == 1 { "" } else { "s" })
}
