//! `sekisho limits suggest`: quotas that fit what people did, and why.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::domain::limits::Quota;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::{Action, KeyKind, LimitRule, Policy, RuleName};
use crate::domain::limits::replay::Replayed;
use crate::domain::limits::simulate::reach_of_one_account;
use crate::domain::limits::tradeoff::{Standing, counts};

use super::super::output::{CARE, Output, STRONG};
use super::policies::{self, Named};
use super::sweep::{Swept, reach, replay_all, sweep};
use super::trace::{Trace, TraceArgs};

#[derive(Args)]
pub struct SuggestArgs {
    #[command(flatten)]
    trace: TraceArgs,
    /// The policy to begin with: a file, or relaxed, standard or strict [default: the one in force]
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A rule and the quota it had better have.
#[derive(Debug, Serialize)]
pub struct Advice {
    rule: RuleName,
    now: String,
    better: String,
    why: String,
}

/// What changes, and what it comes to.
#[derive(Debug, Serialize)]
struct Suggestion {
    policy: String,
    people: u64,
    attempts: u64,
    /// Whether there is too little to go by.
    thin: bool,
    advice: Vec<Advice>,
    before: Figures,
    after: Figures,
}

#[derive(Debug, Serialize)]
struct Figures {
    people_stopped: u64,
    guesses_possible: u64,
    /// Whether more guesses are possible than were simulated.
    cut: bool,
    refused: u64,
}

/// With fewer people than this, what they did says little about others.
const FEW: u64 = 20;

impl SuggestArgs {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let base = policies::typed_or_in_force(self.policy.as_deref(), config)?;
        let trace = self.trace.open(config)?;
        let suggestion = suggest(&trace, &base)?;
        if self.json {
            output.json(&suggestion)?;
            return Ok(ExitCode::SUCCESS);
        }
        suggestion.tell(output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Each rule is tried by itself, the others as they are; then all that is advised together.
fn suggest(trace: &Trace, base: &Named) -> anyhow::Result<Suggestion> {
    let mut better = Policy::clone(&base.policy);
    let mut advice = Vec::new();
    for rule in base.policy.rules.iter().filter(|rule| is_tunable(rule)) {
        let swept = sweep(trace, base, rule, &around(rule.quota))?;
        if let Some((quota, why)) = best(&swept) {
            if let Some(changed) = better.with_quota(&rule.name, quota) {
                better = changed;
            }
            advice.push(Advice {
                rule: rule.name.clone(),
                now: rule.quota.to_string(),
                better: quota.to_string(),
                why,
            });
        }
    }
    let policies = [Arc::clone(&base.policy), Arc::new(better)];
    let told = replay_all(trace, &policies)?;
    let figures = |index: usize| -> Option<(Figures, &Replayed)> {
        let (replayed, policy) = (told.get(index)?, policies.get(index)?);
        let reach = reach_of_one_account(policy);
        let figures = Figures {
            people_stopped: replayed.people.stopped,
            guesses_possible: reach.guesses,
            cut: reach.cut,
            refused: replayed.refused,
        };
        Some((figures, replayed))
    };
    let Some(((before, all), (after, _))) = figures(0).zip(figures(1)) else {
        anyhow::bail!("nothing was tried");
    };
    Ok(Suggestion {
        policy: base.name.clone(),
        people: all.people.seen,
        attempts: all.attempts,
        thin: all.people.seen < FEW,
        advice,
        before,
        after,
    })
}

/// Rules that stop guessing and whose quota can be tried on a record.
fn is_tunable(rule: &LimitRule) -> bool {
    let counted = matches!(
        rule.key,
        KeyKind::Client | KeyKind::Subnet | KeyKind::Account | KeyKind::ClientAccount
    );
    counted && rule.enabled && rule.action == Action::Refuse && rule.endpoints.contains(&Endpoint::SignIn)
}

/// Quotas from a fifth to five times as many, the present one among them, in the same time.
fn around(quota: Quota) -> Vec<Quota> {
    let burst = quota.burst();
    let mut bursts = counts((burst / 5).max(2), burst.saturating_mul(5), 12);
    bursts.push(burst);
    bursts.sort_unstable();
    bursts.dedup();
    bursts
        .into_iter()
        .filter_map(|burst| Quota::new(burst, quota.period()))
        .collect()
}

/// The quota that is better than the present one, and why; `None` when none is, or when nobody is there to go by.
///
/// One that stops as few people as any and leaves the fewest guesses of those, with room for one and a half times as much
/// as anybody needed: the next month is not the last one.
fn best(swept: &Swept) -> Option<(Quota, String)> {
    if swept.people == 0 {
        return None;
    }
    let now = swept.cells.iter().find(|cell| cell.point.quota == swept.current)?;
    let fewest = swept.cells.iter().map(|cell| cell.point.stopped).min()?;
    let mut enough: Vec<_> = swept.cells.iter().filter(|cell| cell.point.stopped == fewest).collect();
    enough.sort_by_key(|cell| cell.point.quota.burst());
    let tightest = enough.first()?;
    let roomy = tightest.point.quota.burst().saturating_mul(3).div_ceil(2);
    let chosen = enough
        .iter()
        .find(|cell| cell.point.quota.burst() >= roomy)
        .or(enough.last())?;
    let (old, new) = (&now.point, &chosen.point);
    let tightened = new.guesses < old.guesses || new.guesses == old.guesses && new.quota.burst() < old.quota.burst();
    if new.stopped > old.stopped || new.stopped == old.stopped && !tightened {
        return None;
    }
    let why = if new.stopped < old.stopped {
        format!(
            "of {} people {} would have been stopped with it as it is, and {} with this",
            swept.people, old.stopped, new.stopped
        )
    } else {
        let stopped = match fewest {
            0 => format!("of {} people nobody would have been stopped", swept.people),
            some => format!("it stops no more people than now, {some} of {}", swept.people),
        };
        format!(
            "{stopped}, and {} is the least that is enough for them",
            tightest.point.quota
        )
    };
    let left = if new.guesses == old.guesses {
        "another rule bounds the guesses just as much".to_owned()
    } else {
        let (where_to, now) = (reach(swept.key), old.guesses);
        format!("it leaves {} guesses a day {where_to} instead of {now}", new.guesses)
    };
    let mut why = format!("{why}; {left}");
    if chosen.standing == Standing::Knee {
        why += "; no other quota is as good in both";
    }
    Some((new.quota, why))
}

impl Figures {
    fn guesses(&self) -> String {
        let least = if self.cut { "at least " } else { "" };
        format!("{least}{}", self.guesses_possible)
    }
}

impl Suggestion {
    fn tell(&self, output: &mut Output) -> anyhow::Result<()> {
        output.line(format_args!(
            "{} attempts of {} people, on {}\n",
            self.attempts, self.people, self.policy
        ))?;
        if self.people == 0 {
            return output.line(
                "Nobody signed in among these, so nobody can be found to be stopped: there is nothing to go by.",
            );
        }
        if self.thin {
            output.line(format_args!(
                "{CARE}That is little to go by:{CARE:#} with fewer than {FEW} people who signed in, the next one may be quite \
                 different. Take --since further back.\n"
            ))?;
        }
        if self.advice.is_empty() {
            return output.line("No rule would be better with another quota.");
        }
        for advice in &self.advice {
            output.line(format_args!(
                "{STRONG}{}{STRONG:#}: {} instead of {}: {}.",
                advice.rule, advice.better, advice.now, advice.why
            ))?;
        }
        let (after, before) = (&self.after, &self.before);
        output.line(format_args!(
            "\nTogether: {} people stopped (now {}), {} guesses a day at one account (now {}), {} of {} attempts refused (now \
             {}).\n\nIn the policy file:\n",
            after.people_stopped,
            before.people_stopped,
            after.guesses(),
            before.guesses(),
            after.refused,
            self.attempts,
            before.refused
        ))?;
        for advice in &self.advice {
            output.line(format_args!(
                "[[rule]]\nname = \"{}\"\nquota = \"{}\"\n",
                advice.rule, advice.better
            ))?;
        }
        output.line("Try it first: name the file as limits.candidate, or run sekisho limits replay --policy FILE.")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::sweep::Cell;
    use super::*;
    use crate::domain::limits::tradeoff::{Point, standings};

    fn swept(current: u32, cells: &[(u32, u64, u64)]) -> Swept {
        let quota = |burst| Quota::new(burst, Duration::from_mins(15)).unwrap();
        let points: Vec<_> = cells
            .iter()
            .map(|(burst, stopped, guesses)| Point {
                quota: quota(*burst),
                stopped: *stopped,
                guesses: *guesses,
            })
            .collect();
        Swept {
            policy: "standard".to_owned(),
            rule: RuleName::parse("sign-in.client+account").unwrap(),
            key: KeyKind::ClientAccount,
            current: quota(current),
            people: 312,
            cut: false,
            of_sign_ins: true,
            cells: standings(&points)
                .into_iter()
                .zip(points)
                .map(|(standing, point)| Cell {
                    point,
                    standing,
                    replayed: Replayed::default(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_quota_that_stops_people_is_widened_with_room_to_spare() {
        let (quota, why) = best(&swept(
            3,
            &[(2, 20, 200), (3, 7, 300), (4, 0, 400), (6, 0, 600), (9, 0, 900)],
        ))
        .unwrap();
        assert_eq!(quota.burst(), 6);
        assert!(
            why.starts_with("of 312 people 7 would have been stopped with it as it is, and 0 with this"),
            "{why}"
        );
    }

    #[test]
    fn a_quota_wider_than_anybody_needs_is_tightened() {
        let (quota, why) = best(&swept(10, &[(2, 9, 200), (4, 0, 400), (6, 0, 600), (10, 0, 1000)])).unwrap();
        assert_eq!(quota.burst(), 6);
        assert!(
            why.contains("nobody would have been stopped, and 4 per 15m is the least"),
            "{why}"
        );
        assert!(
            why.contains("600 guesses a day at one account from one address instead of 1000"),
            "{why}"
        );
    }

    #[test]
    fn where_the_present_quota_is_right_nothing_is_advised() {
        assert!(best(&swept(6, &[(2, 9, 200), (4, 0, 400), (6, 0, 600), (10, 0, 1000)])).is_none());
        assert!(best(&swept(3, &[(3, 0, 300), (6, 1, 600)])).is_none());
    }

    #[test]
    fn where_nobody_signed_in_nothing_is_advised() {
        let nobody = Swept {
            people: 0,
            ..swept(10, &[(2, 0, 200), (4, 0, 400), (10, 0, 1000)])
        };
        assert!(best(&nobody).is_none());
    }

    #[test]
    fn quotas_around_the_present_one_have_it_among_them() {
        let quotas = around("10 per 15m".parse().unwrap());
        let bursts: Vec<_> = quotas.iter().map(Quota::burst).collect();
        assert!(
            bursts.contains(&10) && bursts.first() == Some(&2) && bursts.last() == Some(&50),
            "{bursts:?}"
        );
    }
}
