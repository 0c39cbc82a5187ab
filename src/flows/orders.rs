//! What an operator does with orders: ban and lift, exempt, apply another policy for a while.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::domain::account::AccountId;
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::order::{Decree, Kind, Order, OrderId, PolicySource, Target, Words};
use crate::ports::{Orders, PastOrder};

use super::World;

/// Gives orders and ends them.
pub struct OrderOffice {
    /// Where they are kept.
    pub orders: Arc<dyn Orders>,
    /// Time and chance.
    pub world: World,
}

/// What stands beside what an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTerms {
    /// Why, when that was said.
    pub reason: Option<Words>,
    /// Who gives it.
    pub author: Words,
    /// Until when; `None` is for ever.
    pub until: Option<Timestamp>,
}

/// An order that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenOrder {
    /// The order.
    pub order: Order,
    /// The one in force until now whose place it takes.
    pub instead_of: Option<Order>,
}

impl OrderOffice {
    /// Bans somebody or something.
    pub async fn ban(&self, target: Target, terms: OrderTerms) -> Result<GivenOrder, Fault> {
        self.give(Decree::Ban(target), terms).await
    }

    /// Has no rule count clients of this network.
    pub async fn exempt(&self, network: IpNet, terms: OrderTerms) -> Result<GivenOrder, Fault> {
        self.give(Decree::Exempt(network), terms).await
    }

    /// Puts another policy into force in the place of the file's. It has been read before.
    pub async fn apply(&self, source: PolicySource, terms: OrderTerms) -> Result<GivenOrder, Fault> {
        self.give(Decree::Apply(source), terms).await
    }

    /// Lifts a ban, ends an exemption or an applied policy. `None` when there is no such order in force.
    pub async fn end(&self, which: impl Fn(&Order) -> bool) -> Result<Option<Order>, Fault> {
        let Some(order) = self.list().await?.into_iter().find(|order| which(order)) else {
            return Ok(None);
        };
        let event = self
            .world
            .event(Actor::Operator, None, account(&order.decree), ended(&order));
        let ended = self
            .orders
            .end(order.id, self.world.now(), Consequences::event(event))
            .await?;
        Ok(ended.then_some(order))
    }

    /// The orders in force, newest first.
    pub async fn list(&self) -> Result<Vec<Order>, Fault> {
        let (mut orders, _) = self.orders.unended().await?;
        let now = self.world.now();
        orders.retain(|order| !order.is_over(now));
        Ok(orders)
    }

    /// The applied policies and exemptions that were in force at any time from then on, the earliest first.
    pub async fn bearing(&self, since: Timestamp) -> Result<Vec<PastOrder>, Fault> {
        self.orders.bearing(since).await
    }

    /// Writes down that applied policies are over whose time has come, also while nothing ran. Answers which.
    pub async fn settle(&self) -> Result<Vec<OrderId>, Fault> {
        let (orders, _) = self.orders.unended().await?;
        let now = self.world.now();
        let is_due = |order: &&Order| order.decree.kind() == Kind::Policy && order.is_over(now);
        let mut settled = Vec::new();
        for order in orders.iter().filter(is_due) {
            let event = self.world.event(Actor::Gateway, None, None, ended(order));
            if self.orders.end(order.id, now, Consequences::event(event)).await? {
                settled.push(order.id);
            }
        }
        Ok(settled)
    }

    async fn give(&self, decree: Decree, terms: OrderTerms) -> Result<GivenOrder, Fault> {
        let (unended, _) = self.orders.unended().await?;
        let now = self.world.now();
        let instead_of = unended.into_iter().find(|known| known.decree.excludes(&decree));
        let order = Order {
            id: OrderId::new(self.world.uuid()),
            decree,
            reason: terms.reason,
            author: terms.author,
            made_at: now,
            until: terms.until,
        };
        let fact = match order.decree.kind() {
            Kind::Ban => Fact::LimitsBanned(order.summary()),
            Kind::Exemption => Fact::LimitsExempted(order.summary()),
            Kind::Policy => Fact::LimitsApplied(order.summary()),
        };
        let event = |fact| self.world.event(Actor::Operator, None, account(&order.decree), fact);
        let mut then = Consequences::default();
        if let Some(applied) = instead_of.as_ref().filter(|known| known.decree.kind() == Kind::Policy) {
            then = then.and_event(event(ended(applied)));
        }
        self.orders.give(&order, then.and_event(event(fact))).await?;
        Ok(GivenOrder {
            order,
            instead_of: instead_of.filter(|known| !known.is_over(now)),
        })
    }
}

