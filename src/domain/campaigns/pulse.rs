//! [`Pulse`]: what was tried in the last minute, for somebody who looks on.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::record::{AttemptRecord, Verdict};

/// What was tried in the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Attempts.
    pub attempts: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that worked.
    pub succeeded: u64,
    /// Those that were stopped.
    pub stopped: u64,
    /// Attempts in each second, the newest last.
    pub seconds: Vec<u64>,
    /// Those that were stopped, by the rule that stopped them; `ban` is no rule but a ban. Most first.
    pub rules: Vec<(String, u64)>,
    /// Where those that failed or were stopped come from, most first; at most [`Pulse::TOP`].
    pub sources: Vec<(IpAddr, u64)>,
}

#[derive(Debug, Default)]
struct Second {
    at: i64,
    attempts: u64,
    failed: u64,
    succeeded: u64,
    stopped: u64,
    rules: BTreeMap<String, u64>,
    sources: HashMap<IpAddr, u64>,
}

/// Counts, second by second.
#[derive(Debug, Default)]
pub struct Pulse(VecDeque<Second>);

impl Pulse {
    /// The seconds that are told of.
    pub const SECONDS: i64 = 60;
    /// The addresses that are told of.
    pub const TOP: usize = 10;
    /// The addresses that are counted in one second.
    const ADDRESSES: usize = 256;

    /// Counts an attempt.
    pub fn note(&mut self, record: &AttemptRecord) {
        let at = record.at.as_second();
        self.set_back(at);
        // Attempts end out of order, and are told in the order of their ends.
        if self.0.back().is_none_or(|newest| newest.at < at) {
            self.0.push_back(Second {
                at,
                ..Second::default()
            });
            self.forget(at);
        }
        let place = self.0.iter().rposition(|second| second.at <= at).unwrap_or_default();
        let Some(second) = self.0.get_mut(place) else {
            return;
        };
        second.attempts += 1;
        second.failed += u64::from(record.outcome == Some(Outcome::Failed));
        let took_place = |outcome| !matches!(outcome, Outcome::Failed | Outcome::NotTried);
        second.succeeded += u64::from(record.outcome.is_some_and(took_place));
        let rule = match &record.active {
            Verdict::Refused(rule) => Some(rule.as_str()),
            Verdict::Banned => Some("ban"),
            Verdict::Granted | Verdict::Slowed(_) | Verdict::Noted(_) => None,
        };
        if let Some(rule) = rule {
            second.stopped += 1;
            *second.rules.entry(rule.to_owned()).or_default() += 1;
        }
        let address = record.client.limit_key();
        let room = second.sources.len() < Self::ADDRESSES || second.sources.contains_key(&address);
        if room && (rule.is_some() || record.outcome == Some(Outcome::Failed)) {
            *second.sources.entry(address).or_default() += 1;
        }
    }

    /// The last minute, seen from now.
    pub fn traffic(&mut self, now: Timestamp) -> Traffic {
        let now = now.as_second();
        self.set_back(now);
        self.forget(now);
        let mut traffic = Traffic {
            seconds: vec![0; usize::try_from(Self::SECONDS).unwrap_or_default()],
            ..Traffic::default()
        };
        let (mut rules, mut sources) = (BTreeMap::<&str, u64>::new(), HashMap::<IpAddr, u64>::new());
        for second in &self.0 {
            traffic.attempts += second.attempts;
            traffic.failed += second.failed;
            traffic.succeeded += second.succeeded;
            traffic.stopped += second.stopped;
            let place = usize::try_from(second.at - (now - Self::SECONDS + 1)).ok();
            if let Some(slot) = place.and_then(|place| traffic.seconds.get_mut(place)) {
                *slot += second.attempts;
            }
            for (rule, count) in &second.rules {
                *rules.entry(rule).or_default() += count;
            }
            for (address, count) in &second.sources {
                *sources.entry(*address).or_default() += count;
            }
        }
        traffic.rules = rules
            .into_iter()
            .map(|(rule, count)| (rule.to_owned(), count))
            .collect();
        traffic.rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        traffic.sources = sources.into_iter().collect();
        traffic
            .sources
            .sort_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        traffic.sources.truncate(Self::TOP);
        traffic
    }

    /// Forgets what is far ahead: the clock was set back.
    fn set_back(&mut self, now: i64) {
        while self.0.back().is_some_and(|newest| newest.at > now + 10 * Self::SECONDS) {
            self.0.pop_back();
        }
    }

    fn forget(&mut self, now: i64) {
        while self.0.front().is_some_and(|oldest| oldest.at <= now - Self::SECONDS) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::session::tests::at;

    #[test]
    fn the_last_minute_is_told_and_nothing_of_before() {
        let mut pulse = Pulse::default();
        let client = |n: u8| ClientAddr::new([192, 0, 2, n].into());
        for second in 0..100 {
            pulse.note(&Made::wrong(second, client(1), 1, 1).0.record);
            pulse.note(&Made::wrong(second, client(2), 2, 2).stopped().0.record);
            pulse.note(&Made::wrong(second, client(3), 3, 3).right().0.record);
        }
        // Late news of a second ago.
        pulse.note(&Made::wrong(98, client(1), 1, 1).0.record);
        let traffic = pulse.traffic(at(99));
        assert_eq!((traffic.attempts, traffic.failed), (181, 61));
        assert_eq!((traffic.succeeded, traffic.stopped), (60, 60));
        assert_eq!(traffic.seconds[58..], [4, 3]);
        assert_eq!(traffic.rules, [("sign-in.client".to_owned(), 60)]);
        assert_eq!(traffic.sources, [(client(1).ip(), 61), (client(2).ip(), 60)]);
        let traffic = pulse.traffic(at(200));
        assert_eq!((traffic.attempts, traffic.seconds.len()), (0, 60));
    }
}
