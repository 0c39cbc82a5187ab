//! [`Rooms`]: what an address knows of the accounts that have no room for it, and goes by when it looks for the next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};

use super::Chance;

/// The accounts that have turned one address away.
#[derive(Default)]
pub(super) struct Rooms {
    away: HashSet<u32>,
    /// When each of these has room again.
    back: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Rooms {
    /// So often an address looks for an account that has not turned it away; then it takes the first.
    const LOOKS: usize = 64;

    /// Notes that an account has no room until then. Answers when the first has, once none of so many accounts has any.
    pub fn turned_away(&mut self, account: u32, until: u64, accounts: u32) -> Option<u64> {
        if self.away.insert(account) {
            self.back.push(Reverse((until, account)));
        }
        let first = self.back.peek().map(|Reverse((until, _))| *until);
        first.filter(|_| self.away.len() >= accounts as usize)
    }

    /// Takes one of those that are ready. Nobody has been turned away: the first. Else one that has room again, or from a
    /// place drawn by chance on one that has not turned this address away: addresses that go around one circle with one
    /// step would each meet the same few.
    pub fn next(&mut self, ready: &mut VecDeque<u32>, now: u64, chance: &mut Chance) -> Option<u32> {
        while let Some(account) = self.has_room_again(now) {
            if let Some(place) = ready.iter().position(|other| *other == account) {
                return ready.swap_remove_front(place);
            }
        }
        if self.away.is_empty() || ready.is_empty() {
            return ready.pop_front();
        }
        let count = ready.len();
        let from = usize::try_from(chance.below(count as u64)).unwrap_or_default();
        let place = (from..from + count.min(Self::LOOKS))
            .map(|place| place % count)
            .find(|place| {
                let account = ready.get(*place);
                account.is_some_and(|account| !self.away.contains(account))
            });
        ready.swap_remove_front(place.unwrap_or_default())
    }

    fn has_room_again(&mut self, now: u64) -> Option<u32> {
        let Reverse((until, account)) = *self.back.peek()?;
        if until > now {
            return None;
        }
        self.back.pop();
        self.away.remove(&account);
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_nobody_turned_away_takes_the_first() {
        let mut ready = VecDeque::from([4, 2, 7]);
        let mut rooms = Rooms::default();
        let mut chance = Chance(1);
        assert_eq!(rooms.next(&mut ready, 0, &mut chance), Some(4));
        assert_eq!(ready, [2, 7]);
        assert_eq!(rooms.next(&mut VecDeque::new(), 0, &mut chance), None);
    }

    #[test]
    fn accounts_are_counted_once_however_often_they_turn_an_address_away() {
        let mut rooms = Rooms::default();
        for _ in 0..5 {
            assert_eq!(rooms.turned_away(0, 30, 3), None);
        }
        assert_eq!(rooms.turned_away(1, 20, 3), None);
        assert_eq!(rooms.turned_away(2, 40, 3), Some(20));
    }

    #[test]
    fn an_account_that_has_turned_an_address_away_is_not_tried_before_it_has_room() {
        let mut rooms = Rooms::default();
        let mut chance = Chance(1);
        for account in 0..9 {
            rooms.turned_away(account, 50 + u64::from(account), 20);
        }
        for now in 0..50 {
            let mut ready = (0..10).collect();
            assert_eq!(rooms.next(&mut ready, now, &mut chance), Some(9), "at {now}");
            assert_eq!(ready.len(), 9);
        }
        let mut ready = (0..10).collect();
        assert_eq!(
            rooms.next(&mut ready, 51, &mut chance),
            Some(0),
            "the first that has room again"
        );
    }
}
