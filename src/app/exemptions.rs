//! [`Exemptions`]: clients whom no rule of the limits counts, by order of an operator, whichever policies are in force.

use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::domain::limits::regime::Regime;
use crate::flows::StandingOrders;

use super::regime::Governed;

/// Adds the exemptions in force to every policy on its way into force, and sees when they come and pass: by a command or by
/// their time, also when that came while nothing ran.
pub(super) struct Exemptions {
    governed: Arc<dyn Governed>,
    standing: Arc<StandingOrders>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is in force but for the exemptions.
    regime: Regime,
    exempt: Vec<IpNet>,
}

impl Exemptions {
    /// Before this.
    pub fn new(governed: Arc<dyn Governed>, standing: Arc<StandingOrders>) -> Self {
        Self {
            governed,
            state: Mutex::new(State {
                exempt: standing.exempted(),
                ..State::default()
            }),
            standing,
        }
    }

    /// Looks whether orders say something else than before.
    pub fn look(&self) {
        let exempt = self.standing.exempted();
        let mut state = self.state.lock();
        if state.exempt != exempt {
            state.exempt = exempt;
            self.governed.govern(state.whole());
        }
    }
}

impl Governed for Exemptions {
    fn govern(&self, regime: Regime) {
        let mut state = self.state.lock();
        state.regime = regime;
        self.governed.govern(state.whole());
    }
}

impl State {
    fn whole(&self) -> Regime {
        self.regime.clone().exempting(&self.exempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::OsEntropy;
    use crate::domain::event::Consequences;
    use crate::domain::limits::policy::Policy;
    use crate::domain::order::Decree;
    use crate::domain::order::tests::order;
    use crate::flows::World;
    use crate::ports::{Hand, Orders};
    use crate::store::{LimiterTerms, MemoryLimiter, MemoryStore};

    struct Scene {
        store: Arc<MemoryStore>,
        hand: Arc<Hand>,
        standing: Arc<StandingOrders>,
        limiter: Arc<MemoryLimiter>,
    }

    impl Scene {
        fn new() -> Self {
            let (store, hand) = (Arc::new(MemoryStore::new()), Hand::at(0));
            let world = World::new(Arc::clone(&hand) as _, Arc::new(OsEntropy));
            let terms = LimiterTerms::alone(9, [0; 32], Arc::clone(&hand) as _, Arc::new(OsEntropy));
            Self {
                standing: Arc::new(StandingOrders::new(Arc::clone(&store) as _, world)),
                limiter: Arc::new(MemoryLimiter::new(terms)),
                store,
                hand,
            }
        }

        fn begin(&self, named: Regime) -> Exemptions {
            let exemptions = Exemptions::new(Arc::clone(&self.limiter) as _, Arc::clone(&self.standing));
            exemptions.govern(named);
            exemptions
        }

        /// Orders, until this second.
        async fn order(&self, decree: Decree, until: i64) {
            let order = order(1, decree, Some(until));
            self.store.give(&order, Consequences::default()).await.unwrap();
            self.standing.follow().await.unwrap();
        }
    }

    fn exempting(networks: &[&str]) -> Regime {
        let policy = Policy {
            rules: Vec::new(),
            exempt: networks.iter().map(|network| network.parse().unwrap()).collect(),
        };
        Regime {
            active: Arc::new(policy),
            candidate: None,
        }
    }

    #[tokio::test]
    async fn an_exemption_by_order_holds_through_other_policies_and_ends_at_its_time() {
        let scene = Scene::new();
        let exemptions = scene.begin(exempting(&["10.0.0.0/8"]));
        let exempt = || scene.limiter.regime().active.exempt.clone();
        assert_eq!(exempt(), exempting(&["10.0.0.0/8"]).active.exempt);
        scene.order(Decree::Exempt("192.0.2.0/24".parse().unwrap()), 60).await;
        exemptions.look();
        assert_eq!(exempt(), exempting(&["10.0.0.0/8", "192.0.2.0/24"]).active.exempt);
        exemptions.govern(exempting(&[]));
        assert_eq!(exempt(), exempting(&["192.0.2.0/24"]).active.exempt);
        scene.hand.set(60);
        exemptions.look();
        assert!(exempt().is_empty());
    }

    #[tokio::test]
    async fn an_order_of_before_the_start_holds_from_the_start() {
        let scene = Scene::new();
        scene.order(Decree::Exempt("192.0.2.0/24".parse().unwrap()), 60).await;
        let _exemptions = scene.begin(exempting(&[]));
        assert_eq!(scene.limiter.regime().active.exempt.len(), 1);
    }
}
