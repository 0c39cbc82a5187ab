//! A running gateway with somebody signed in, and the server behind it.

use std::rc::Rc;

use super::child::{Cores, Place, Server};
use super::gateway::Home;
use super::load::Visitor;

/// Everything that stands before a measurement begins.
pub struct Scene {
    // Stopped in this order: proxies before what stands behind them.
    /// The gateway.
    pub gateway: Rc<Server>,
    _upstream: Server,
    /// Its directory, and what belongs to it.
    pub home: Home,
    /// Who is signed in at it.
    pub visitor: Visitor,
}

impl Scene {
    /// Starts both; `more` is added to the gateway's configuration. Needs a running tokio runtime.
    pub async fn set(cores: &Cores, more: &str) -> anyhow::Result<Self> {
        let upstream = start_upstream(cores)?;
        let home = Home::make(upstream.address, more).await?;
        let gateway = home.start(cores, &[])?;
        home.add_account()?;
        let visitor = home.sign_in(gateway.address).await?;
        Ok(Self {
            gateway: Rc::new(gateway),
            _upstream: upstream,
            home,
            visitor,
        })
    }
}

/// Starts the server behind the proxies.
pub fn start_upstream(cores: &Cores) -> anyhow::Result<Server> {
    let mut command = cores.command(std::env::current_exe()?, Place::Load);
    command.arg("upstream");
    let log = std::env::temp_dir().join(format!("sekisho-bench-upstream-{}.log", std::process::id()));
    Server::start("the upstream", command, log)
}
