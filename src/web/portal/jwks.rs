//! The public keys, for upstreams that verify the assertion.

use std::sync::Arc;

use crate::domain::fault::Fault;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::visit::Visit;

/// The JWK set.
pub(in super::super) async fn show(desk: Arc<Desk>, _: Arc<Visit>) -> Result<Answer, Fault> {
    Ok(Answer::keys((desk.flows.jwks)()))
}
