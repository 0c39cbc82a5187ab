//! Statements as header values, ready to be sent. Each byte of a header value is looked at when it is made, and a statement
//! has hundreds of them and goes with every request of a session: it is looked at once.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;

use super::headers;

/// Header values kept at once. A statement takes the slot of another one whose place in memory ends alike.
const SLOTS: usize = 1 << 11;
/// Memory is handed out in steps of so many bytes at least.
const STEP: usize = 16;

/// Remembers header values.
pub struct Ready {
    slots: Box<[ArcSwapOption<HeaderValue>]>,
}

impl Default for Ready {
    /// None is ready.
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(ArcSwapOption::empty).take(SLOTS).collect(),
        }
    }
}

impl std::fmt::Debug for Ready {
    /// Statements open doors: they are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready(..)")
    }
}

impl Ready {
    /// These bytes as a header value.
    ///
    /// # Errors
    /// When they are none.
    pub fn value(&self, bytes: Bytes) -> pingora::Result<HeaderValue> {
        let Some(place) = self.slots.get(bytes.as_ptr().addr() / STEP % SLOTS) else {
            return headers::value(bytes);
        };
        if let Some(ready) = &*place.load()
            && is_same(ready, &bytes)
        {
            return Ok(HeaderValue::clone(ready));
        }
        let value = headers::value(bytes)?;
        place.store(Some(Arc::new(value.clone())));
        Ok(value)
    }
}

/// Whether both are the same piece of memory. A header value keeps the bytes that it was made of, so while it is there
/// this piece is neither changed nor anybody else's.
fn is_same(value: &HeaderValue, bytes: &Bytes) -> bool {
    let known = value.as_bytes();
    known.len() == bytes.len() && known.as_ptr() == bytes.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_sent_as_it_is_however_often_and_among_how_many() {
        let ready = Ready::default();
        let statements: Vec<Bytes> = (0..3 * SLOTS)
            .map(|number| Bytes::from(format!("statement {number}")))
            .collect();
        for statement in statements.iter().chain(&statements) {
            for _ in 0..2 {
                assert_eq!(ready.value(statement.clone()).unwrap().as_bytes(), statement);
            }
        }
    }

    #[test]
    fn a_statement_in_the_memory_of_one_that_has_gone_is_not_taken_for_it() {
        let ready = Ready::default();
        for number in 0..1000 {
            let statement = Bytes::from(format!("statement {number:04}"));
            assert_eq!(ready.value(statement.clone()).unwrap().as_bytes(), statement);
        }
    }

    #[test]
    fn what_is_no_header_value_never_becomes_one() {
        let ready = Ready::default();
        let broken = Bytes::from("a\r\nb".to_owned());
        for _ in 0..2 {
            assert!(ready.value(broken.clone()).is_err());
        }
    }

    #[test]
    fn a_piece_of_a_statement_is_not_the_statement() {
        let ready = Ready::default();
        let whole = Bytes::from("a whole statement".to_owned());
        assert_eq!(ready.value(whole.clone()).unwrap(), "a whole statement");
        assert_eq!(ready.value(whole.slice(..7)).unwrap(), "a whole");
    }
}
