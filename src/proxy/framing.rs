//! Request heads that two servers could read in two ways are refused, never repaired.
//!
//! Pingora mends or passes on several of them, so the raw head is read again here, by the letter of
//! RFC 9112. One reading then decides both the judgement and what is forwarded. And no answer has an end that its client does
//! not see.

use http::Version;
use http::header::TRANSFER_ENCODING;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadProblem {
    /// More bytes than configured.
    #[error("the request head is too large")]
    TooLarge,
    /// More fields than configured.
    #[error("the request head has too many fields")]
    TooManyFields,
    /// A bare CR or LF, a folded line, a blank before the colon or another byte that has no place.
    #[error("the request head is malformed")]
    Malformed,
    /// Not `method SP target SP HTTP/1.x`.
    #[error("the request line is malformed")]
    RequestLine,
    /// None, or more than one.
    #[error("the request has no single Host field")]
    Host,
    /// Length and encoding together, several lengths, odd lengths, or an encoding other than chunked.
    #[error("the length of the request body is ambiguous")]
    BodyLength,
    /// An HTTP/1.0 request with a body.
    #[error("an HTTP/1.0 request with a body")]
    OldBody,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// In bytes.
    pub bytes: usize,
    /// In fields.
    pub fields: usize,
}

/// Judges a raw HTTP/1 head, from the method to the blank line.
///
/// # Errors
/// The first thing that makes it ambiguous.
pub fn check(raw: &[u8], limits: HeadLimits) -> Result<(), HeadProblem> {
    if raw.len() > limits.bytes {
        return Err(HeadProblem::TooLarge);
    }
    let head = raw.strip_suffix(b"\r\n\r\n").ok_or(HeadProblem::Malformed)?;
    let mut lines = Lines(Some(head));
    let old = request_line(lines.next().ok_or(HeadProblem::RequestLine)??)?;
    let mut body = Body::default();
    let (mut fields, mut hosts) = (0, 0);
    for line in lines {
        let (name, value) = field(line?)?;
        fields += 1;
        if fields > limits.fields {
            return Err(HeadProblem::TooManyFields);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => hosts += 1,
            14 if same_name(name, b"content-length") => body.length(name, value)?,
            17 if same_name(name, b"transfer-encoding") => body.encoding(name, value)?,
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(HeadProblem::Host);
    }
    body.judge(old)
}

/// Judges the fields of an HTTP/2 request, which go on to an HTTP/1 upstream: one length at most, plainly spelled, and
/// no transfer encoding (RFC 9113 section 8.2.2).
///
/// # Errors
/// The first thing that an upstream could read in another way.
pub fn check_fields(fields: &http::HeaderMap) -> Result<(), HeadProblem> {
    let mut body = Body::default();
    for (name, value) in fields {
        let name = name.as_str().as_bytes();
        match name.len() {
            14 if same_name(name, b"content-length") => body.length(name, value.as_bytes())?,
            17 if same_name(name, b"transfer-encoding") => return Err(HeadProblem::BodyLength),
            _ => {}
        }
    }
    Ok(())
}

/// How an answer ends for a client of HTTP/1.0, which knows no chunks (RFC 9112 section 6.1): with its connection, unless it says
/// how long it is.
pub fn for_old_client(session: &mut Session, answer: &mut ResponseHeader) {
    if session.req_header().version == Version::HTTP_10 && answer.remove_header(&TRANSFER_ENCODING).is_some() {
        session.set_keepalive(None);
    }
}

/// Lines that end in CR LF. A CR elsewhere is left to whoever reads the line.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], HeadProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0?;
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.0 = None;
            return Some(Ok(rest));
        };
        let (line, tail) = rest.split_at(end);
        self.0 = tail.get(1..);
        Some(line.strip_suffix(b"\r").ok_or(HeadProblem::Malformed))
    }
}

/// Answers whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, HeadProblem> {
    if !is_value(line) {
        return Err(HeadProblem::Malformed);
    }
    let mut parts = line.split(|b| *b == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let sound = parts.next().is_none()
        && method.is_some_and(|method| !method.is_empty() && method.iter().all(|b| is_token(*b)))
        && target.is_some_and(is_target);
    match version {
        Some(b"HTTP/1.1") if sound => Ok(false),
        Some(b"HTTP/1.0") if sound => Ok(true),
        _ => Err(HeadProblem::RequestLine),
    }
}

