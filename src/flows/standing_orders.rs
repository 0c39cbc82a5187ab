//! [`StandingOrders`]: the orders in force, in memory, for everything that has to ask at once: connections before TLS,
//! requests, attempts to sign in.
//!
//! They are read before the first connection is taken, and again when one is given or ended. While the store does not
//! answer, the last ones known stay in force: an outage lifts no ban.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::fault::Fault;
use crate::domain::limits::NameDigest;
use crate::domain::order::{Order, Standing};
use crate::ports::Orders;

use super::World;

/// Knows the orders in force.
pub struct StandingOrders {
    orders: Arc<dyn Orders>,
    world: World,
    standing: ArcSwap<Standing>,
    /// The revision that `standing` is of.
    revision: Mutex<Option<i64>>,
}

impl StandingOrders {
    /// Nothing is known yet: [`StandingOrders::follow`] comes first.
    pub fn new(orders: Arc<dyn Orders>, world: World) -> Self {
        Self {
            orders,
            world,
            standing: ArcSwap::default(),
            revision: Mutex::default(),
        }
    }

    /// Takes up what was given or ended since. Answers whether anything was.
    ///
    /// # Errors
    /// The store's; what was known stays in force.
    pub async fn follow(&self) -> Result<bool, Fault> {
        let newest = self.orders.revision().await?;
        if *self.revision.lock() == Some(newest) {
            return Ok(false);
        }
        let (orders, revision) = self.orders.unended().await?;
        self.standing.store(Arc::new(Standing::new(orders)));
        *self.revision.lock() = Some(revision);
        Ok(true)
    }

    /// Whether this client is kept out.
    pub fn bans(&self, client: ClientAddr) -> bool {
        let standing = self.standing.load();
        standing.bans_addresses() && standing.bans_address(client.ip(), self.world.now())
    }

    /// Whether nobody may sign in to this account.
    pub fn bans_account(&self, account: AccountId) -> bool {
        self.standing.load().bans_account(account, self.world.now())
    }

    /// Whether attempts that are counted under the pseudonym of this text come to nothing.
    pub fn bans_name(&self, pseudonym: impl FnOnce() -> NameDigest) -> bool {
        let standing = self.standing.load();
        standing.bans_pseudonyms() && standing.bans_pseudonym(pseudonym(), self.world.now())
    }

    /// Whether this device is to be a stranger's. `pseudonym` makes the one of a text.
    pub fn bans_device(&self, device: &Device, pseudonym: impl FnOnce(&str) -> NameDigest) -> bool {
        let standing = self.standing.load();
        standing.bans_pseudonyms() && standing.bans_device(pseudonym(&device.text()), self.world.now())
    }

    /// Whether no rule of the limits counts this client.
    pub fn exempts(&self, client: ClientAddr) -> bool {
        self.standing.load().exempts(client.ip(), self.world.now())
    }

    /// The networks that no rule counts now.
    pub fn exempted(&self) -> Vec<IpNet> {
        self.standing.load().exempted(self.world.now())
    }

    /// How many orders of each kind are in force.
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        self.standing.load().counts(self.world.now())
    }

    /// Whether the time of an applied policy is over and nobody has written that down.
    pub fn has_overdue_policy(&self) -> bool {
        self.standing.load().has_overdue_policy(self.world.now())
    }

    /// The order by which another policy than the file's is in force now.
    pub fn policy(&self) -> Option<Order> {
        let standing = self.standing.load();
        standing.policy(self.world.now()).map(|(order, _)| order.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::event::Consequences;
    use crate::domain::order::OrderId;
    use crate::domain::order::tests::ban;
    use crate::domain::session::tests::at;
    use crate::ports::{Hand, PastOrder};
    use crate::store::MemoryStore;

    /// A store that can be pulled out.
    #[derive(Default)]
    struct Socket {
        store: MemoryStore,
        is_out: std::sync::atomic::AtomicBool,
    }

    impl Socket {
        fn plugged(&self) -> Result<&MemoryStore, Fault> {
            if self.is_out.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(Fault::unavailable("could not read", "it is pulled out"));
            }
            Ok(&self.store)
        }
    }

    #[async_trait::async_trait]
    impl Orders for Socket {
        async fn give(&self, order: &Order, then: Consequences) -> Result<(), Fault> {
            self.plugged()?.give(order, then).await
        }

        async fn end(&self, id: OrderId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
            self.plugged()?.end(id, now, then).await
        }

        async fn unended(&self) -> Result<(Vec<Order>, i64), Fault> {
            self.plugged()?.unended().await
        }

        async fn bearing(&self, since: Timestamp) -> Result<Vec<PastOrder>, Fault> {
            self.plugged()?.bearing(since).await
        }

        async fn revision(&self) -> Result<i64, Fault> {
            self.plugged()?.revision().await
        }

        async fn sweep(&self, before: Timestamp, bearing: Timestamp) -> Result<u64, Fault> {
            Orders::sweep(self.plugged()?, before, bearing).await
        }
    }

    #[tokio::test]
    async fn an_outage_of_the_store_lifts_no_ban_and_time_does() {
        let (socket, hand) = (Arc::new(Socket::default()), Hand::at(0));
        let world = World::new(Arc::clone(&hand) as _, Arc::clone(&hand) as _);
        let client = ClientAddr::new("203.0.113.7".parse().unwrap());
        let standing = StandingOrders::new(Arc::clone(&socket) as _, world);
        assert!(standing.follow().await.unwrap() && !standing.bans(client));
        let ban = ban(1, "203.0.113.7", Some(100));
        socket.give(&ban, Consequences::default()).await.unwrap();
        assert!(standing.follow().await.unwrap() && standing.bans(client));
        assert!(!standing.follow().await.unwrap(), "nothing has changed");
        socket.is_out.store(true, std::sync::atomic::Ordering::SeqCst);
        standing.follow().await.unwrap_err();
        assert!(standing.bans(client), "the last known stay in force");
        hand.set(100);
        assert!(!standing.bans(client), "its time is over, store or not");
        hand.set(50);
        socket.is_out.store(false, std::sync::atomic::Ordering::SeqCst);
        socket.end(ban.id, at(50), Consequences::default()).await.unwrap();
        assert!(standing.follow().await.unwrap() && !standing.bans(client));
    }
}
