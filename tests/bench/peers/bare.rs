//! The neighbour: a Pingora proxy that terminates the same TLS and passes every request on, and does nothing else. It is
//! put together as Pingora's documentation has it, listeners among it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{HttpProxy, ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;

use crate::child::{Cores, Server, free_address};
use crate::gateway::{Home, under};

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Starts one as a process of its own, under `runner` if any.
pub fn start(what: &'static str, cores: &Cores, runner: &[String], home: &Home) -> anyhow::Result<Server> {
    let listen = free_address()?;
    let mut command = under(cores, runner, std::env::current_exe()?);
    command
        .arg("bare")
        .arg(listen.to_string())
        .args([&home.certificates.certificate, &home.certificates.key])
        .arg(home.upstream.to_string());
    Server::start_at(listen, what, command, home.path().join(format!("{what}.log")))
}

/// Serves until it is killed. As many threads as the gateway would have: one for each core it may use.
pub fn run(listen: SocketAddr, certificate: &Path, key: &Path, upstream: SocketAddr) -> anyhow::Result<()> {
    // Without a subscriber the spans of the HTTP/2 library are offered to `log` with each request, which the gateway is spared.
    tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default())?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let conf = ServerConf {
        threads,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Bare { upstream }, Arc::new(conf));
    proxy.handle_init_modules();
    let [certificate, key] = [certificate, key].map(|file| file.to_str().context("a path that is no text"));
    let mut tls = TlsSettings::intermediate(certificate?, key?)?;
    tls.enable_h2();
    let mut service = Service::new("bare".to_owned(), proxy);
    service.add_listener(ListenerConfig::tcp(listen.to_string()).tls(tls));
    let (_running, stop) = watch::channel(false);
    runtime.block_on(service.start_service(None, stop, 1));
    Ok(())
}
