//! [`MemoryLimiter`]: the meters of the limits, in a bounded table. The rule itself is `domain::limits`.

use std::collections::{BTreeMap, HashMap};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::limits::{self, Decision, Draw, LimitKey, Meter, NameDigest, Nanos, Quota, Reservation};
use crate::ports::Limiter;

/// Counts attempts in memory. A meter that is not full is never forgotten: where there is no room for another one,
/// the attempt counts in one meter that all such attempts under the same rule share. So a flood of invented names
/// costs bounded memory, and frees nobody from a limit.
pub struct MemoryLimiter {
    table: Mutex<Table>,
    max_meters: usize,
    digest_key: Zeroizing<[u8; 32]>,
}

struct Table {
    meters: HashMap<LimitKey, Slot>,
    /// Every key of `meters`, by the time at which its meter may be forgotten.
    by_full_at: BTreeMap<Place, LimitKey>,
    shared: HashMap<&'static str, Meter>,
    next_number: u64,
}

/// What a table of meters counts, for another process to go on with: its clock begins elsewhere, so each meter is told
/// by the time, in nanoseconds, until it is full.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    meters: Vec<(LimitKey, u64)>,
    /// By the rule under which they are shared.
    shared: Vec<(String, u64)>,
}

/// When a meter is full, and a number that tells meters of the same moment apart.
type Place = (Nanos, u64);

#[derive(Clone, Copy)]
struct Slot {
    meter: Meter,
    number: u64,
}

/// Full meters forgotten with each attempt. An attempt adds at most a few, so the table keeps pace without a pause.
const FORGET_AT_ONCE: usize = 8;

impl MemoryLimiter {
    /// With room for `max_meters`, about 250 bytes each. Names are digested under `key`, so that the table is no
    /// list of names and nobody can choose names that fall together.
    pub fn new(max_meters: usize, key: [u8; 32]) -> Self {
        Self {
            table: Mutex::new(Table {
                meters: HashMap::new(),
                by_full_at: BTreeMap::new(),
                shared: HashMap::new(),
                next_number: 0,
            }),
            max_meters,
            digest_key: Zeroizing::new(key),
        }
    }

    /// Forgets every meter that is full again. Answers how many.
    pub fn sweep(&self, now: Nanos) -> usize {
        self.table.lock().forget_full(now, usize::MAX)
    }

    /// What is counted, for another process.
    pub fn counted(&self, now: Nanos) -> Counted {
        let table = self.table.lock();
        let left = |meter: &Meter| meter.full_at().0.checked_sub(now.0).filter(|left| *left > 0);
        let meters = table.meters.iter();
        let shared = table.shared.iter();
        Counted {
            meters: meters
                .filter_map(|(key, slot)| Some((key.clone(), left(&slot.meter)?)))
                .collect(),
            shared: shared
                .filter_map(|(rule, meter)| Some(((*rule).to_owned(), left(meter)?)))
                .collect(),
        }
    }

    /// Goes on with what another process has counted; of two meters for one key the emptier one counts.
    pub fn take_up(&self, counted: Counted, now: Nanos) {
        let mut table = self.table.lock();
        let meter = |left: u64| Meter::full_at_time(Nanos(now.0.saturating_add(left)));
        for (key, left) in counted.meters {
            let mut room = self.max_meters.saturating_sub(table.meters.len());
            let source = table.source(&key, &mut room);
            let before = table.meter(&key, source);
            table.keep(&key, source, before.emptier(meter(left)));
        }
        for (rule, left) in counted.shared {
            if let Some(rule) = LimitKey::RULES.into_iter().find(|known| *known == rule) {
                let before = table.shared.get(rule).copied().unwrap_or_default();
                table.shared.insert(rule, before.emptier(meter(left)));
            }
        }
    }

