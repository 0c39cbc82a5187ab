//! Where a sign-in in a small window ends. The window tells the pages of its origin and closes.

use std::sync::Arc;

use minijinja::context;
use serde_json::json;

use crate::domain::fault::Fault;

use super::super::answer::{Answer, Page};
use super::super::desk::Desk;
use super::super::visit::Visit;

/// The page, whose script does both.
pub(in super::super) async fn show(_desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    if !visit.wants_page() {
        return Ok(Answer::json(json!({ "signed_in": true })));
    }
    Ok(Answer::page(Page {
        account_language: visit.principal.as_ref().map(|principal| principal.account.language),
        ..Page::new("signed_in.html", context! {})
    }))
}
