//! [`Handover`]: what the process that serves does to be succeeded by a new program.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::app::control;
use crate::app::duties::Duties;
use crate::app::lasting::Lasting;
use crate::app::serve::Origins;
use crate::domain::event::{Actor, Event, Fact};
use crate::ports::Events;
use crate::proxy::Kept;

use super::channel::Channel;
use super::{Estate, Said, program, successor};

/// A new program says who it is by then.
const HERE: Duration = Duration::from_secs(10);
/// It is prepared by then: it may have to bring the database up to date.
const PREPARED: Duration = Duration::from_mins(1);
/// Letters and rounds under way end by then.
const DUTIES: Duration = Duration::from_secs(30);
/// A program that is prepared serves within this time.
const READY: Duration = Duration::from_secs(10);
/// How often it is looked whether this process is to stop meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// Why nobody takes the place of a process that ends.
const STOPS: &str = "the gateway stops";

/// What became of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upgraded {
    /// This process serves now.
    Done {
        /// Its number.
        process: u32,
    },
    /// The old process serves on, and why.
    Failed(String),
}

/// What can be handed over, and how.
pub(in crate::app) struct Handover {
    program: io::Result<PathBuf>,
    file: PathBuf,
    demo: bool,
    directory: PathBuf,
    /// What another process is to hold too. Empty once this one takes no connections any more.
    estate: Mutex<Option<(OwnedFd, Vec<Kept>)>>,
    lasting: Arc<Lasting>,
    duties: Arc<Duties>,
    stop: CancellationToken,
    done: CancellationToken,
    /// One at a time.
    trying: Arc<tokio::sync::Mutex<()>>,
}

impl Handover {
    /// `directory` is the store's; `estate`, its lock and the sockets, is what another process is to hold too.
    pub fn new(
        origins: Origins<'_>,
        directory: &Path,
        estate: (OwnedFd, Vec<Kept>),
        lasting: Arc<Lasting>,
        duties: Arc<Duties>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            program: program(),
            file: origins.file.to_owned(),
            demo: origins.demo,
            directory: directory.to_owned(),
            estate: Mutex::new(Some(estate)),
            lasting,
            duties,
            stop,
            done: CancellationToken::new(),
            trying: Arc::default(),
        }
    }

    /// Ends when another process serves.
    pub async fn done(&self) {
        self.done.cancelled().await;
    }

    /// This process serves: what it holds is its own.
    pub fn own(&self) {
        control::settle(&self.directory);
        if let Some((_, sockets)) = &*self.estate.lock() {
            sockets.iter().for_each(Kept::own);
        }
    }

    /// Lets go of the sockets: nobody may wait on them for a process that takes no connections.
    pub fn let_go(&self) {
        self.estate.lock().take();
    }

    /// Has the new program take over, or goes on as before.
    pub async fn upgrade(self: Arc<Self>) -> Upgraded {
        if self.demo {
            return Upgraded::Failed("this is the demo: stop it with Ctrl-C, and start the new one".to_owned());
        }
        let Ok(_one) = Arc::clone(&self.trying).try_lock_owned() else {
            return Upgraded::Failed("an upgrade is under way already".to_owned());
        };
        tracing::info!("an upgrade begins: the new program is started");
        let (this, handle) = (Arc::clone(&self), Handle::current());
        let tried = tokio::task::spawn_blocking(move || this.hand_over(&handle)).await;
        match tried.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(process) => {
                tracing::info!(
                    process,
                    "the new program serves; requests and streams that are open here are finished"
                );
                self.done.cancel();
                Upgraded::Done { process }
            }
            Err(why) => {
                tracing::error!(why, "the upgrade failed; this process serves on");
                self.record(Fact::UpgradeFailed).await;
                Upgraded::Failed(why)
            }
        }
    }

    /// Records what became of it.
    pub async fn record(&self, fact: Fact) {
        let world = &self.lasting.world;
        let event = Event {
            id: world.uuid(),
            at: world.now(),
            actor: Actor::Operator,
            client: None,
            account: None,
            fact,
        };
        if let Err(fault) = self.lasting.store.append(&[event]).await {
            tracing::error!(fault = fault.chain(), "could not record the event of an upgrade");
        }
    }

    /// Blocks. Answers which process serves.
    fn hand_over(&self, handle: &Handle) -> Result<u32, String> {
        if std::process::id() == 1 {
            return Err(
                "this is the first process of a container, which ends with it: start a new container".to_owned(),
            );
        }
        let mut successor = self.start()?;
        match self.settle(&mut successor, handle) {
            Ok(()) => {
                // It started the process that serves and has ended.
                let _ = successor.ended();
                Ok(successor.process)
            }
            Err(why) => {
                successor.end();
                control::reclaim(&self.directory);
                Err(why)
            }
        }
    }

    fn start(&self) -> Result<Successor, String> {
        let program = self.program.as_ref().map_err(ToString::to_string)?;
        let (channel, other) = Channel::pair().map_err(|error| error.to_string())?;
        let mut command = successor(program, &self.file);
        let child = command.stdin(Stdio::from(other)).spawn();
        // With it goes this process's copy of the other end, so that the end of the new program is heard.
        drop(command);
        let child = child.map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        Ok(Successor {
            channel,
            child,
            process: 0,
            stop: self.stop.clone(),
        })
    }

    fn settle(&self, successor: &mut Successor, handle: &Handle) -> Result<(), String> {
        let deadline = Instant::now() + PREPARED;
        let Said::Here { process } = successor.hear(Instant::now() + HERE)? else {
            return Err("the new program does not say who it is".to_owned());
        };
        successor.process = process;
        self.bequeath(&mut successor.channel)?;
        successor.expect(&Said::Prepared, deadline)?;
        if self.stop.is_cancelled() {
            return Err(STOPS.to_owned());
        }
        if !handle.block_on(self.duties.lay_down(DUTIES)) {
            self.go_on(handle);
            return Err("a letter or another task under way did not end in time: try again".to_owned());
        }
        let settled = self.let_act(successor);
        if settled.is_err() {
            successor.end();
            self.go_on(handle);
        }
        settled
    }

    /// Takes the duties up again, unless this process ends.
    fn go_on(&self, handle: &Handle) {
        if !self.stop.is_cancelled() {
            handle.block_on(async { self.duties.take_up() });
        }
    }

    /// Hands over what both hold from now on.
    fn bequeath(&self, channel: &mut Channel) -> Result<(), String> {
        let held = self.estate.lock();
        let (lock, sockets) = held.as_ref().ok_or(STOPS)?;
        let estate = Estate {
            sockets: sockets.iter().map(|kept| kept.name().to_owned()).collect(),
        };
        let mut give = || {
            channel.say(&estate, READY)?;
            channel.give(lock.as_fd())?;
            sockets.iter().try_for_each(|kept| channel.give(kept.as_fd()))
        };
        give().map_err(|error: io::Error| format!("the sockets could not be handed over: {error}"))
    }

    fn let_act(&self, successor: &mut Successor) -> Result<(), String> {
        let counted = self.lasting.limiter.counted();
        let said = successor.channel.say(&counted, READY);
        said.map_err(|error| format!("what was counted could not be handed over: {error}"))?;
        successor.expect(&Said::Ready, Instant::now() + READY)?;
        // Whoever asked for a stop before that did not ask for another process.
        let (_, sockets) = self.estate.lock().take().ok_or(STOPS)?;
        sockets.into_iter().for_each(Kept::leave);
        Ok(())
    }
}

