//! The server behind the proxies: the same small answer to everything, and a look at what arrives.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The path that answers with the names of the headers that arrived instead.
pub const LOOK: &str = "/look";

/// Serves until it is killed.
pub fn run(bytes: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(Bytes::from(vec![b'x'; bytes])))
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
                let answer = answer(&request, &body);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A proxy that closes its end is no failure.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, body: &Bytes) -> Response<Full<Bytes>> {
    let content = if request.uri().path() == LOOK {
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        Bytes::from(names.join("\n"))
    } else {
        body.clone()
    };
    let mut response = Response::new(Full::new(content));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
