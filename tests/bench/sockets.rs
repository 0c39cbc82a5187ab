//! Memory of a WebSocket that is open and says nothing, by proxy.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::child::{Cores, Place, Server, is_installed, open_files};
use super::load::{Dialler, Protocol, Visitor};
use super::options::{Errand, Options};
use super::peers::{Duty, start_bare, start_nginx};
use super::scene::Scene;

/// Memory of an open WebSocket.
#[derive(Debug, Serialize)]
pub struct Sockets {
    /// How many were open.
    pub open: u32,
    /// Open files that one process may have here.
    pub open_files: u64,
    /// Every proxy: its name, and the bytes of its resident memory for one of them, or why it was not measured.
    pub peers: Vec<(&'static str, Result<f64, String>)>,
}

/// Opened before memory is looked at first: by then everything that is made once has been made.
const FIRST: u32 = 100;
/// Handshakes at a time.
const AT_ONCE: usize = 32;
/// Files that a proxy has open beside two for each WebSocket.
const OTHER_FILES: u64 = 200;

/// Opens as many as asked for at each proxy, or as many as the limit of open files lets a proxy have.
pub fn run(options: &Options, cores: &Cores) -> anyhow::Result<Sockets> {
    let open_files = open_files();
    let most = u32::try_from(open_files.saturating_sub(OTHER_FILES) / 2).unwrap_or(u32::MAX);
    let open = options.sockets().min(most);
    ensure!(open > FIRST, "only {open_files} files may be open");
    let runtime = tokio::runtime::Runtime::new()?;
    let scene = runtime.block_on(Scene::set(cores, ""))?;
    let mut peers = Vec::new();
    let mut measure = |name, server: Rc<Server>| -> anyhow::Result<()> {
        let each = each(cores, &server, &scene.visitor, open).with_context(|| name)?;
        peers.push((name, Ok(each)));
        Ok(())
    };
    measure("gateway", Rc::clone(&scene.gateway))?;
    measure(
        "bare Pingora",
        Rc::new(start_bare("bare Pingora", cores, &[], &scene.home)?),
    )?;
    if is_installed("nginx") {
        let room = 2 * u64::from(open) + OTHER_FILES;
        let server = start_nginx("nginx", cores, &scene.home, Duty::Hold(room))?;
        measure("nginx", Rc::new(server))?;
    } else {
        peers.push(("nginx", Err("not measured: apt-get install nginx".to_owned())));
    }
    Ok(Sockets {
        open,
        open_files,
        peers,
    })
}

/// Bytes of resident memory for one WebSocket.
fn each(cores: &Cores, server: &Server, visitor: &Visitor, open: u32) -> anyhow::Result<f64> {
    let hold = |count: u32| -> anyhow::Result<Server> {
        let mut command = cores.command(std::env::current_exe()?, Place::Load);
        command.arg("sockets").arg(server.address.to_string());
        visitor.arguments(&mut command);
        command.arg(count.to_string());
        let log = std::env::temp_dir().join(format!("sekisho-bench-sockets-{}.log", std::process::id()));
        Server::start("WebSockets", command, log)
    };
    let _first = hold(FIRST)?;
    let before = server.memory()?;
    let _rest = hold(open - FIRST)?;
    let more = server.memory()?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52 bytes")]
    let each = more as f64 / f64::from(open - FIRST);
    Ok(each)
}

/// Opens so many, says so and holds them until it is killed.
pub fn hold(to: &Errand, count: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let dialler = Dialler::new(to.address, &to.visitor, Protocol::Http1)?;
        let mut opening = JoinSet::new();
        let mut open = Vec::new();
        for _ in 0..count {
            if opening.len() >= AT_ONCE
                && let Some(opened) = opening.join_next().await
            {
                open.push(opened??);
            }
            opening.spawn(shake_hands(dialler.clone(), to.address, to.visitor.clone()));
        }
        while let Some(opened) = opening.join_next().await {
            open.push(opened??);
        }
        println!("ready");
        std::future::pending::<()>().await;
        Ok(())
    })
}

async fn shake_hands(dialler: Dialler, at: SocketAddr, visitor: Visitor) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut socket = dialler.dial().await?;
    let Visitor { host, cookie, .. } = visitor;
    let request = format!(
        "GET /app/socket HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    socket.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = socket.read_buf(&mut head).await?;
        ensure!(read > 0, "{at} closed after {:?}", String::from_utf8_lossy(&head));
    }
    ensure!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{at} answered {:?}",
        String::from_utf8_lossy(&head)
    );
    Ok(socket)
}
