//! A running gateway, from the configuration to an orderly stop, or to the process that takes its place.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::event::Fact;
use crate::domain::fault::Fault;
use crate::ports::Outbox;
use crate::proxy::{Bound, ConnectionLimits, Connections, Front, Gateway, GatewayParts, Given, Kept, bind};
use crate::store::{SqliteStore, StoreLock};
use crate::telemetry::supervisor::Supervisor;

use super::backup;
use super::charter::{Current, Decided, decide};
use super::control::{Asked, Control};
use super::doors;
use super::duties::Duties;
use super::lasting::Lasting;
use super::monitor::{Monitor, Shown};
use super::office::world;
use super::reload::{self, Reloads};
use super::succession::{Handover, Predecessor};
use super::tasks::{self, Tasks};
use super::watchdog::Watchdog;

/// What a gateway that has just become ready can tell.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Where it listens, with the real ports.
    pub places: Vec<String>,
    /// From where it sends people there.
    pub redirecting: Vec<String>,
    /// Where metrics and health are asked for.
    pub metrics: Option<SocketAddr>,
}

/// Where a gateway comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    /// The file of its configuration: what changes there is taken up.
    pub file: &'a Path,
    /// The process whose place this one takes.
    pub predecessor: Option<&'a Arc<Predecessor>>,
    /// It is part of the demo: the end of its terminal (SIGHUP) ends it, and no other process can take its place.
    pub demo: bool,
}

/// A stop waits this long for background work, mail under way among it.
const FINISH: Duration = Duration::from_secs(10);

/// Serves until `stop`, or until another process takes its place; then drains. `ready` is called once everything is in
/// place.
///
/// # Errors
/// When something needed at start is missing: says what, where and how to mend it.
pub async fn serve(
    config: Config,
    origins: Origins<'_>,
    stop: CancellationToken,
    ready: impl FnOnce(Listening),
) -> Result<(), Fault> {
    let life = Life::new(&stop);
    let (lock, mut given) = place(&config, origins.predecessor)?;
    let listeners = bind("server.listen", &config.server.listen, &mut given)?;
    let plain = bind("server.redirect_listen", &config.server.redirect_listen, &mut given)?;
    let places = |bound: &[Bound]| bound.iter().map(Bound::place).collect::<Vec<_>>();
    let (places, redirecting) = (places(&listeners), places(&plain));
    let store = Arc::new(SqliteStore::open(&config.store.directory).await?);
    let monitor = Arc::new(Monitor::new(&config, world()));
    let mut shown = monitor.bind(&config, &mut given);
    let forsaken = given.forsake();
    let metrics = shown.as_ref().and_then(Shown::address);
    let mut kept = keep(&lock, listeners.iter().chain(&plain))?;
    kept.sockets.extend(shown.as_ref().and_then(Shown::keep));
    if origins.predecessor.is_none() {
        // Who asks how the gateway is hears that it starts.
        if let Some(shown) = shown.take() {
            monitor.show(shown, &life.shown);
        }
    }

    let (drain, longest) = (config.server.drain_timeout, config.server.upgrade_timeout);
    let redirect = doors::RedirectTerms::of(&config);
    let composed = Box::pin(compose(config, origins, &store, &life, &monitor, kept)).await?;
    let Composed { front, handover, .. } = &composed;
    composed.begin(&store, &life, origins).await?;
    if let Some(shown) = shown {
        monitor.show(shown, &life.shown);
    }
    let (stopping, stopped) = watch::channel(false);
    redirect.serve(front, plain, &stopped);
    let mut serving = tokio::spawn(Arc::clone(front).serve(listeners, stopped));
    if let Some(predecessor) = origins.predecessor {
        said(predecessor.ready())?;
    }
    handover.own();
    forsaken.remove();
    let status = format!("serving on {}", places.join(", "));
    ready(Listening {
        places,
        redirecting,
        metrics,
    });
    life.supervisor.ready(&status);
    if origins.predecessor.is_some() {
        composed.note_the_upgrade(&life);
    }
    let watchdog = Watchdog {
        supervisor: Arc::clone(&life.supervisor),
        store: Arc::clone(&store),
        roll: front.roll(),
    };
    life.tasks.run_until_stop(|stop| watchdog.keep(stop));

    let succeeded = tokio::select! {
        () = stop.cancelled() => false,
        () = handover.done() => true,
        ended = &mut serving => return Err(ended_early(ended)),
    };
    handover.let_go();
    life.reign.cancel();
    let _ = stopping.send(true);
    if succeeded {
        life.shown_until.cancel();
        let _ = serving.await;
        run_out(front, &stop, longest).await;
    } else {
        tracing::info!("stopping: no new connections are taken, open requests are finished");
        life.supervisor.stopping(drain + 2 * FINISH, "finishing open requests");
        let _ = serving.await;
    }
    front.close(drain).await;
    life.drained.cancel();
    if !composed.duties.lay_down(FINISH).await {
        tracing::warn!("stopping although background work is still under way");
    }
    tokio::join!(
        life.tasks.finish(FINISH),
        life.requests.finish(FINISH),
        life.shown.finish(FINISH)
    );
    if !succeeded && let Err(fault) = composed.lasting.counts.write().await {
        tracing::error!(
            fault = fault.chain(),
            "the next start begins with older counters of the limits"
        );
    }
    store.close().await;
    drop(lock);
    Ok(())
}

