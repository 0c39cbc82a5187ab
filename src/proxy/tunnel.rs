//! The handshake of a WebSocket, with the upstream and with the client. What comes after it is in `carriage`.
//!
//! Pingora would do that as well, but version 0.9.1 ends about one in a hundred right after its `101` when the
//! machine is busy: the end of the request's empty body, handled late, is taken for the end of the stream. Whoever
//! owns both ends also knows where a close frame may be put in.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Stream;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::carriage::{GOODBYE, Side};
use super::closing::Farewell;
use super::connections::OpenConnection;
use super::guarded::{Guarded, Released};
use super::streams::Ending;
use super::upstream::{Pool, Route};

/// What is said when one end of a WebSocket is no connection that we know.
const NOT_TAKEN: &str = "a connection that cannot be taken over";

/// What a key is digested with, so that only who speaks WebSocket can answer it (RFC 6455 section 1.3).
const WEBSOCKET_ID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Fields that concern one connection alone (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    http::header::TE,
    http::header::TRAILER,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Whether a request asks for a WebSocket (RFC 6455 section 4.1). Every other upgrade is ignored, as RFC 9110
/// section 7.8 allows: behind `h2c`, for one, requests would reach the upstream that nobody has judged.
pub fn is_handshake(request: &RequestHeader) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket");
    request.version == Version::HTTP_11
        && request.method == Method::GET
        && request.headers.get(UPGRADE).is_some_and(websocket)
        && nominated(&request.headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
        && !request.headers.contains_key(CONTENT_LENGTH)
        && !request.headers.contains_key(TRANSFER_ENCODING)
}

/// Takes out what concerns the client's connection alone, before anything of ours is set: a client must not be able to
/// name our own fields for removal.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = nominated(headers).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether a client names this field as one that concerns its connection alone.
pub fn nominates(headers: &HeaderMap, name: &HeaderName) -> bool {
    nominated(headers).any(|nominated| nominated.eq_ignore_ascii_case(name.as_str()))
}

fn nominated(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The upstream's answer to a handshake, with the connection it came on.
pub struct Answer {
    response: http::Response<Incoming>,
    connection: AbortOnDropHandle<()>,
}

/// Both ends of a WebSocket, and the client's place among the open connections.
pub struct Switched {
    /// The client.
    pub client: Side,
    /// Its place.
    pub place: Option<OpenConnection>,
    /// The server.
    pub upstream: Side,
}

/// Does `work` while the client stays and its session lives.
///
/// A client says nothing between its handshake and the answer (RFC 6455 section 4.1), so whatever is read from it
/// meanwhile is its end.
///
/// # Errors
/// Those of `work`; or that the client has gone, or the session has ended.
pub async fn while_wanted<T>(
    session: &mut Session,
    ending: &Ending,
    work: impl Future<Output = pingora::Result<T>>,
) -> pingora::Result<T> {
    let gone = |why| Error::e_explain(ErrorType::ConnectionClosed, why).map_err(Error::into_down);
    tokio::select! {
        done = work => done,
        _ = session.downstream_session.read_body_or_idle(true) => gone("the client has gone"),
        () = ending.token().cancelled() => gone("the session has ended"),
    }
}

/// Connects to a server of the upstream, and to another one when the first cannot be reached.
///
/// # Errors
/// When none can be reached.
pub async fn connect(
    connector: &TransportConnector,
    upstream: &Arc<Pool>,
    route: &mut Route,
) -> pingora::Result<Stream> {
    loop {
        let peer = route.next_for_websocket(upstream)?;
        match connector.new_stream(&peer).await {
            Ok(stream) => return Ok(stream),
            Err(mut error) => {
                error.as_up();
                route.unreachable(&mut error);
                if !error.retry() {
                    return Err(error);
                }
            }
        }
    }
}

/// Asks a server for a WebSocket on a connection of its own.
///
/// # Errors
/// When it does not answer within `patience`, or does not speak HTTP.
pub async fn ask(stream: Stream, mut request: http::request::Parts, patience: Duration) -> pingora::Result<Answer> {
    request.version = Version::HTTP_11;
    request.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let asking = async {
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await?;
        let connection = tokio::spawn(async move {
            // Its errors reach whoever waits for the answer or reads the stream.
            let _ = connection.with_upgrades().await;
        });
        let connection = AbortOnDropHandle::new(connection);
        let response = sender
            .send_request(http::Request::from_parts(request, Empty::new()))
            .await?;
        Ok::<_, hyper::Error>(Answer { response, connection })
    };
    timeout(patience, asking)
        .await
        .or_err(
            ErrorType::ReadTimedout,
            "the upstream did not answer a WebSocket handshake",
        )
        .and_then(|answer| answer.or_err(ErrorType::ReadError, "asking the upstream for a WebSocket"))
        .map_err(Error::into_up)
}

impl Answer {
    /// Its head for the client, without what concerns the upstream's connection alone.
    ///
    /// # Errors
    /// When the upstream switches to something nobody asked for.
    pub fn head(&self) -> pingora::Result<ResponseHeader> {
        let mut headers = self.response.headers().clone();
        let switched = self.has_switched();
        if switched
            && let Some(to) = headers.get(UPGRADE)
            && !to.as_bytes().eq_ignore_ascii_case(b"websocket")
        {
            return Error::e_explain(
                ErrorType::InvalidHTTPHeader,
                "the upstream switched to another protocol",
            )
            .map_err(Error::into_up);
        }
        // Neither a length beside chunks nor one on a 101 means anything (RFC 9112 section 6.3, RFC 9110 section 8.6).
        if switched || headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        strip_hop_by_hop(&mut headers);
        let mut head = ResponseHeader::build(self.response.status(), Some(headers.len() + 2))?;
        for (name, value) in &headers {
            head.append_header(name.clone(), value.clone())?;
        }
        if switched {
            head.insert_header(CONNECTION, "Upgrade")?;
            head.insert_header(UPGRADE, "websocket")?;
        } else {
            head.insert_header(CONNECTION, "close")?;
            if !headers.contains_key(CONTENT_LENGTH) && !is_bodiless(self.response.status()) {
                head.insert_header(TRANSFER_ENCODING, "chunked")?;
            }
        }
        Ok(head)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Whether the upstream agreed.
    pub fn has_switched(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// Hands on the body of an upstream that did not agree, which may be silent for `patience` at a time.
    ///
    /// # Errors
    /// When either side goes away before its end, or the session ends.
    pub async fn hand_on(mut self, session: &mut Session, ending: &Ending, patience: Duration) -> pingora::Result<()> {
        if is_bodiless(self.response.status()) {
            return Ok(());
        }
        let what = "reading an answer to a WebSocket handshake";
        loop {
            let reading = async {
                timeout(patience, self.response.body_mut().frame())
                    .await
                    .or_err(ErrorType::ReadTimedout, what)?
                    .transpose()
                    .or_err(ErrorType::ReadError, what)
            };
            let reading = async { reading.await.map_err(Error::into_up) };
            let Some(frame) = while_wanted(session, ending, reading).await? else {
                break;
            };
            if let Ok(data) = frame.into_data() {
                session.write_response_body(Some(data), false).await?;
            }
        }
        session.write_response_body(None, true).await
    }

    /// Takes both ends of the WebSocket out of the requests they began with; the client has been sent the `101`.
    ///
    /// # Errors
    /// When either end of the stream cannot be had.
    pub async fn switch(self, session: &mut Session) -> pingora::Result<Switched> {
        let Self { response, connection } = self;
        let upstream = hyper::upgrade::on(response)
            .await
            .or_err(ErrorType::ReadError, "switching to a WebSocket")
            .map_err(Error::into_up)?;
        drop(connection);
        let upstream = upstream.downcast::<TokioIo<Stream>>().ok();
        let (Some(upstream), Some((client, ahead))) = (upstream, take_over(session).await) else {
            return Error::e_explain(ErrorType::InternalError, NOT_TAKEN);
        };
        Ok(Switched {
            client: Side {
                stream: client.stream,
                ahead,
            },
            place: client.place,
            upstream: Side {
                stream: upstream.io.into_inner(),
                ahead: upstream.read_buf,
            },
        })
    }
}

/// Accepts a handshake only to say at once why nothing comes of it: JavaScript learns nothing from any other refusal.
///
/// # Errors
/// When the client is gone before the answer's head.
pub async fn turn_away(session: &mut Session, answer: http::Response<Bytes>) -> pingora::Result<()> {
    let (parts, frame) = answer.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len()))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let written = session.write_response_header(Box::new(head), false).await;
    written.map_err(Error::into_down)?;
    let Some((client, _)) = take_over(session).await else {
        return Error::e_explain(ErrorType::InternalError, NOT_TAKEN);
    };
    part(client.stream, &frame).await;
    Ok(())
}

/// The answer that accepts a handshake, with the close frame as its body; `None` when the handshake is not a sound one
/// (RFC 6455 section 4.2.1).
pub fn accept(request: &HeaderMap, farewell: Farewell) -> Option<http::Response<Bytes>> {
    let sole = |name: HeaderName| {
        let mut values = request.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    if sole(SEC_WEBSOCKET_VERSION)?.as_bytes() != b"13" {
        return None;
    }
    let key = sole(SEC_WEBSOCKET_KEY)?.as_bytes();
    if BASE64_STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    let digest = Sha1::new().chain_update(key).chain_update(WEBSOCKET_ID).finalize();
    let mut answer = http::Response::new(Bytes::from(farewell.frame()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, BASE64_STANDARD.encode(digest).try_into().ok()?);
    Some(answer)
}

/// Says the last word and waits a moment for the client's own. Whoever closes over bytes that were not read takes back
/// what was said before.
async fn part(mut client: Stream, frame: &[u8]) {
    let parting = async {
        client.write_all(frame).await?;
        client.flush().await?;
        client.read(&mut [0; 512]).await
    };
    let _ = timeout(GOODBYE, parting).await;
    let _ = timeout(GOODBYE, client.shutdown()).await;
}

const fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The client's connection, and what Pingora had read from it beyond the request.
async fn take_over(session: &mut Session) -> Option<(Released, Bytes)> {
    Guarded::release(session.stream()?);
    let mut ahead = BytesMut::new();
    // Ends when what was read ahead is used up: the connection then gives itself away instead of reading on.
    while let Ok(Some(piece)) = session.read_request_body().await {
        ahead.extend_from_slice(&piece);
    }
    let client = Guarded::released(session.stream()?)?;
    Some((client, ahead.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_accepted_with_the_answer_to_its_key_and_a_broken_one_is_not() {
        // The example of RFC 6455 section 1.3.
        let sound = [
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let farewell = Farewell::without_session(None);
        let answer = accept(&request("GET", &sound).headers, farewell).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.body()[..], farewell.frame());
        let [version, key] = sound;
        for broken in [
            vec![key],
            vec![version],
            vec![("Sec-WebSocket-Version", "8"), key],
            vec![version, key, key],
            vec![version, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==")],
            vec![version, ("Sec-WebSocket-Key", "no base64 at all!!!!!!!=")],
        ] {
            assert!(
                accept(&request("GET", &broken).headers, farewell).is_none(),
                "{broken:?}"
            );
        }
    }

    fn request(method: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let handshake = [("Upgrade", "WebSocket"), ("Connection", "keep-alive, Upgrade")];
        assert!(is_handshake(&request("GET", &handshake)));
        assert!(!is_handshake(&request("POST", &handshake)));
        for fields in [
            [("Upgrade", "h2c"), ("Connection", "Upgrade")],
            [("Upgrade", "websocket, h2c"), ("Connection", "Upgrade")],
            [("Upgrade", "websocket"), ("Connection", "close")],
        ] {
            assert!(!is_handshake(&request("GET", &fields)), "{fields:?}");
        }
        let [upgrade, connection] = handshake;
        assert!(!is_handshake(&request(
            "GET",
            &[upgrade, connection, ("Content-Length", "5")]
        )));
    }

    #[test]
    fn what_concerns_one_connection_alone_stays_behind() {
        let mut headers = request(
            "GET",
            &[
                ("Connection", "Upgrade, X-Hop"),
                ("Upgrade", "websocket"),
                ("X-Hop", "1"),
                ("Keep-Alive", "5"),
                ("Sec-WebSocket-Key", "k"),
            ],
        )
        .headers
        .clone();
        strip_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["sec-websocket-key"]);
    }
}
