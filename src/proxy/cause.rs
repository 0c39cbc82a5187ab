//! Why something failed, in the words that say most to the operator.

use pingora::connectors::l4::ConnectErrorExt;
use pingora::{BError, Error};

/// The longest reason, in characters.
const MOST_CHARS: usize = 300;

/// The deepest reason of an error, on one line: what follows in a chain may hold raw bytes of a request.
///
/// Of a handshake that failed Pingora says at the end only from where it was tried; the reason, such as whose certificate
/// it was, stands one step before that.
pub fn cause(error: &Error) -> String {
    let root = error.root_cause();
    let is_place = error.connect_local_addr().is_some() && root.source().is_none();
    match innermost(error).context.as_ref().filter(|_| is_place) {
        Some(context) => line(context.as_str().rsplit("cause: ").next().unwrap_or_default()),
        None => line(&root.to_string()),
    }
}

/// The last error of Pingora's own in a chain.
fn innermost(error: &Error) -> &Error {
    let next = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<BError>());
    next.map_or(error, |next| innermost(next))
}

fn line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(MOST_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use pingora::ErrorType;

    use super::*;

    #[test]
    fn the_deepest_reason_is_told_on_one_line() {
        let refused = std::io::Error::other("refused\r\nHost: secret");
        let error = Error::because(ErrorType::ConnectError, "connecting", refused).more_context("proxying");
        assert_eq!(cause(&error), "refused");
        let error = Error::explain(ErrorType::HTTPStatus(502), "no server");
        assert!(cause(&error).ends_with("no server"));
        let long = std::io::Error::other("x".repeat(1000));
        assert_eq!(cause(&Error::because(ErrorType::ReadError, "", long)).len(), MOST_CHARS);
    }
}
