//! Between Pingora's session and plain `http` values: reading a bounded body, writing a whole answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, HeaderName};
use http::request::Parts;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// The head of a request as an `http` value.
pub fn parts(session: &Session) -> Parts {
    let head = session.req_header();
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method.clone_from(&head.method);
    parts.uri.clone_from(&head.uri);
    parts.version = head.version;
    parts.headers.clone_from(&head.headers);
    parts
}

/// Why the body of a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyProblem {
    /// More than we take.
    TooLarge,
    /// Not there in time.
    TooSlow,
    /// The client went away, or its framing is broken.
    Broken,
}

/// Reads the whole body of a request that we answer ourselves.
pub async fn read_body(session: &mut Session, most: usize, limit: Duration) -> Result<Bytes, BodyProblem> {
    let declared = session
        .req_header()
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > most) {
        return Err(BodyProblem::TooLarge);
    }
    let reading = async {
        if session.req_header().headers.contains_key(EXPECT) {
            session
                .write_continue_response()
                .await
                .map_err(|_| BodyProblem::Broken)?;
        }
        let mut body = BytesMut::with_capacity(declared.unwrap_or(0));
        while let Some(chunk) = session.read_request_body().await.map_err(|_| BodyProblem::Broken)? {
            if body.len() + chunk.len() > most {
                return Err(BodyProblem::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(limit, reading)
        .await
        .unwrap_or(Err(BodyProblem::TooSlow))
}

/// How much of an unread body is read and thrown away after an early answer, and for how long.
struct Drain {
    bytes: usize,
    time: Duration,
}

/// After most answers.
const BRIEF: Drain = Drain {
    bytes: 256 << 10,
    time: Duration::from_secs(2),
};

/// Where the client is known to be sending much, and to read nothing before it has sent that.
const PATIENT: Drain = Drain {
    bytes: 64 << 20,
    time: Duration::from_secs(10),
};

/// How long an HTTP/2 client has to read an early answer before it is told to stop sending.
const HEARING: Duration = Duration::from_secs(1);

/// What becomes of the connection after an answer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It may carry the next request.
    Keep,
    /// It is closed: where one request ends and the next begins can no longer be trusted.
    Close,
    /// The same, once a client that is still sending a large body has had time to hear the answer: a connection that is
    /// closed with bytes unread is reset, and the answer is lost with it.
    Hear,
}

/// Writes a whole answer. When part of the request's body has not been read, a bounded rest is drained so that the
/// client can read the answer, and the connection is closed: the rest is never taken for the next request.
pub async fn write(session: &mut Session, response: http::Response<Bytes>, after: After) -> pingora::Result<()> {
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let bodiless = parts.status == http::StatusCode::NO_CONTENT || parts.status == http::StatusCode::NOT_MODIFIED;
    // Without a body to measure, HEAD says nothing about its length rather than something wrong.
    let is_head = session.req_header().method == http::Method::HEAD;
    if !bodiless && !is_head && !parts.headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    let unread = !session.is_body_done();
    if unread || after != After::Keep {
        session.set_keepalive(None);
        if !session.is_http2() {
            head.insert_header(HeaderName::from_static("connection"), "close")?;
        }
    }
    let empty = body.is_empty() || bodiless || is_head;
    session.write_response_header(Box::new(head), empty).await?;
    if !empty {
        session.write_response_body(Some(body), true).await?;
    }
    if unread {
        let is_patient = after == After::Hear && !session.is_http2();
        let is_more = drain(session, if is_patient { PATIENT } else { BRIEF }).await;
        // An HTTP/2 client is told to stop when its stream is dropped, which should lose nothing of the answer (RFC 9113
        // section 8.1). Some read no further then, so they are given time; of the body nothing more comes, since nothing
        // is read.
        if is_more && let Some(closed) = session.downstream_session.watch_h2_stream_close() {
            let _ = tokio::time::timeout(HEARING, closed).await;
        }
    }
    Ok(())
}

/// Answers whether there is more of it.
async fn drain(session: &mut Session, most: Drain) -> bool {
    let draining = async {
        let mut left = most.bytes;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return true,
            }
        }
        false
    };
    tokio::time::timeout(most.time, draining).await.unwrap_or(true)
}
