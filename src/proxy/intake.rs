//! How much of a request's body has come in, held against the most that its path may be sent. Nothing is kept of it.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use pingora::{Error, ErrorType};

use crate::domain::body::BodyCap;

/// The count of one request.
#[derive(Debug)]
pub struct Intake {
    cap: BodyCap,
    taken: u64,
}

impl Intake {
    /// Nothing has come in yet.
    pub const fn new(cap: BodyCap) -> Self {
        Self { cap, taken: 0 }
    }

    /// Whether the body may be as large as these fields say that it is. One that does not say it is counted as it comes.
    pub fn admits_declared(&self, fields: &HeaderMap) -> bool {
        let declared = fields.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|value| value.parse().ok());
        declared.is_none_or(|bytes| self.cap.admits(bytes))
    }

    /// Whether anything of it has come in.
    pub const fn has_taken(&self) -> bool {
        self.taken > 0
    }

    /// The request is made again from its first byte.
    pub const fn again(&mut self) {
        self.taken = 0;
    }

    /// More of the body is here.
    ///
    /// # Errors
    /// When it is too much: then this piece goes nowhere, and the web client never sees the end of the request.
    pub fn take(&mut self, bytes: usize) -> pingora::Result<()> {
        self.taken = self.taken.saturating_add(bytes as u64);
        if self.cap.admits(self.taken) {
            Ok(())
        } else {
            Error::e_explain(ErrorType::HTTPStatus(413), TOO_LARGE).map_err(Error::into_down)
        }
    }
}

/// Why such a request is refused, for the log.
pub const TOO_LARGE: &str = "the body is larger than upstream.max_body allows at this path";

#[cfg(test)]
mod tests {
    use super::*;

    fn declares(length: Option<&'static str>) -> bool {
        let mut fields = HeaderMap::new();
        if let Some(length) = length {
            fields.insert(CONTENT_LENGTH, http::HeaderValue::from_static(length));
        }
        Intake::new(BodyCap::Bytes(10)).admits_declared(&fields)
    }

    #[test]
    fn a_body_that_says_that_it_is_too_large_is_not_waited_for() {
        assert!(declares(None) && declares(Some("0")) && declares(Some("10")));
        assert!(!declares(Some("11")));
    }

    #[test]
    fn a_body_is_counted_as_it_comes_and_anew_when_the_request_is_made_again() {
        let mut intake = Intake::new(BodyCap::Bytes(10));
        assert!(intake.take(6).is_ok() && intake.take(4).is_ok());
        let error = intake.take(1).unwrap_err();
        assert_eq!(error.etype, ErrorType::HTTPStatus(413));
        intake.again();
        assert!(intake.take(10).is_ok());
        assert!(intake.take(usize::MAX).is_err() && intake.take(usize::MAX).is_err());
    }
}
