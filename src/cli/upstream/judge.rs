//! The judgement: an answer is an accept when it looks like the one to a genuine statement.

use http::StatusCode;
use serde::Serialize;

use super::wire::Answer;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not let in.
    Refused,
    /// Let in.
    Accepted,
    /// Not let in, but with a 5xx or without an answer: it stumbled.
    Stumbled,
    /// Reachable where it need not be, whatever it answers there.
    Reachable,
    /// Not tried; the row says why.
    Untried,
}

/// By what an accept is known, where the operator says so.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    /// Its status.
    pub status: Option<StatusCode>,
    /// A text in its body.
    pub marker: Option<String>,
}

/// What the two controls showed.
#[derive(Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The web client does not answer.
    Silent(String),
    /// The genuine statement is refused.
    GenuineRefused(StatusCode),
    /// It answers somebody without a statement as it answers a genuine one.
    NoDifference(StatusCode),
}

/// Compares with the controls.
#[derive(Debug)]
pub struct Judge {
    genuine: Look,
    nothing: Look,
    signs: Signs,
}

/// What can be told apart from outside.
type Look = (StatusCode, Option<String>);

impl Judge {
    /// From the answers to a genuine statement and to none.
    ///
    /// # Errors
    /// They do not show what an accept is.
    pub fn new(genuine: &Answer, nothing: &Answer, signs: Signs) -> Result<Self, Doubt> {
        let judge = Self {
            genuine: look(genuine)?,
            nothing: look(nothing)?,
            signs,
        };
        let status = judge.genuine.0;
        let accepted = judge.verdict(genuine) == Verdict::Accepted;
        if !accepted || judge.signs.status.is_none() && turns_away(status) {
            return Err(Doubt::GenuineRefused(status));
        }
        if judge.verdict(nothing) == Verdict::Accepted {
            return Err(if status.is_success() || judge.told() {
                Doubt::NoDifference(status)
            } else {
                Doubt::GenuineRefused(status)
            });
        }
        Ok(judge)
    }

    /// What an answer means.
    pub fn verdict(&self, answer: &Answer) -> Verdict {
        let Answer::Came { status, body, .. } = answer else {
            return Verdict::Stumbled;
        };
        if self.told() {
            let marked = self.signs.marker.as_ref().is_none_or(|marker| body.contains(marker));
            if marked && self.signs.status.is_none_or(|wanted| wanted == *status) {
                return Verdict::Accepted;
            }
        } else {
            let look = look(answer).ok();
            // A 2xx that the request without a statement did not get is one too many, whatever it says.
            if look.as_ref() == Some(&self.genuine) || status.is_success() && look.as_ref() != Some(&self.nothing) {
                return Verdict::Accepted;
            }
        }
        if status.is_server_error() {
            Verdict::Stumbled
        } else {
            Verdict::Refused
        }
    }

    const fn told(&self) -> bool {
        self.signs.status.is_some() || self.signs.marker.is_some()
    }
}

/// A redirection is compared without its query, which may hold chance.
fn look(answer: &Answer) -> Result<Look, Doubt> {
    match answer {
        Answer::Came { status, location, .. } => {
            let location = location.as_ref().filter(|_| status.is_redirection());
            let path = location.map(|location| location.split(['?', '#']).next().unwrap_or_default().to_owned());
            Ok((*status, path))
        }
        Answer::None(why) => Err(Doubt::Silent(why.clone())),
    }
}

/// Statuses that nobody who was let in gets.
fn turns_away(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED
                | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                | StatusCode::TOO_MANY_REQUESTS
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(status: u16, location: Option<&str>, body: &str) -> Answer {
        Answer::Came {
            status: StatusCode::from_u16(status).unwrap(),
            location: location.map(str::to_owned),
            body: body.to_owned(),
        }
    }

    fn plain(status: u16) -> Answer {
        came(status, None, "")
    }

    fn doubt(genuine: &Answer, nothing: &Answer) -> Option<Doubt> {
        Judge::new(genuine, nothing, Signs::default()).err()
    }

    #[test]
    fn an_accept_looks_like_the_answer_to_a_genuine_statement() {
        let judge = Judge::new(&plain(200), &plain(401), Signs::default()).unwrap();
        for (answer, verdict) in [
            (plain(200), Verdict::Accepted),
            (plain(204), Verdict::Accepted),
            (plain(401), Verdict::Refused),
            (plain(403), Verdict::Refused),
            (plain(431), Verdict::Refused),
            (came(302, Some("/login"), ""), Verdict::Refused),
            (plain(500), Verdict::Stumbled),
            (Answer::None("connection reset".into()), Verdict::Stumbled),
        ] {
            assert_eq!(judge.verdict(&answer), verdict, "{answer:?}");
        }
    }

    #[test]
    fn redirections_differ_by_where_they_lead_and_not_by_their_query() {
        let (home, login) = (came(302, Some("/home"), ""), came(302, Some("/login?next=1"), ""));
        let judge = Judge::new(&home, &login, Signs::default()).unwrap();
        let again = came(302, Some("/login?next=2"), "");
        assert_eq!(judge.verdict(&again), Verdict::Refused);
        assert_eq!(judge.verdict(&came(302, Some("/home?x"), "")), Verdict::Accepted);
    }

    #[test]
    fn a_page_that_is_missing_behind_the_check_still_shows_the_check() {
        let judge = Judge::new(&plain(404), &plain(401), Signs::default()).unwrap();
        assert_eq!(judge.verdict(&plain(404)), Verdict::Accepted);
    }

    #[test]
    fn controls_that_show_no_difference_prove_nothing() {
        let ok = StatusCode::OK;
        assert_eq!(doubt(&plain(200), &plain(200)), Some(Doubt::NoDifference(ok)));
        for status in [401, 403, 500, 429] {
            let refused = StatusCode::from_u16(status).unwrap();
            assert_eq!(doubt(&plain(status), &plain(401)), Some(Doubt::GenuineRefused(refused)));
            assert_eq!(doubt(&plain(status), &plain(200)), Some(Doubt::GenuineRefused(refused)));
        }
        let login = came(302, Some("/login"), "");
        assert_eq!(doubt(&login, &login), Some(Doubt::GenuineRefused(StatusCode::FOUND)));
        let silent = Answer::None("refused".into());
        assert_eq!(doubt(&silent, &plain(401)), Some(Doubt::Silent("refused".into())));
        assert_eq!(doubt(&plain(200), &silent), Some(Doubt::Silent("refused".into())));
    }

    #[test]
    fn a_marker_or_a_status_tells_where_the_status_alone_does_not() {
        let signs = Signs {
            status: None,
            marker: Some("Sign out".to_owned()),
        };
        let judge = Judge::new(&came(200, None, "… Sign out …"), &came(200, None, "Sign in"), signs).unwrap();
        assert_eq!(judge.verdict(&came(200, None, "Sign in")), Verdict::Refused);
        assert_eq!(judge.verdict(&came(201, None, "Sign out")), Verdict::Accepted);

        let signs = Signs {
            status: Some(StatusCode::FORBIDDEN),
            marker: None,
        };
        let judge = Judge::new(&plain(403), &plain(401), signs.clone()).unwrap();
        assert_eq!(judge.verdict(&plain(403)), Verdict::Accepted);
        assert_eq!(judge.verdict(&plain(200)), Verdict::Refused);
        assert_eq!(
            Judge::new(&plain(200), &plain(401), signs).err(),
            Some(Doubt::GenuineRefused(StatusCode::OK))
        );
    }
}