    /// How many meters are kept.
    pub fn len(&self) -> usize {
        self.table.lock().meters.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Limiter for MemoryLimiter {
    fn reserve(&self, draws: Vec<Draw>, now: Nanos) -> Decision {
        let mut table = self.table.lock();
        table.forget_full(now, FORGET_AT_ONCE);
        let mut room = self.max_meters.saturating_sub(table.meters.len());
        let drawn_on: Vec<Source> = draws.iter().map(|draw| table.source(&draw.key, &mut room)).collect();
        let mut meters: Vec<(Meter, &Quota)> = draws
            .iter()
            .zip(&drawn_on)
            .map(|(draw, source)| (table.meter(&draw.key, *source), &draw.quota))
            .collect();
        if let Err((retry_after, index)) = limits::reserve(&mut meters, now) {
            return Decision::Refused {
                retry_after,
                rule: draws[index].key.rule(),
            };
        }
        let drawn: Vec<Meter> = meters.into_iter().map(|(meter, _)| meter).collect();
        for ((draw, source), meter) in draws.iter().zip(drawn_on).zip(drawn) {
            table.keep(&draw.key, source, meter);
        }
        Decision::Granted(Reservation(draws))
    }

    fn refund(&self, reservation: &Reservation) {
        let mut table = self.table.lock();
        for draw in &reservation.0 {
            // A key without a meter drew on the shared one, or its meter is full again and forgotten; in that case
            // at most one attempt too many is given to the shared meter.
            let source = if table.meters.contains_key(&draw.key) {
                Source::Own
            } else {
                Source::Shared
            };
            let meter = table.meter(&draw.key, source).refund(&draw.quota);
            table.keep(&draw.key, source, meter);
        }
    }

    fn digest_text(&self, text: &str) -> NameDigest {
        let (mut high, mut low) = ([0; 8], [0; 8]);
        // HMAC takes a key of any length, so this always holds.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.digest_key) {
            mac.update(text.as_bytes());
            let code = mac.finalize().into_bytes();
            high.copy_from_slice(&code[..8]);
            low.copy_from_slice(&code[8..16]);
        }
        NameDigest(u64::from_be_bytes(high), u64::from_be_bytes(low))
    }
}

/// Which meter a draw is made on.
#[derive(Clone, Copy)]
enum Source {
    /// The one of its key, which may be new.
    Own,
    /// The one that keys without room share.
    Shared,
}

impl Table {
    fn source(&self, key: &LimitKey, room: &mut usize) -> Source {
        if self.meters.contains_key(key) {
            return Source::Own;
        }
        if *room == 0 {
            return Source::Shared;
        }
        *room -= 1;
        Source::Own
    }

    fn meter(&self, key: &LimitKey, source: Source) -> Meter {
        match source {
            Source::Own => self.meters.get(key).map(|slot| slot.meter),
            Source::Shared => self.shared.get(key.rule()).copied(),
        }
        .unwrap_or_default()
    }

    fn keep(&mut self, key: &LimitKey, source: Source, meter: Meter) {
        match source {
            Source::Own => self.keep_own(key, meter),
            Source::Shared => {
                self.shared.insert(key.rule(), meter);
            }
        }
    }

    fn keep_own(&mut self, key: &LimitKey, meter: Meter) {
        if let Some(slot) = self.meters.get_mut(key) {
            let key = self.by_full_at.remove(&(slot.meter.full_at(), slot.number));
            slot.meter = meter;
            if let Some(key) = key {
                self.by_full_at.insert((meter.full_at(), slot.number), key);
            }
        } else {
            let number = self.next_number;
            self.next_number += 1;
            self.by_full_at.insert((meter.full_at(), number), key.clone());
            self.meters.insert(key.clone(), Slot { meter, number });
        }
    }

