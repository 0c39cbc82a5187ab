//! The server behind the proxies: answers as long as the path says, a look at what arrives, and any WebSocket that
//! somebody opens and says nothing on.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The path that answers with the names of the headers that arrived.
pub const LOOK: &str = "/look";

/// The longest answer.
const MOST: usize = 10 << 20;

/// Serves until it is killed.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(Bytes::from(vec![b'x'; MOST])))
}

async fn serve(body: Bytes) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on {}", listener.local_addr()?);
    println!("ready");
    loop {
        let (socket, _) = listener.accept().await?;
        let _ = socket.set_nodelay(true);
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(request, &body);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A proxy that closes its end is no failure.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades()
                .await;
        });
    }
}

fn answer(request: Request<Incoming>, body: &Bytes) -> Response<Full<Bytes>> {
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        return switch(request, &accept);
    }
    let path = request.uri().path();
    let content = if path == LOOK {
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        Bytes::from(names.join("\n"))
    } else {
        let length = path.rsplit('/').next().and_then(|length| length.parse().ok());
        body.slice(..length.unwrap_or(0).min(MOST))
    };
    let mut response = Response::new(Full::new(content));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Takes a WebSocket and holds it until its other end goes.
fn switch(request: Request<Incoming>, accept: &str) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        if let Ok(socket) = hyper::upgrade::on(request).await {
            let _ = TokioIo::new(socket).read(&mut [0; 16]).await;
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
