//! As whom a request presents itself, and what the policy of its site says to that: people come with a session, programs
//! with an API token, and nobody with both.

use http::HeaderMap;
use jiff::Timestamp;

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::policy::{Permit, Policy, Verdict};
use crate::domain::rule::Asked;
use crate::domain::target::RequestPath;
use crate::flows::{Claim, Clearance, Presented, Refusal, Tie};
use crate::web::{Failure, cookie};

use super::authorization::Authorization;
use super::charter::Charter;

/// As whom a request presents itself.
#[derive(Debug)]
pub enum Caller {
    /// A person, or nobody.
    Person {
        /// The session.
        presented: Presented,
        /// Whether it brings a bearer token that is not ours as well.
        bearer: bool,
    },
    /// A program.
    Program(Claim),
    /// As both, or as several.
    Unclear,
}

/// What is asked, of which policy.
pub struct Case<'a> {
    /// The policy of the site.
    pub policy: &'a Policy,
    /// The path.
    pub path: &'a RequestPath<'a>,
    /// What else the rules look at.
    pub asked: &'a Asked<'a>,
    /// The client.
    pub client: ClientAddr,
    /// When it came.
    pub at: Timestamp,
    /// Names the request in the log.
    pub request: &'a str,
    /// Whether it is forwarded here, and not by a proxy that asks.
    pub forwards: bool,
}

/// The judgement.
#[derive(Debug)]
pub enum Judged {
    /// It may go on; a stream that it opens ends with this.
    Allow(Permit, Option<Tie>),
    /// A person has to sign in; why the session that was presented opens nothing.
    Challenge(Option<Refusal>),
    /// It may not.
    Deny,
    /// What it presents as a program opens nothing, or not this.
    Refuse(Failure),
}

impl Caller {
    /// Reads it from the head of a request.
    pub fn of(headers: &HeaderMap, session_cookie: &str) -> Self {
        let presented = cookie::presented(headers, session_cookie);
        match (Authorization::of(headers), presented) {
            (Authorization::Ours(claim), Presented::Nothing) => Self::Program(claim),
            (Authorization::Ours(_) | Authorization::Unclear, _) => Self::Unclear,
            (Authorization::Absent, presented) => Self::Person {
                presented,
                bearer: false,
            },
            (Authorization::Theirs { bearer }, presented) => Self::Person { presented, bearer },
        }
    }

    /// Whether it is a program, whose token may speak of methods that the rules do not.
    pub const fn is_program(&self) -> bool {
        matches!(self, Self::Program(_))
    }

    /// Judges it.
    ///
    /// # Errors
    /// When the store is down and memory may not be believed.
    pub async fn judge(&self, charter: &Charter, case: &Case<'_>) -> Result<Judged, Fault> {
        match self {
            Self::Person { presented, bearer } => person(charter, case, presented, *bearer).await,
            // Boxed, so that the state of a person's request has no room for it.
            Self::Program(claim) => Box::pin(program(charter, case, claim)).await,
            Self::Unclear => {
                case.refused("unclear", None);
                Ok(Judged::Refuse(Failure::UnclearCredentials))
            }
        }
    }
}

async fn person(charter: &Charter, case: &Case<'_>, presented: &Presented, bearer: bool) -> Result<Judged, Fault> {
    let Case {
        policy,
        path,
        asked,
        at,
        ..
    } = case;
    let standing = charter.authenticate.admit(presented, case.client, *at).await?;
    let verdict = match standing.principal() {
        None if bearer => policy.judge_bearer(path, asked),
        principal => policy.judge(path, asked, principal),
    };
    Ok(match verdict {
        Verdict::Allow(permit) => Judged::Allow(permit, standing.bond().map(Tie::Person)),
        Verdict::Challenge => Judged::Challenge(standing.refusal()),
        Verdict::Deny => Judged::Deny,
    })
}

async fn program(charter: &Charter, case: &Case<'_>, claim: &Claim) -> Result<Judged, Fault> {
    if !case.forwards {
        // Whatever it opens, the proxy that asks would hand it on to the web client.
        case.refused("forwarded-by-another", None);
        return Ok(Judged::Refuse(Failure::InsufficientScope));
    }
    let Case {
        policy, path, asked, ..
    } = case;
    let service = match charter.services.run(claim, case.client).await? {
        Clearance::Known(service) => service,
        Clearance::Refused(why, token) => {
            let name = token.as_ref().map(|service| service.token.name.as_str());
            case.refused(why.as_str(), name);
            return Ok(Judged::Refuse(Failure::InvalidToken));
        }
        Clearance::Throttled(retry_after) => {
            case.refused("throttled", None);
            return Ok(Judged::Refuse(Failure::TooManyRequests { retry_after }));
        }
    };
    if !service.token.is_for(path, asked) {
        case.refused("out-of-scope", Some(service.token.name.as_str()));
        return Ok(Judged::Refuse(Failure::InsufficientScope));
    }
    Ok(match policy.judge_service(path, asked, &service) {
        Verdict::Allow(permit) => Judged::Allow(permit, Some(Tie::Service(service.token.digest))),
        // Signing in is not for programs.
        Verdict::Challenge | Verdict::Deny => Judged::Deny,
    })
}

impl Case<'_> {
    fn refused(&self, reason: &'static str, token: Option<&str>) {
        tracing::info!(
            request = self.request,
            client = %self.client,
            token,
            reason,
            "an API token was refused"
        );
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{AUTHORIZATION, COOKIE};

    use super::*;
    use crate::domain::bearer::BearerToken;
    use crate::domain::token::SessionToken;

    const COOKIE_NAME: &str = "__Host-sekisho";

    fn caller(authorization: Option<&str>, cookie: Option<&str>) -> Caller {
        let mut headers = HeaderMap::new();
        for (name, value) in [(AUTHORIZATION, authorization), (COOKIE, cookie)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        Caller::of(&headers, COOKIE_NAME)
    }

    #[test]
    fn a_person_and_a_program_at_once_are_nobody() {
        let ours = format!("Bearer {}", *BearerToken::from_entropy([7; 32]).expose());
        let session = format!("{COOKIE_NAME}={}", SessionToken::from_entropy([7; 32]).expose());
        assert!(caller(Some(&ours), None).is_program());
        assert!(caller(Some(&ours), Some("theirs=1")).is_program());
        for cookie in [session.as_str(), "__Host-sekisho=", "__Host-sekisho=nonsense"] {
            assert!(matches!(caller(Some(&ours), Some(cookie)), Caller::Unclear), "{cookie}");
        }
        assert!(matches!(
            caller(Some("Bearer theirs"), Some(&session)),
            Caller::Person {
                presented: Presented::Token(_),
                bearer: true
            }
        ));
        assert!(matches!(
            caller(Some("Basic theirs"), None),
            Caller::Person {
                presented: Presented::Nothing,
                bearer: false
            }
        ));
    }
}
