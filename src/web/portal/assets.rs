//! Style sheets, the script and pictures.

use std::sync::Arc;

use http::header::IF_NONE_MATCH;

use crate::domain::fault::Fault;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::problem::{Failure, Problem};
use super::super::respond::entity_tag;
use super::super::visit::Visit;

/// One file. Under its version it may be kept for ever, else it is asked for again each time.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let name = visit.path.rsplit('/').next().unwrap_or_default();
    let Some(file) = desk.assets.find(name) else {
        return Ok(Answer::problem(Problem::Failed(Failure::NotFound)));
    };
    let tag = entity_tag(file);
    let known = visit.headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',')
            .any(|known| known.trim().trim_start_matches("W/") == tag)
    });
    if known {
        return Ok(Answer::not_modified(file.clone()));
    }
    let pinned = visit.query.sole("v").as_deref() == Some(&*file.version);
    Ok(Answer::file(file.clone(), pinned))
}
