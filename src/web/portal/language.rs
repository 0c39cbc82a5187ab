//! Remembers the language of somebody on a page that has no address of its own, such as an error page.

use std::sync::Arc;

use crate::domain::fault::Fault;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::visit::Visit;

/// Back to where the person was; the cookie is set on the way out, as on every page with `?lang`.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let return_to = desk.return_to(visit.query.sole("return_to").as_deref());
    Ok(Answer::see_other(return_to.as_str()))
}
