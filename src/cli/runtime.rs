//! The runtimes that commands run on, and the signals that stop them.

use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// For a command that asks something and ends: one thread is enough.
pub fn brief() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start")
}

/// For serving: as many threads as cores.
pub fn serving() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Builder::new_multi_thread()
        .worker_threads(cores)
        .thread_name("sekisho")
        .enable_all()
        .build()
        .context("could not start the threads of the gateway")
}

/// Runs `work` to its end; nothing left behind keeps the process from ending.
pub fn serve(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = serving()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

/// Cancelled by the first SIGTERM or SIGINT; the second ends the process at once.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let listen = |kind| signal(kind).context("could not listen for the signals that stop the gateway");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                Some(()) = terminate.recv() => 143,
                Some(()) = interrupt.recv() => 130,
                else => return,
            };
            if asked.is_cancelled() {
                std::process::exit(code);
            }
            asked.cancel();
        }
    });
    Ok(stop)
}
