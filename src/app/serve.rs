//! A running gateway, from the configuration to an orderly stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::fault::Fault;
use crate::ports::Outbox;
use crate::proxy::{Bound, ConnectionLimits, Connections, Front, Gateway, GatewayParts, Given, bind};
use crate::store::{SqliteStore, StoreLock};
use crate::telemetry::supervisor::Supervisor;

use super::backup;
use super::charter::{Current, decide};
use super::control::Control;
use super::doors;
use super::lasting::Lasting;
use super::monitor::Monitor;
use super::office::world;
use super::reload::{self, Reloads};
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

/// A stop waits this long for background work, mail under way among it.
const FINISH: Duration = Duration::from_secs(10);

/// Serves until `stop`, then drains. `ready` is called once everything is in place. `file` is where the configuration comes
/// from: what changes there is taken up.
///
/// # Errors
/// When something needed at start is missing: says what, where and how to mend it.
pub async fn serve(
    config: Config,
    file: Option<&Path>,
    stop: CancellationToken,
    ready: impl FnOnce(Listening),
) -> Result<(), Fault> {
    let supervisor = Arc::new(Supervisor::of_environment());
    let _lock = StoreLock::acquire(&config.store.directory)?;
    backup::tidy(&config.store.directory);
    let mut given = Given::take();
    let listeners = bind("server.listen", &config.server.listen, &mut given)?;
    let plain = bind("server.redirect_listen", &config.server.redirect_listen, &mut given)?;
    drop(given);
    let places = |bound: &[Bound]| bound.iter().map(Bound::place).collect::<Vec<_>>();
    let (places, redirecting) = (places(&listeners), places(&plain));
    let store = Arc::new(SqliteStore::open(&config.store.directory).await?);
    store.give_back_taken().await?;

    let drained = CancellationToken::new();
    let life = Life {
        tasks: Tasks::new(stop.clone()),
        requests: Tasks::new(drained.clone()),
        supervisor: Arc::clone(&supervisor),
    };
    let drain = config.server.drain_timeout;
    let monitor = Arc::new(Monitor::new(&config, world()));
    let metrics = monitor.open(&config, &life.requests);
    let redirect = doors::RedirectTerms::of(&config);
    let front = Arc::new(compose(config, file, &store, &life, &monitor).await?);
    let (stopping, stopped) = watch::channel(false);
    redirect.serve(&front, plain, &stopped);
    let mut serving = tokio::spawn(Arc::clone(&front).serve(listeners, stopped));
    let status = format!("serving on {}", places.join(", "));
    ready(Listening {
        places,
        redirecting,
        metrics,
    });
    supervisor.ready(&status);
    let watchdog = Watchdog {
        supervisor: Arc::clone(&supervisor),
        store: Arc::clone(&store),
        roll: front.roll(),
    };
    life.tasks.run_until_stop(|stop| watchdog.keep(stop));

    tokio::select! {
        () = stop.cancelled() => {}
        ended = &mut serving => return Err(ended_early(ended)),
    }
    tracing::info!("stopping: no new connections are taken, open requests are finished");
    supervisor.stopping(drain + 2 * FINISH, "finishing open requests");
    let _ = stopping.send(true);
    let _ = serving.await;
    front.close(drain).await;
    drained.cancel();
    tokio::join!(life.tasks.finish(FINISH), life.requests.finish(FINISH));
    store.close().await;
    Ok(())
}

/// The background work of a process, by when it ends.
struct Life {
    /// With the stop.
    tasks: Tasks,
    /// When the last request has ended.
    requests: Tasks,
    /// Who is told how the gateway is.
    supervisor: Arc<Supervisor>,
}

fn ended_early(ended: Result<std::io::Result<()>, JoinError>) -> Fault {
    match ended {
        Ok(Ok(())) => Fault::unavailable("could not serve", "the listeners ended"),
        Ok(Err(error)) => Fault::unavailable("could not serve", error),
        Err(error) => Fault::unavailable("a listener ended unexpectedly", error),
    }
}

/// Builds everything between the sockets and the store, and starts the background work.
async fn compose(
    config: Config,
    file: Option<&Path>,
    store: &Arc<SqliteStore>,
    life: &Life,
    monitor: &Arc<Monitor>,
) -> Result<Front, Fault> {
    let Life { tasks, requests, .. } = life;
    let lasting = Arc::new(Lasting::open(&config, store, tasks, requests, monitor).await?);
    let decided = decide(config.clone(), &lasting, None).await?;
    let current = Arc::new(Current::new(&decided));
    monitor.tell_servers(&current.charter);
    tasks::follow_requests(requests, &lasting, &current);
    tasks::start(tasks, &lasting, &current);
    let gateway = Gateway::new(GatewayParts {
        charter: Arc::clone(&current.charter),
        signer: lasting.signer.clone(),
        streams: Arc::clone(&lasting.streams),
        measures: monitor.measures(),
        world: lasting.world.clone(),
    });
    if let Some(file) = file {
        let directory = &config.store.directory;
        let supervisor = Arc::clone(&life.supervisor);
        follow(
            directory,
            tasks,
            Reloads::new(file, lasting, current, decided, supervisor),
        )?;
    }
    let limits = ConnectionLimits {
        total: config.server.max_connections,
        per_client: config.server.max_connections_per_client,
    };
    let connections = Connections::new(limits, monitor.metrics.proxy.connections.clone());
    let terms = doors::terms(&config, tasks, monitor, world())?;
    Ok(Front::new(gateway, terms, connections))
}

/// Takes up what changes in the configuration from now on.
fn follow(directory: &Path, tasks: &Tasks, reloads: Reloads) -> Result<(), Fault> {
    let reloads = Arc::new(reloads);
    let hangup =
        signal(SignalKind::hangup()).map_err(|error| Fault::unavailable("could not listen for SIGHUP", error))?;
    reload::follow(tasks, &reloads, hangup);
    match Control::bind(directory) {
        Ok(control) => tasks.run_until_stop(|stop| control.serve(reloads, stop)),
        Err(error) => {
            let directory = directory.display();
            tracing::error!(%error, %directory, "no control socket can be made in the store's directory: sekisho reload will not work, SIGHUP does");
        }
    }
    Ok(())
}
