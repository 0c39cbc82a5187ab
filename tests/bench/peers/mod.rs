//! Who is measured: the gateway, the bare proxy twice, and what a deployer would run instead.

mod bare;
mod caddy;
mod nginx;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;

use super::child::{Cores, Server, is_installed};
use super::gateway::Home;
use super::load::{Dialler, Protocol, Visitor};
use super::upstream::LOOK;

pub use bare::{run as run_bare, start as start_bare};
pub use nginx::{Duty, start as start_nginx};

/// Somebody who is measured.
pub struct Peer {
    /// What it is called in tables.
    pub name: &'static str,
    /// What it is for in ratios.
    pub part: Role,
    /// Whether the upstream is told who is asking, and not the session.
    pub asserts: bool,
    /// It runs; otherwise why not.
    pub standing: Result<Running, String>,
}

/// What a peer is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The gateway.
    Gateway,
    /// The bare proxy.
    Bare,
    /// The second process of the bare proxy: the control.
    Control,
    /// Another proxy.
    Other,
}

/// A peer that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Every process that works for its answers; the first is itself.
    servers: Vec<Rc<Server>>,
}

impl Running {
    fn new(server: Server) -> Self {
        Self {
            address: server.address,
            servers: vec![Rc::new(server)],
        }
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        self.servers.iter().map(|server| server.cpu()).sum()
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        self.servers.iter().map(|server| server.memory()).sum()
    }
}

/// Starts all, in the order in which they take turns: the gateway stands in the middle, between two equal neighbours.
pub fn start(cores: &Cores, home: &Home, gateway: &Rc<Server>) -> anyhow::Result<Vec<Peer>> {
    let bare = |name, part| -> anyhow::Result<Peer> {
        Ok(Peer {
            name,
            part,
            asserts: false,
            standing: Ok(Running::new(start_bare(name, cores, &[], home)?)),
        })
    };
    let nginx = |name, duty| other(name, "nginx", || start_nginx(name, cores, home, duty));
    let mut asking = nginx("nginx, auth_request to the gateway", Duty::AskGateway(gateway.address))?;
    asking.asserts = true;
    if let Ok(running) = &mut asking.standing {
        running.servers.push(Rc::clone(gateway));
    }
    Ok(vec![
        bare("bare Pingora", Role::Bare)?,
        nginx("nginx", Duty::PassOn)?,
        nginx("nginx, auth_request to a static 200", Duty::AskItself)?,
        Peer {
            name: "gateway",
            part: Role::Gateway,
            asserts: true,
            standing: Ok(Running {
                address: gateway.address,
                servers: vec![Rc::clone(gateway)],
            }),
        },
        asking,
        other("Caddy, forward_auth to a static 200", "caddy", || {
            caddy::start(cores, home)
        })?,
        bare("bare Pingora, again", Role::Control)?,
    ])
}

fn other(name: &'static str, package: &str, start: impl FnOnce() -> anyhow::Result<Server>) -> anyhow::Result<Peer> {
    let standing = if is_installed(package) {
        Ok(Running::new(start()?))
    } else {
        Err(format!("not measured: apt-get install {package}"))
    };
    Ok(Peer {
        name,
        part: Role::Other,
        asserts: false,
        standing,
    })
}

/// Looks at what reaches the upstream: the gateway, and who asks it, tell who is asking and keep the session to
/// themselves; everybody else passes the cookie on.
pub async fn check(peers: &[Peer], visitor: &Visitor) -> anyhow::Result<()> {
    for peer in peers {
        let Ok(running) = &peer.standing else { continue };
        let mut line = Dialler::new(running.address, visitor, Protocol::Http1)?.open().await?;
        let answer = line.ask(LOOK).await?;
        ensure!(answer.status() == 200, "{} answered {}", peer.name, answer.status());
        let seen: Vec<&[u8]> = answer.body().split(|b| *b == b'\n').collect();
        let (told, passed) = (
            seen.contains(&&b"x-sekisho-assertion"[..]),
            seen.contains(&&b"cookie"[..]),
        );
        ensure!(
            told == peer.asserts && passed != peer.asserts,
            "{} sent the upstream these headers: {}",
            peer.name,
            String::from_utf8_lossy(answer.body())
        );
    }
    Ok(())
}
