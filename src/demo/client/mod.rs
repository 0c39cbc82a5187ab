//! The sample web client: the upstream of the demo, in the place of a telephone system's own.
//!
//! It believes nobody but the gateway: every request must carry an assertion that it can verify.
//! `verify.rs` is written as an example for those who put their own application behind the gateway.

mod colleagues;
mod events;
mod floor;
mod gate;
mod hub;
mod inspect;
mod keys;
mod page;
mod socket;
mod upload;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::http::HeaderName;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use hub::Hub;
use keys::Keys;
use page::Pages;
use verify::Rules;

/// How long open requests may go on once the client is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Whom the sample client believes, and how it reaches them.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Where the gateway publishes its keys.
    pub jwks_url: String,
    /// A certificate authority that is trusted for this address, beside those of the machine.
    pub ca_pem: Option<PathBuf>,
    /// The issuer name of the gateway.
    pub issuer: String,
    /// The audience name of this client.
    pub audience: String,
    /// The name of the header that carries the assertion.
    pub header: String,
    /// Where the gateway signs people out.
    pub logout_path: String,
    /// The address to connect to for `jwks_url`, in the place of what its host name resolves to. A port
    /// that the URL names stays in force.
    pub door_connect: Option<SocketAddr>,
}

/// A sample client that listens and waits to be run.
pub struct SampleClient {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    app: Arc<App>,
}

impl SampleClient {
    /// Takes the address and prepares everything; the keys are fetched when the first request needs one.
    ///
    /// The process must have installed a rustls crypto provider. Fails when the address is taken, the
    /// certificate authority cannot be read, or a value of `trust` makes no sense.
    pub async fn bind(listen: SocketAddr, trust: Trust) -> io::Result<Self> {
        let app = Arc::new(App::new(&trust)?);
        let listener = TcpListener::bind(listen).await?;
        Ok(Self {
            addr: listener.local_addr()?,
            listener,
            router: router(&app),
            app,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until told to stop, then lets open requests finish for a moment.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            listener, router, app, ..
        } = self;
        let closing = app.stop.clone();
        let asked = async move {
            stop.cancelled().await;
            closing.cancel();
        };
        let too_long = async {
            app.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let serve = axum::serve(listener, router).with_graceful_shutdown(asked);
        tokio::select! {
            result = serve.into_future() => if let Err(error) = result {
                tracing::error!(%error, "the sample client stopped");
            },
            () = too_long => {}
            () = app.hub.work() => {}
        }
        app.stop.cancel();
    }
}

impl fmt::Debug for SampleClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SampleClient({})", self.addr)
    }
}

/// What all requests share.
struct App {
    rules: Rules,
    keys: Keys,
    pages: Pages,
    hub: Arc<Hub>,
    /// Ends WebSocket connections and event streams, which would never end by themselves.
    stop: CancellationToken,
}

impl App {
    fn new(trust: &Trust) -> io::Result<Self> {
        let header = HeaderName::try_from(&trust.header).map_err(|_| {
            let what = format!("`{}` is no header name", trust.header);
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        Ok(Self {
            rules: Rules {
                header,
                issuer: trust.issuer.clone(),
                audience: trust.audience.clone(),
            },
            keys: Keys::new(trust)?,
            pages: Pages::new(&trust.logout_path).map_err(io::Error::other)?,
            hub: Hub::new(),
            stop: CancellationToken::new(),
        })
    }
}

/// The gate is laid around everything, the answer to unknown paths included.
fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::phone))
        .route("/me", get(inspect::me))
        .route("/headers", any(inspect::headers))
        .route("/ws", get(socket::open))
        .route("/events", get(events::stream))
        .route("/upload", post(upload::receive))
        .route("/{file}", get(page::asset))
        .fallback(page::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::admit))
        .with_state(Arc::clone(app))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sample client stands for another program, with a clock of its own"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The time in seconds.
fn unix_now() -> i64 {
    now().as_second()
}

#[cfg(test)]
mod tests;