/// The background work of a process, by when it ends.
struct Life {
    /// With the stop, or when another process takes over.
    tasks: Tasks,
    reign: CancellationToken,
    /// When the last request has ended.
    requests: Tasks,
    drained: CancellationToken,
    /// Shows metrics and health: with the last request, or when another process takes over.
    shown: Tasks,
    shown_until: CancellationToken,
    /// Who is told how the gateway is.
    supervisor: Arc<Supervisor>,
}

impl Life {
    fn new(stop: &CancellationToken) -> Self {
        let (reign, drained) = (stop.child_token(), CancellationToken::new());
        let shown_until = drained.child_token();
        Self {
            tasks: Tasks::new(reign.clone()),
            reign,
            requests: Tasks::new(drained.clone()),
            drained,
            shown: Tasks::new(shown_until.clone()),
            shown_until,
            supervisor: Arc::new(Supervisor::of_environment()),
        }
    }
}

/// The lock of the store and the sockets that are there already.
fn place(config: &Config, predecessor: Option<&Arc<Predecessor>>) -> Result<(StoreLock, Given), Fault> {
    let directory = &config.store.directory;
    if let Some(predecessor) = predecessor {
        return Ok((predecessor.lock(directory)?, predecessor.sockets()));
    }
    let lock = StoreLock::acquire(directory)?;
    backup::tidy(directory);
    Ok((lock, Given::take()))
}

/// What another process is to hold as well.
struct Bequest {
    lock: std::os::fd::OwnedFd,
    sockets: Vec<Kept>,
}

fn keep<'a>(lock: &StoreLock, bound: impl Iterator<Item = &'a Bound>) -> Result<Bequest, Fault> {
    let failed = |error| Fault::unavailable("could not keep the sockets for another process", error);
    Ok(Bequest {
        lock: lock.share().map_err(failed)?,
        sockets: bound.map(Bound::keep).collect::<Result<_, _>>().map_err(failed)?,
    })
}

/// Waits for what is open in this process while another one takes connections, until `stop` and at most `longest`.
async fn run_out(front: &Front, stop: &CancellationToken, longest: Duration) {
    tokio::select! {
        () = front.run_out() => tracing::info!("nothing is open here any more; this process ends"),
        () = stop.cancelled() => tracing::info!("stopping: open calls and streams are ended"),
        () = tokio::time::sleep(longest) => {
            tracing::warn!("open calls and streams are ended: server.upgrade_timeout is over");
        }
    }
}

fn ended_early(ended: Result<std::io::Result<()>, JoinError>) -> Fault {
    match ended {
        Ok(Ok(())) => Fault::unavailable("could not serve", "the listeners ended"),
        Ok(Err(error)) => Fault::unavailable("could not serve", error),
        Err(error) => Fault::unavailable("a listener ended unexpectedly", error),
    }
}

/// What was said between two processes.
fn said<T>(outcome: std::io::Result<T>) -> Result<T, Fault> {
    outcome.map_err(|error| Fault::unavailable("could not take the place of the running gateway", error))
}

/// Everything between the sockets and the store.
struct Composed {
    front: Arc<Front>,
    lasting: Arc<Lasting>,
    duties: Arc<Duties>,
    handover: Arc<Handover>,
    reloads: Arc<Reloads>,
    directory: std::path::PathBuf,
}