/// The new program.
struct Successor {
    channel: Channel,
    /// What was started; once it is detached, this has ended.
    child: Child,
    /// 0 until it has said its number, and once it has gone.
    process: u32,
    /// Nobody is to succeed a process that stops.
    stop: CancellationToken,
}

impl Successor {
    fn expect(&mut self, wanted: &Said, deadline: Instant) -> Result<(), String> {
        let said = self.hear(deadline)?;
        if said == *wanted {
            Ok(())
        } else {
            Err(format!("the new program said {said:?} where {wanted:?} was expected"))
        }
    }

    fn hear(&mut self, deadline: Instant) -> Result<Said, String> {
        self.listen(deadline)?;
        match self.channel.hear(deadline) {
            Ok(Said::Failed(why)) => Err(why),
            Ok(said) => Ok(said),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err("the new program was not ready in time".to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.process = 0;
                Err(match self.ended() {
                    Some(status) if !status.success() => {
                        format!("the new program ended at its start ({status}); the log may say why")
                    }
                    _ => "the new program ended before it was ready; the log may say why".to_owned(),
                })
            }
            Err(error) => Err(format!("the new program cannot be understood: {error}")),
        }
    }

    /// Waits until it says something, but for no longer than this process is to serve.
    fn listen(&self, deadline: Instant) -> Result<(), String> {
        loop {
            if self.stop.is_cancelled() {
                return Err(STOPS.to_owned());
            }
            let now = Instant::now();
            let has_word = self.channel.has_word(deadline.min(now + LOOK));
            // What is wrong with the channel is said by whoever hears.
            if now >= deadline || has_word.unwrap_or(true) {
                return Ok(());
            }
        }
    }

    /// How what was started has ended; it closes its end of the talk a moment before.
    fn ended(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                ended => return ended.ok().flatten(),
            }
        }
    }

    /// Ends it, whatever it is doing.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let process = i32::try_from(std::mem::take(&mut self.process)).ok();
        if let Some(process) = process.and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}