fn account(decree: &Decree) -> Option<AccountId> {
    match decree {
        Decree::Ban(target) => target.account(),
        Decree::Exempt(_) | Decree::Apply(_) => None,
    }
}

fn ended(order: &Order) -> Fact {
    match order.decree.kind() {
        Kind::Ban => Fact::LimitsUnbanned(order.summary()),
        Kind::Exemption => Fact::LimitsExemptionEnded(order.summary()),
        Kind::Policy => Fact::LimitsOverrideEnded(order.summary()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::session::tests::at;
    use crate::ports::{EventFilter, Events, Hand};
    use crate::store::MemoryStore;

    struct Desk {
        office: OrderOffice,
        store: Arc<MemoryStore>,
        hand: Arc<Hand>,
    }

    impl Desk {
        fn new() -> Self {
            let (store, hand) = (Arc::new(MemoryStore::new()), Hand::at(0));
            let world = World::new(Arc::clone(&hand) as _, Arc::clone(&hand) as _);
            let office = OrderOffice {
                orders: Arc::clone(&store) as _,
                world,
            };
            Self { office, store, hand }
        }

        async fn facts(&self) -> Vec<(String, Actor)> {
            let mut events = self.store.list(EventFilter::newest(99)).await.unwrap();
            events.reverse();
            events
                .into_iter()
                .map(|event| (event.fact.name().to_owned(), event.actor))
                .collect()
        }
    }

    fn terms(until: Option<i64>) -> OrderTerms {
        OrderTerms {
            reason: None,
            author: Words::parse("root").unwrap(),
            until: until.map(at),
        }
    }

    fn preset(name: &str) -> PolicySource {
        PolicySource::Preset(name.to_owned())
    }

    #[tokio::test]
    async fn a_ban_is_given_again_with_another_time_and_lifted_once() {
        let desk = Desk::new();
        let target = Target::from_client("203.0.113.7").unwrap();
        let first = desk.office.ban(target, terms(Some(10))).await.unwrap();
        assert_eq!(first.instead_of, None);
        let again = desk.office.ban(target, terms(None)).await.unwrap();
        assert_eq!(again.instead_of, Some(first.order));
        let is_it = |order: &Order| order.decree == Decree::Ban(target);
        assert_eq!(desk.office.end(is_it).await.unwrap(), Some(again.order));
        assert_eq!(desk.office.end(is_it).await.unwrap(), None);
        let names: Vec<_> = desk.facts().await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["limits.banned", "limits.banned", "limits.unbanned"]);
    }

    #[tokio::test]
    async fn an_event_about_the_ban_of_an_account_is_one_of_that_account() {
        let desk = Desk::new();
        let account = AccountId::new(Uuid::from_u128(3));
        desk.office.ban(Target::Account(account), terms(None)).await.unwrap();
        let events = desk.store.list(EventFilter::newest(9)).await.unwrap();
        assert_eq!(events[0].account, Some(account));
    }

    #[tokio::test]
    async fn an_applied_policy_ends_at_its_time_once_and_the_gateway_says_so() {
        let desk = Desk::new();
        let ban = Target::from_client("203.0.113.7").unwrap();
        desk.office.ban(ban, terms(Some(10))).await.unwrap();
        let applied = desk.office.apply(preset("strict"), terms(Some(10))).await.unwrap();
        assert_eq!(desk.office.settle().await.unwrap(), []);
        desk.hand.set(10);
        assert_eq!(desk.office.list().await.unwrap(), []);
        assert_eq!(
            desk.office.settle().await.unwrap(),
            [applied.order.id],
            "bans just pass"
        );
        assert_eq!(desk.office.settle().await.unwrap(), []);
        let last = desk.facts().await.pop().unwrap();
        assert_eq!(last, ("limits.override-ended".to_owned(), Actor::Gateway));
    }

    #[tokio::test]
    async fn another_policy_ends_the_one_before_in_the_events_too() {
        let desk = Desk::new();
        let first = desk.office.apply(preset("strict"), terms(Some(10))).await.unwrap();
        desk.hand.set(20);
        let second = desk.office.apply(preset("relaxed"), terms(Some(30))).await.unwrap();
        assert_eq!(second.instead_of, None, "its time was over");
        assert_ne!(first.order.id, second.order.id);
        let names: Vec<_> = desk.facts().await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["limits.applied", "limits.override-ended", "limits.applied"]);
    }
}
