//! Which policies are in force.

use std::sync::Arc;

use super::policy::Policy;

/// The policy that decides, and the one that is on trial beside it: it sees every attempt and stops none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regime {
    /// Decides.
    pub active: Arc<Policy>,
    /// On trial.
    pub candidate: Option<Arc<Policy>>,
}
