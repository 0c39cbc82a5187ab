//! What is known about one request while it is on its way through the gateway.

use std::sync::Arc;
use std::time::Instant;

use http::Method;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::body::BodyCap;
use crate::domain::certificate::ClientCertificate;
use crate::domain::policy::Permit;
use crate::domain::site::Place;
use crate::flows::Tie;
use crate::telemetry::metrics::Outcome;
use crate::web::Across;

use super::bridge::After;
use super::charter::{Charter, Site};
use super::headers::Origin;
use super::intake::Intake;
use super::pulse::{Pulse, Told};
use super::requests::UnderWay;
use super::streams::Leash;
use super::upstream::Route;

/// The state of one request.
#[derive(Debug)]
pub struct Exchange {
    /// What decides about it.
    pub charter: Arc<Charter>,
    /// Names the request in logs and on error pages.
    pub request_id: Arc<str>,
    /// When its head was complete.
    pub started: Instant,
    /// The same by the calendar. Nothing that is decided in the moments after it reads the clock again.
    pub at: Timestamp,
    /// Where it came from, once that is known.
    pub origin: Option<Origin>,
    /// The host it asked for, by its number in the reception, once that is known.
    pub host: Option<usize>,
    /// The number of the site it is for, once that is known.
    pub chosen: Option<usize>,
    /// The certificate that its client proved to hold.
    pub certificate: Option<Box<ClientCertificate>>,
    /// The method and target it is about, when a proxy asks about a request that it forwards itself.
    pub about: Option<Box<(Method, String)>>,
    /// How far it has come.
    pub stage: Stage,
    /// Where it has been among the servers of its upstream.
    pub route: Route,
    /// How much of its body has come in.
    pub intake: Intake,
    /// What becomes of the connection after an answer of ours.
    pub after: After,
    /// What a stream ends with, when somebody is known.
    pub tie: Option<Tie>,
    /// What became of it, as far as is known.
    pub outcome: Outcome,
    /// Binds a stream to its session.
    pub leash: Option<Leash>,
    /// Ends the upstream's part of a stream with its session.
    pub cut: Option<AbortOnDropHandle<()>>,
    /// Hears of traffic that counts as use.
    pub pulse: Option<Pulse>,
    /// What of a stream says something.
    pub told: Told,
    /// The page of another origin that asks, where it may.
    pub across: Option<Box<Across>>,
    /// Counts it.
    _under_way: UnderWay,
}

/// How far a request has come.
#[derive(Debug)]
pub enum Stage {
    /// Its head is here, nothing is decided.
    Received,
    /// The policy let it through. Nothing else makes a request reach the upstream.
    Admitted(Permit),
    /// The gateway answered it itself.
    Answered,
    /// It became a WebSocket, which is carried and counted by itself.
    Carried,
}

/// The name of a request: the run of the gateway it came in, and its number there.
pub fn request_id(run: &str, number: u64) -> Arc<str> {
    const DIGITS: u32 = u64::BITS / 4;
    let leading = number.leading_zeros() / 4;
    let mut id = String::with_capacity(run.len() + 17);
    id.push_str(run);
    id.push('-');
    // The machinery that formats numbers would cost more than all the rest.
    for place in (0..DIGITS - leading.min(DIGITS - 1)).rev() {
        let digit = u32::try_from((number >> (4 * place)) & 15).unwrap_or_default();
        id.push(char::from_digit(digit, 16).unwrap_or_default());
    }
    id.into()
}

impl Exchange {
    /// A request whose head is complete.
    pub fn new(
        charter: Arc<Charter>,
        request_id: Arc<str>,
        (started, at): (Instant, Timestamp),
        under_way: UnderWay,
    ) -> Self {
        Self {
            charter,
            request_id,
            started,
            at,
            origin: None,
            host: None,
            chosen: None,
            certificate: None,
            about: None,
            stage: Stage::Received,
            route: Route::default(),
            intake: Intake::new(BodyCap::Unlimited),
            after: After::Keep,
            tie: None,
            outcome: Outcome::Refused,
            leash: None,
            cut: None,
            pulse: None,
            told: Told::Everything,
            across: None,
            _under_way: under_way,
        }
    }

    /// The site it is for.
    pub fn site(&self) -> Option<&Site> {
        self.charter.site(self.chosen?)
    }

    /// The site that our own pages on its host belong to.
    pub fn front(&self) -> Option<Arc<Place>> {
        let number = self.charter.reception().sites().root(self.host?)?;
        self.charter.site(number).map(|site| Arc::clone(&site.place))
    }

    /// Whether it is a stream whose session has ended.
    pub fn has_ended(&self) -> bool {
        let leash = self.leash.as_ref();
        leash.is_some_and(|leash| leash.ending().token().is_cancelled())
    }

    /// Whether it was let through as somebody known.
    pub fn is_named(&self) -> bool {
        self.permit().is_some_and(|permit| permit.party().is_known())
    }

    /// The proof that it was let through.
    pub const fn permit(&self) -> Option<&Permit> {
        match &self.stage {
            Stage::Admitted(permit) => Some(permit),
            Stage::Received | Stage::Answered | Stage::Carried => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_run_and_its_number() {
        for number in [0, 1, 9, 15, 16, 255, 4096, 0x1234_5678_9abc_def0, u64::MAX] {
            assert_eq!(&*request_id("run", number), format!("run-{number:x}"));
        }
    }
}
