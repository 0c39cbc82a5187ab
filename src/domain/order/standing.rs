//! The orders in force, as they are asked for: by address, by account, by pseudonym.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::networks::Networks;
use super::target::Target;
use super::{Decree, Order, PolicySource};
use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;

/// The orders that are not ended, each until its own time: what is asked at a moment is answered for that moment, so that
/// nobody has to look when a ban is over.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    banned: Networks,
    accounts: HashMap<AccountId, Timestamp>,
    devices: HashMap<NameDigest, Timestamp>,
    pseudonyms: HashMap<NameDigest, Timestamp>,
    exempt: Networks,
    exempted: Vec<(IpNet, Timestamp)>,
    policy: Option<Order>,
    /// The kind of each, and until when.
    all: Vec<(&'static str, Timestamp)>,
}

/// The kinds of order, those of bans apart.
const KINDS: [&str; 7] = [
    "address",
    "network",
    "account",
    "device",
    "pseudonym",
    "exemption",
    "policy",
];

impl Standing {
    /// Of these orders.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        let mut standing = Self::default();
        for order in orders {
            standing.add(order);
        }
        standing
    }

    fn add(&mut self, order: Order) {
        let until = order.until.unwrap_or(Timestamp::MAX);
        let kind = match &order.decree {
            Decree::Ban(target) => target.kind(),
            Decree::Exempt(_) | Decree::Apply(_) => order.decree.kind().as_str(),
        };
        self.all.push((kind, until));
        match &order.decree {
            Decree::Ban(Target::Account(account)) => keep(&mut self.accounts, *account, until),
            Decree::Ban(Target::Device(device)) => keep(&mut self.devices, *device, until),
            Decree::Ban(Target::Pseudonym(name)) => keep(&mut self.pseudonyms, *name, until),
            Decree::Ban(Target::Address(address)) => self.banned.add((*address).into(), order.until),
            Decree::Ban(Target::Network(network)) => self.banned.add(*network, order.until),
            Decree::Exempt(network) => {
                self.exempt.add(*network, order.until);
                self.exempted.push((*network, until));
            }
            Decree::Apply(_) => {
                // The newest counts, should two of them ever not be ended.
                let is_newest = |known: &Order| (known.made_at, known.id) < (order.made_at, order.id);
                if self.policy.as_ref().is_none_or(is_newest) {
                    self.policy = Some(order);
                }
            }
        }
    }

    /// Whether this address is kept out.
    pub fn bans_address(&self, address: IpAddr, now: Timestamp) -> bool {
        self.banned.hold(address, now)
    }

    /// Whether any address might be kept out.
    pub fn bans_addresses(&self) -> bool {
        !self.banned.is_empty()
    }

    /// Whether nobody may sign in to this account.
    pub fn bans_account(&self, account: AccountId, now: Timestamp) -> bool {
        holds(&self.accounts, &account, now)
    }

    /// Whether this device is to be a stranger's.
    pub fn bans_device(&self, device: NameDigest, now: Timestamp) -> bool {
        holds(&self.devices, &device, now)
    }

    /// Whether attempts that are counted under this pseudonym come to nothing.
    pub fn bans_pseudonym(&self, name: NameDigest, now: Timestamp) -> bool {
        holds(&self.pseudonyms, &name, now)
    }

    /// Whether anything is banned by a pseudonym, of a device among them.
    pub fn bans_pseudonyms(&self) -> bool {
        !self.devices.is_empty() || !self.pseudonyms.is_empty()
    }

    /// How many orders of each kind are in force now.
    pub fn counts(&self, now: Timestamp) -> [(&'static str, usize); 7] {
        KINDS.map(|kind| {
            let in_force = self.all.iter().filter(|(known, until)| *known == kind && *until > now);
            (kind, in_force.count())
        })
    }

    /// Whether no rule counts clients at this address.
    pub fn exempts(&self, address: IpAddr, now: Timestamp) -> bool {
        self.exempt.hold(address, now)
    }

    /// The networks that no rule counts now.
    pub fn exempted(&self, now: Timestamp) -> Vec<IpNet> {
        let in_force = self.exempted.iter().filter(|(_, until)| *until > now);
        in_force.map(|(network, _)| *network).collect()
    }

    /// Whether there is one whose time is over.
    pub fn has_overdue_policy(&self, now: Timestamp) -> bool {
        self.policy.as_ref().is_some_and(|order| order.is_over(now))
    }

    /// The policy that is in force now in the place of the file's, and the order that says so.
    pub fn policy(&self, now: Timestamp) -> Option<(&Order, &PolicySource)> {
        let order = self.policy.as_ref().filter(|order| !order.is_over(now))?;
        match &order.decree {
            Decree::Apply(source) => Some((order, source)),
            Decree::Ban(_) | Decree::Exempt(_) => None,
        }
    }
}

