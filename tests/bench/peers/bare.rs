//! The neighbour: a Pingora proxy that terminates the same TLS and passes every request on, and does nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream, UniqueID};
use pingora::proxy::{HttpProxy, ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::child::{Cores, Server};
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
    let mut command = under(cores, runner, std::env::current_exe()?);
    command
        .arg("bare")
        .args([&home.certificates.certificate, &home.certificates.key])
        .arg(home.upstream.to_string());
    Server::start(what, command, home.path().join(format!("{what}.log")))
}

/// Serves until it is killed. As many threads as the gateway would have: one for each core it may use.
pub fn run(certificate: &Path, key: &Path, upstream: SocketAddr) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let acceptor = Arc::new(acceptor(certificate, key)?);
    let conf = ServerConf {
        threads,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Bare { upstream }, Arc::new(conf));
    proxy.handle_init_modules();
    runtime.block_on(serve(Arc::new(proxy), acceptor))
}

async fn serve(proxy: Arc<HttpProxy<Bare>>, acceptor: Arc<Acceptor>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on {}", listener.local_addr()?);
    println!("ready");
    let (_running, stop) = watch::channel(false);
    loop {
        let (socket, peer) = listener.accept().await?;
        let (proxy, acceptor, stop) = (Arc::clone(&proxy), Arc::clone(&acceptor), stop.clone());
        tokio::spawn(async move {
            let mut next = handshake(&acceptor, socket, peer).await;
            while let Some(stream) = next {
                next = proxy.process_new(stream, &stop).await;
            }
        });
    }
}

/// As the gateway does it, down to the socket's options.
async fn handshake(acceptor: &Acceptor, socket: TcpStream, peer: SocketAddr) -> Option<Stream> {
    let mut l4 = L4Stream::from(socket);
    let _ = l4.set_nodelay();
    let digest = SocketDigest::from_raw_fd(l4.id());
    let _ = digest.peer_addr.set(Some(peer.into()));
    l4.set_socket_digest(digest);
    let tls = acceptor.tls_handshake(l4).await.ok()?;
    Some(Box::new(tls))
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<Acceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("could not read {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("could not read {}", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from_server_config(Arc::new(config)))
}