/// Builds it, and begins to follow the store and the configuration.
async fn compose(
    config: Config,
    origins: Origins<'_>,
    store: &Arc<SqliteStore>,
    life: &Life,
    monitor: &Arc<Monitor>,
    kept: Bequest,
) -> Result<Composed, Fault> {
    let lasting = Arc::new(Lasting::open(&config, store, &life.tasks, &life.requests, monitor).await?);
    let decided = decide(config.clone(), &lasting, None).await?;
    let current = Arc::new(Current::new(&decided));
    monitor.tell_servers(&current.charter);
    tasks::follow_requests(&life.requests, &lasting, &current);
    let gateway = Gateway::new(GatewayParts {
        charter: Arc::clone(&current.charter),
        signer: lasting.signer.clone(),
        streams: Arc::clone(&lasting.streams),
        measures: monitor.measures(),
        sentinel: Arc::clone(&lasting.sentinel),
        pages: Arc::clone(&lasting.pages),
        orders: Arc::clone(&lasting.orders),
        world: lasting.world.clone(),
    });
    let limits = ConnectionLimits {
        total: config.server.max_connections,
        per_client: config.server.max_connections_per_client,
    };
    let connections = Connections::new(limits, monitor.metrics.proxy.connections.clone());
    let terms = doors::terms(&config, &life.tasks, monitor, world())?;
    let duties = Arc::new(Duties::new(
        Arc::clone(&lasting),
        Arc::clone(&current),
        life.reign.clone(),
    ));
    let handover = Handover::new(
        origins,
        &config.store.directory,
        (kept.lock, kept.sockets),
        Arc::clone(&lasting),
        Arc::clone(&duties),
        life.reign.clone(),
    );
    let reloads = follow(&life.tasks, origins, &lasting, current, decided, &life.supervisor)?;
    Ok(Composed {
        front: Arc::new(Front::new(gateway, terms, connections)),
        lasting,
        duties,
        handover: Arc::new(handover),
        reloads,
        directory: config.store.directory,
    })
}

/// Takes up what changes in the configuration from now on.
fn follow(
    tasks: &Tasks,
    origins: Origins<'_>,
    lasting: &Arc<Lasting>,
    current: Arc<Current>,
    decided: Decided,
    supervisor: &Arc<Supervisor>,
) -> Result<Arc<Reloads>, Fault> {
    let listen =
        || signal(SignalKind::hangup()).map_err(|error| Fault::unavailable("could not listen for SIGHUP", error));
    let hangup = if origins.demo { None } else { Some(listen()?) };
    let reloads = Reloads::new(
        origins.file,
        Arc::clone(lasting),
        current,
        decided,
        Arc::clone(supervisor),
    );
    let reloads = Arc::new(reloads);
    reload::follow(tasks, &reloads, hangup);
    Ok(reloads)
}

impl Composed {
    /// Begins what one process alone does, once the one before does it no more.
    async fn begin(&self, store: &SqliteStore, life: &Life, origins: Origins<'_>) -> Result<(), Fault> {
        if let Some(predecessor) = origins.predecessor {
            let predecessor = Arc::clone(predecessor);
            let waiting = tokio::task::spawn_blocking(move || predecessor.prepared());
            let counted = said(waiting.await.unwrap_or_else(|error| Err(error.into())))?;
            self.lasting.limiter.take_up(counted);
        } else {
            self.lasting.counts.take_up().await;
        }
        store.give_back_taken().await?;
        self.duties.take_up();
        self.listen_to_the_operator(life);
        Ok(())
    }

    fn note_the_upgrade(&self, life: &Life) {
        let handover = Arc::clone(&self.handover);
        let done = Fact::UpgradeDone(env!("CARGO_PKG_VERSION").to_owned());
        life.tasks
            .run_until_stop(|_| async move { handover.record(done).await });
    }

    fn listen_to_the_operator(&self, life: &Life) {
        let asked = Asked {
            reloads: Arc::clone(&self.reloads),
            regimes: Arc::clone(&self.lasting.regimes),
            handover: Arc::clone(&self.handover),
            campaigns: Arc::clone(&self.lasting.campaigns),
        };
        match Control::bind(&self.directory) {
            Ok(control) => life.tasks.run_until_stop(|stop| control.serve(asked, stop)),
            Err(error) => {
                let directory = self.directory.display();
                tracing::error!(%error, %directory, "no control socket can be made in the store's directory: sekisho reload and upgrade will not work, SIGHUP does");
            }
        }
    }
}