fn keep<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Timestamp>, key: K, until: Timestamp) {
    let kept = map.entry(key).or_insert(until);
    *kept = until.max(*kept);
}

fn holds<K: std::hash::Hash + Eq>(map: &HashMap<K, Timestamp>, key: &K, now: Timestamp) -> bool {
    map.get(key).is_some_and(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::order::tests::{ban, order};
    use crate::domain::session::tests::at;

    #[test]
    fn each_order_holds_for_its_own_kind_and_until_its_own_time() {
        let account = AccountId::new(Uuid::from_u128(1));
        let digest = NameDigest(1, 2);
        let standing = Standing::new([
            ban(1, "203.0.113.0/24", Some(10)),
            order(2, Decree::Ban(Target::Account(account)), Some(20)),
            order(3, Decree::Ban(Target::Device(digest)), None),
            order(4, Decree::Exempt("10.0.0.0/8".parse().unwrap()), Some(10)),
        ]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(standing.bans_addresses() && standing.bans_pseudonyms());
        assert!(standing.bans_address(address("203.0.113.7"), at(9)));
        assert!(!standing.bans_address(address("203.0.113.7"), at(10)));
        assert!(!standing.bans_address(address("10.0.0.1"), at(0)), "exempt, not banned");
        assert!(standing.bans_account(account, at(19)) && !standing.bans_account(account, at(20)));
        assert!(standing.bans_device(digest, at(99)) && !standing.bans_pseudonym(digest, at(0)));
        assert!(standing.exempts(address("10.1.1.1"), at(9)) && !standing.exempts(address("10.1.1.1"), at(10)));
        assert_eq!(standing.exempted(at(9)).len(), 1);
        let counts = |now| standing.counts(now).map(|(_, count)| count);
        assert_eq!(counts(at(9)), [0, 1, 1, 1, 0, 1, 0]);
        assert_eq!(counts(at(10)), [0, 0, 1, 1, 0, 0, 0]);
        assert!(standing.exempted(at(10)).is_empty() && standing.policy(at(0)).is_none());
        let none = Standing::default();
        assert!(!none.bans_addresses() && !none.bans_pseudonyms());
    }

    #[test]
    fn a_policy_is_in_force_until_its_time_and_the_newest_counts() {
        let apply = |number, name: &str, until| {
            let mut order = order(number, Decree::Apply(PolicySource::Preset(name.to_owned())), until);
            order.made_at = at(i64::try_from(number).unwrap());
            order
        };
        let standing = Standing::new([apply(2, "strict", Some(10)), apply(1, "relaxed", Some(99))]);
        let name = |now| standing.policy(now).map(|(_, source)| source.to_string());
        assert_eq!(name(at(9)).as_deref(), Some("preset strict"));
        assert_eq!(name(at(10)), None, "the earlier one does not come back");
        assert!(!standing.has_overdue_policy(at(9)) && standing.has_overdue_policy(at(10)));
    }
}