    fn forget_full(&mut self, now: Nanos, most: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < most
            && let Some(first) = self.by_full_at.first_entry()
            && self.meters.get(first.get()).is_none_or(|slot| slot.meter.is_full(now))
        {
            self.meters.remove(&first.remove());
            forgotten += 1;
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn quota(text: &str) -> Quota {
        text.parse().unwrap()
    }

    fn name(number: u64) -> LimitKey {
        LimitKey::SignInName(NameDigest(number, 0))
    }

    fn client(number: u32) -> LimitKey {
        LimitKey::SignInClient(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn draw(key: LimitKey, quota_text: &str) -> Draw {
        Draw {
            key,
            quota: quota(quota_text),
        }
    }

    fn second(n: u64) -> Nanos {
        Nanos(n * 1_000_000_000)
    }

    fn granted(limiter: &MemoryLimiter, draws: Vec<Draw>, now: Nanos) -> Option<Reservation> {
        match limiter.reserve(draws, now) {
            Decision::Granted(reservation) => Some(reservation),
            Decision::Refused { .. } => None,
        }
    }

    #[test]
    fn attempts_in_parallel_get_exactly_the_quota() {
        let limiter = MemoryLimiter::new(1000, [1; 32]);
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for worker in 0..200 {
                let (limiter, count) = (&limiter, &count);
                scope.spawn(move || {
                    let draws = vec![draw(name(1), "10 per 15m"), draw(client(worker), "50 per 15m")];
                    if granted(limiter, draws, second(5)).is_some() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 10);
        assert_eq!(limiter.len(), 11, "a refused attempt leaves no meter behind");
    }

    #[test]
    fn a_refused_attempt_draws_on_none_and_names_the_rule_that_refuses_longest() {
        let limiter = MemoryLimiter::new(1000, [1; 32]);
        assert!(granted(&limiter, vec![draw(name(1), "1 per 1m")], second(0)).is_some());
        for _ in 0..5 {
            let draws = vec![draw(client(1), "2 per 1m"), draw(name(1), "1 per 1m")];
            let Decision::Refused { retry_after, rule } = limiter.reserve(draws, second(10)) else {
                panic!("the name has no room");
            };
            assert_eq!((retry_after.as_secs(), rule), (50, "sign-in.account"));
        }
        for _ in 0..2 {
            assert!(granted(&limiter, vec![draw(client(1), "2 per 1m")], second(10)).is_some());
        }
        assert!(granted(&limiter, vec![draw(client(1), "2 per 1m")], second(10)).is_none());
    }

    #[test]
    fn a_refund_gives_back_exactly_one() {
        let limiter = MemoryLimiter::new(1000, [1; 32]);
        let attempt = || vec![draw(name(1), "3 per 1h"), draw(client(1), "3 per 1h")];
        let mut last = None;
        for _ in 0..3 {
            last = granted(&limiter, attempt(), second(0));
        }
        assert!(granted(&limiter, attempt(), second(0)).is_none());
        limiter.refund(&last.unwrap());
        assert!(granted(&limiter, attempt(), second(0)).is_some());
        assert!(granted(&limiter, attempt(), second(0)).is_none());
    }

    #[test]
    fn a_million_invented_names_take_bounded_memory_and_free_nobody() {
        let limiter = MemoryLimiter::new(100_000, [1; 32]);
        let victim = || vec![draw(name(u64::MAX), "1 per 1h")];
        assert!(granted(&limiter, victim(), second(0)).is_some());
        let mut got_in = 0_u64;
        let quota = quota("5 per 1h");
        for number in 0..1_000_000 {
            let key = name(number);
            got_in += u64::from(granted(&limiter, vec![Draw { key, quota }], second(1)).is_some());
        }
        assert_eq!(limiter.len(), 100_000);
        assert_eq!(got_in, 99_999 + 5, "the rest shares one meter of the same quota");
        assert!(granted(&limiter, victim(), second(2)).is_none(), "still counted");
        assert!(
            granted(&limiter, vec![draw(client(1), "5 per 1h")], second(2)).is_some(),
            "another rule shares another meter"
        );
    }

    #[test]
    fn what_is_full_again_makes_room() {
        let limiter = MemoryLimiter::new(10, [1; 32]);
        for number in 0..20 {
            limiter.reserve(vec![draw(name(number), "1 per 10s")], second(0));
        }
        assert_eq!(limiter.len(), 10);
        assert!(
            granted(&limiter, vec![draw(name(100), "1 per 10s")], second(5)).is_none(),
            "shared"
        );
        assert!(granted(&limiter, vec![draw(name(100), "1 per 10s")], second(10)).is_some());
        assert_eq!(limiter.len(), 3, "eight went, one came");
        assert_eq!(limiter.sweep(second(10)), 2);
        assert_eq!(limiter.sweep(second(20)), 1);
        assert!(limiter.is_empty());
    }

    #[test]
    fn an_attempt_on_the_shared_meter_is_given_back_to_it() {
        let limiter = MemoryLimiter::new(1, [1; 32]);
        assert!(granted(&limiter, vec![draw(name(0), "1 per 1h")], second(0)).is_some());
        let shared = granted(&limiter, vec![draw(name(1), "1 per 1h")], second(0)).unwrap();
        assert!(granted(&limiter, vec![draw(name(2), "1 per 1h")], second(0)).is_none());
        limiter.refund(&shared);
        assert!(granted(&limiter, vec![draw(name(2), "1 per 1h")], second(0)).is_some());
    }

    #[test]
    fn another_process_goes_on_with_what_was_counted() {
        let old = MemoryLimiter::new(2, [1; 32]);
        let attempt = |limiter: &MemoryLimiter, number, now| {
            granted(limiter, vec![draw(name(number), "2 per 1h")], now).is_some()
        };
        for number in [1, 1, 2, 3, 3] {
            assert!(attempt(&old, number, second(1000)), "{number}");
        }
        assert!(!attempt(&old, 4, second(1000)), "3 and 4 share a meter");
        let text = serde_json::to_string(&old.counted(second(1000))).unwrap();
        // Its clock began later, and it has met somebody already.
        let new = MemoryLimiter::new(2, [1; 32]);
        assert!(attempt(&new, 2, second(10)));
        new.take_up(serde_json::from_str(&text).unwrap(), second(10));
        assert!(!attempt(&new, 1, second(10)) && !attempt(&new, 5, second(10)));
        assert!(attempt(&new, 2, second(10)), "one is left of two");
        assert!(!attempt(&new, 1, second(10 + 1799)));
        assert!(attempt(&new, 1, second(10 + 1800)), "as if nothing had happened");
        assert_eq!(
            old.counted(second(1_000_000)),
            Counted::default(),
            "what is full is not told"
        );
    }

    #[test]
    fn names_are_digested_under_the_key() {
        let limiter = MemoryLimiter::new(1, [1; 32]);
        assert_eq!(limiter.digest_text("101"), limiter.digest_text("101"));
        assert_ne!(limiter.digest_text("101"), limiter.digest_text("102"));
        assert_ne!(
            limiter.digest_text("101"),
            MemoryLimiter::new(1, [2; 32]).digest_text("101")
        );
        // RFC 4231 test case 2 shows that it is HMAC-SHA-256, its first 128 bits.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            MemoryLimiter::new(1, key).digest_text("what do ya want for nothing?"),
            NameDigest(0x5bdc_c146_bf60_754e, 0x6a04_2426_0895_75c7)
        );
    }
}