/// Visible ASCII without a fragment, which has no place in a request (RFC 9112 section 3.2) and would be cut silently.
pub fn is_target(target: &[u8]) -> bool {
    // Pingora encodes a stray blank of the request line before anybody sees it; at the end of a path it shows, and in a
    // query it changes nothing that is judged.
    let has_stray_blank = target.ends_with(b"%20") && !target.contains(&b'?');
    !target.is_empty() && !has_stray_blank && target.iter().all(|b| b.is_ascii_graphic() && *b != b'#')
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadProblem> {
    let colon = memchr::memchr(b':', line).ok_or(HeadProblem::Malformed)?;
    let (name, value) = line.split_at(colon);
    // A leading blank would be a folded line, a trailing one a blank before the colon; neither is a token byte.
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(HeadProblem::Malformed);
    }
    let value = value.get(1..).unwrap_or_default();
    if !is_value(value) {
        return Err(HeadProblem::Malformed);
    }
    Ok((name, value.trim_ascii()))
}

/// No control byte but the tab.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch per byte the compiler makes vector code of it"
)]
fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .fold(true, |sound, b| sound & ((*b >= b' ' || *b == b'\t') & (*b != 0x7f)))
}

fn is_token(b: u8) -> bool {
    TOKEN.get(usize::from(b)).copied().unwrap_or(false)
}

/// The bytes of a token (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        table[b as usize] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        b += 1;
    }
    table
};

/// Alike after folding case and every sign to `-`, as some upstreams fold.
fn same_name(name: &[u8], lower: &[u8]) -> bool {
    name.iter()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                b.to_ascii_lowercase()
            } else {
                b'-'
            }
        })
        .eq(lower.iter().copied())
}

#[derive(Default)]
struct Body {
    length: Option<u64>,
    chunked: bool,
}

impl Body {
    fn length(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadProblem> {
        let digits = value == b"0"
            || (!value.is_empty()
                && value.len() <= 18
                && !value.starts_with(b"0")
                && value.iter().all(u8::is_ascii_digit));
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|_| digits)
            .and_then(|text| text.parse().ok());
        match number {
            Some(number) if self.length.is_none() && name.eq_ignore_ascii_case(b"content-length") => {
                self.length = Some(number);
                Ok(())
            }
            _ => Err(HeadProblem::BodyLength),
        }
    }

    fn encoding(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadProblem> {
        if self.chunked || !name.eq_ignore_ascii_case(b"transfer-encoding") || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadProblem::BodyLength);
        }
        self.chunked = true;
        Ok(())
    }

    const fn judge(&self, old: bool) -> Result<(), HeadProblem> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(HeadProblem::BodyLength),
            (None | Some(0), false) => Ok(()),
            _ if old => Err(HeadProblem::OldBody),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 32 << 10,
        fields: 100,
    };

    fn head(rest: &str) -> Result<(), HeadProblem> {
        check(format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n").as_bytes(), LIMITS)
    }

    #[test]
    fn a_query_may_end_in_a_blank() {
        assert_eq!(check(b"GET /find?q=a%20 HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS), Ok(()));
    }

    #[test]
    fn what_browsers_send_passes() {
        assert_eq!(head(""), Ok(()));
        assert_eq!(
            head("Content-Length: 10\r\nAccept: */*\r\nX-Empty:\r\nCookie: a=\"b\"; c=\u{e9}\r\n"),
            Ok(())
        );
        assert_eq!(head("transfer-encoding: Chunked\r\n"), Ok(()));
    }

    #[rstest]
    #[case::both("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HeadProblem::BodyLength)]
    #[case::two_equal_lengths("Content-Length: 1\r\nContent-Length: 1\r\n", HeadProblem::BodyLength)]
    #[case::list("Content-Length: 1, 1\r\n", HeadProblem::BodyLength)]
    #[case::leading_zero("Content-Length: 01\r\n", HeadProblem::BodyLength)]
    #[case::dotted("Transfer.Encoding: chunked\r\n", HeadProblem::BodyLength)]
    #[case::plus("Content-Length: +1\r\n", HeadProblem::BodyLength)]
    #[case::hex("Content-Length: 0x1\r\n", HeadProblem::BodyLength)]
    #[case::huge("Content-Length: 99999999999999999999\r\n", HeadProblem::BodyLength)]
    #[case::no_length("Content-Length:\r\n", HeadProblem::BodyLength)]
    #[case::gzip("Transfer-Encoding: gzip, chunked\r\n", HeadProblem::BodyLength)]
    #[case::twice(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        HeadProblem::BodyLength
    )]
    #[case::underscore("Transfer_Encoding: chunked\r\n", HeadProblem::BodyLength)]
    #[case::underscore_length("Content_Length: 1\r\n", HeadProblem::BodyLength)]
    #[case::folded("X-A: b\r\n c\r\n", HeadProblem::Malformed)]
    #[case::blank_before_colon("X-A : b\r\n", HeadProblem::Malformed)]
    #[case::bare_lf("X-A: b\nX-C: d\r\n", HeadProblem::Malformed)]
    #[case::bare_cr("X-A: b\rX-C: d\r\n", HeadProblem::Malformed)]
    #[case::nul("X-A: b\0\r\n", HeadProblem::Malformed)]
    #[case::no_colon("X-A\r\n", HeadProblem::Malformed)]
    #[case::second_host("Host: b\r\n", HeadProblem::Host)]
    fn ambiguous_heads_are_refused(#[case] rest: &str, #[case] problem: HeadProblem) {
        assert_eq!(head(rest), Err(problem));
    }

    #[rstest]
    #[case::no_host("GET / HTTP/1.1\r\n\r\n", HeadProblem::Host)]
    #[case::two_blanks("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HeadProblem::RequestLine)]
    #[case::stray_blank("GET /%20 HTTP/1.1\r\nHost: a\r\n\r\n", HeadProblem::RequestLine)]
    #[case::fragment("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", HeadProblem::RequestLine)]
    #[case::no_version("GET /\r\nHost: a\r\n\r\n", HeadProblem::RequestLine)]
    #[case::other_version("GET / HTTP/2.0\r\nHost: a\r\n\r\n", HeadProblem::RequestLine)]
    #[case::nul_target("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", HeadProblem::Malformed)]
    #[case::old_body("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n\r\n", HeadProblem::OldBody)]
    #[case::old_chunked(
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadProblem::OldBody
    )]
    #[case::bare_end("GET / HTTP/1.1\nHost: a\n\n", HeadProblem::Malformed)]
    fn broken_heads_are_refused(#[case] raw: &str, #[case] problem: HeadProblem) {
        assert_eq!(check(raw.as_bytes(), LIMITS), Err(problem));
    }

    #[test]
    fn http2_fields_are_held_to_the_same_rules() {
        let check = |fields: &[(&'static str, &'static str)]| {
            let mut map = http::HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, value.parse().unwrap());
            }
            check_fields(&map)
        };
        assert_eq!(check(&[("content-length", "5"), ("accept", "*/*")]), Ok(()));
        for fields in [
            &[("transfer_encoding", "chunked")][..],
            &[("transfer-encoding", "chunked")],
            &[("content_length", "99")],
            &[("content-length", "5"), ("content-length", "5")],
        ] {
            assert_eq!(check(fields), Err(HeadProblem::BodyLength), "{fields:?}");
        }
    }

    #[test]
    fn large_heads_are_refused() {
        assert_eq!(
            head(&format!("X: {}\r\n", "a".repeat(33 << 10))),
            Err(HeadProblem::TooLarge)
        );
        assert_eq!(head(&"X: a\r\n".repeat(99)), Ok(()));
        assert_eq!(head(&"X: a\r\n".repeat(100)), Err(HeadProblem::TooManyFields));
    }

    proptest! {
        #[test]
        fn no_head_makes_the_check_panic(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&raw, HeadLimits { bytes: 100, ..LIMITS });
            let _ = check(&[b"GET / HTTP/1.1\r\n", &raw[..], b"\r\n\r\n"].concat(), HeadLimits { bytes: 1000, ..LIMITS });
        }
    }
}
