//! A new configuration in the place of the one in force: checked as a whole, then swapped in one moment, or refused with
//! everything that is wrong with it while the old one serves on.
//!
//! There is one way to it, [`Reloads::reload`], whoever asks: a signal, a changed file or `sekisho reload`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;

use crate::config::{Change, Config, Problem};
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;
use crate::ports::Events;
use crate::telemetry::log;
use crate::telemetry::supervisor::Supervisor;

use super::charter::{Current, Decided, check_blocklists, decide};
use super::crowds;
use super::lasting::Lasting;
use super::regime::{self, Governing};
use super::stamp::Stamps;
use super::tasks::Tasks;
use super::theme::check_theme;
use super::trust::check_trust;

/// Files are looked at this often, and taken up once they have stayed the same for as long: what is still being written
/// is left alone.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a new configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reloaded {
    /// It is in force, but for the changes that wait for a restart.
    TakenUp {
        /// Key by key.
        changes: Vec<Change>,
        /// What is allowed and yet weakens the gateway.
        warnings: Vec<String>,
    },
    /// The old one serves on. Everything that is wrong with the new one.
    Refused(Vec<String>),
}

/// Who wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// `sekisho reload`.
    Command,
    /// SIGHUP.
    Signal,
    /// A file that changed.
    File,
}

/// The configuration file of a running gateway, and what was made of it.
pub(super) struct Reloads {
    file: PathBuf,
    lasting: Arc<Lasting>,
    current: Arc<Current>,
    supervisor: Arc<Supervisor>,
    state: Mutex<State>,
}

struct State {
    /// What needs a restart is as it was then.
    started: Config,
    /// In force.
    decided: Arc<Decided>,
    /// The files that the last attempt rested on, and how they looked before it read them.
    watched: Vec<PathBuf>,
    seen: Stamps,
    /// How they look now, when that differs: taken up when it stays so.
    unsettled: Option<Stamps>,
}

/// What an attempt came to.
struct Attempt {
    watched: Vec<PathBuf>,
    seen: Stamps,
    decided: Result<Decided, Vec<String>>,
}

impl Reloads {
    /// `decided`, read from `file`, is in force.
    pub fn new(
        file: &Path,
        lasting: Arc<Lasting>,
        current: Arc<Current>,
        decided: Decided,
        supervisor: Arc<Supervisor>,
    ) -> Self {
        let watched = watched(file, &decided.config);
        let state = State {
            started: decided.config.clone(),
            seen: seen_at_the_start(file, &decided.config, &decided.files),
            watched,
            decided: Arc::new(decided),
            unsettled: None,
        };
        Self {
            file: file.to_owned(),
            lasting,
            current,
            supervisor,
            state: Mutex::new(state),
        }
    }

    /// Whether this is the file that the gateway reads.
    pub fn is_of(&self, file: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        real(file).is_some_and(|asked| real(&self.file) == Some(asked))
    }

    /// The file that the gateway reads.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the file and everything it names, and puts it in force unless something is wrong with it.
    pub async fn reload(&self, cause: Cause) -> Reloaded {
        let mut state = self.state.lock().await;
        self.replace(&mut state, cause).await
    }

    async fn replace(&self, state: &mut State, cause: Cause) -> Reloaded {
        self.supervisor.reloading();
        let reloaded = self.try_to_replace(state, cause).await;
        self.supervisor.reloaded(match &reloaded {
            Reloaded::TakenUp { .. } => "serving; the configuration was taken up",
            Reloaded::Refused(_) => "serving; the new configuration was refused, see the log",
        });
        reloaded
    }

    async fn try_to_replace(&self, state: &mut State, cause: Cause) -> Reloaded {
        let (file, lasting, before) = (self.file.clone(), Arc::clone(&self.lasting), Arc::clone(&state.decided));
        let handle = Handle::current();
        // Files are read and lists of passwords loaded: requests do not wait for that.
        let trying = tokio::task::spawn_blocking(move || attempt(&file, &lasting, &before, cause, &handle));
        let attempt = match trying.await {
            Ok(attempt) => attempt,
            Err(error) => return Reloaded::Refused(vec![format!("the check of the configuration failed: {error}")]),
        };
        (state.watched, state.seen, state.unsettled) = (attempt.watched, attempt.seen, None);
        let reloaded = match attempt.decided {
            Ok(decided) => {
                let governing = self.lasting.regimes.appoint(&decided.config.limits, cause).await;
                self.take_up(state, decided, governing)
            }
            Err(problems) => Reloaded::Refused(problems),
        };
        tell(&reloaded, cause);
        if let Err(fault) = self.record(&reloaded, cause).await {
            tracing::error!(fault = fault.chain(), "could not record the event of a reload");
        }
        reloaded
    }

    fn take_up(&self, state: &mut State, decided: Decided, governing: Governing) -> Reloaded {
        let config = &decided.config;
        let changes = state.decided.config.changes(&state.started, config);
        let weak = [config.warnings(), config.warnings_of_files()].concat();
        let mut warnings: Vec<_> = weak.iter().map(Problem::to_string).collect();
        // Right a moment ago, when all files were checked, and wrong by now.
        if let Governing::Refused(wrong) = governing {
            warnings.extend(wrong);
        }
        self.current.replace(&decided);
        self.lasting.monitor.tell_config(config);
        self.lasting.sentinel.declare(crowds::declared(&config.server));
        log::set_level(&config.log.level);
        state.decided = Arc::new(decided);
        Reloaded::TakenUp { changes, warnings }
    }

    async fn record(&self, reloaded: &Reloaded, cause: Cause) -> Result<(), Fault> {
        let world = &self.lasting.world;
        let fact = match reloaded {
            Reloaded::TakenUp { changes, .. } => {
                let keys: Vec<_> = changes
                    .iter()
                    .filter(|change| change.restart.is_none())
                    .map(|change| change.key.as_str())
                    .collect();
                let keys = if keys.is_empty() {
                    "nothing".to_owned()
                } else {
                    keys.join(",")
                };
                Fact::ConfigTakenUp(format!("{}: {keys}", cause.as_str()))
            }
            Reloaded::Refused(problems) => Fact::ConfigRefused(format!("{}: {}", cause.as_str(), problems.len())),
        };
        let event = Event {
            id: world.uuid(),
            at: world.now(),
            actor: cause.actor(),
            client: None,
            account: None,
            fact,
        };
        self.lasting.store.append(&[event]).await
    }

    /// One look at the files.
    async fn look(&self) {
        let mut state = self.state.lock().await;
        let watched = state.watched.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || Stamps::of(&watched)).await else {
            return;
        };
        if now == state.seen {
            state.unsettled = None;
        } else if state.unsettled.as_ref() == Some(&now) {
            self.replace(&mut state, Cause::File).await;
        } else {
            state.unsettled = Some(now);
        }
    }
}

/// Looks at the files, and listens for `hangup` where it means a reload, until the stop.
pub(super) fn follow(tasks: &Tasks, reloads: &Arc<Reloads>, hangup: Option<Signal>) {
    regime::follow(tasks, &reloads.lasting.regimes);
    if let Some(mut hangup) = hangup {
        let asked = Arc::clone(reloads);
        tasks.run_until_stop(|stop| async move {
            loop {
                tokio::select! {
                    Some(()) = hangup.recv() => drop(asked.reload(Cause::Signal).await),
                    () = stop.cancelled() => return,
                }
            }
        });
    }
    let looking = Arc::clone(reloads);
    tasks.every(LOOK, "looking at the files of the configuration", move || {
        let reloads = Arc::clone(&looking);
        async move {
            reloads.look().await;
            Ok(())
        }
    });
}

/// Blocks. What is wrong is said as far as it can be known: a text that is no configuration names no files.
fn attempt(file: &Path, lasting: &Lasting, before: &Decided, cause: Cause, handle: &Handle) -> Attempt {
    let own = Stamps::of([&file.to_owned()]);
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(errors) => {
            return Attempt {
                watched: watched(file, &before.config),
                seen: own.and(Stamps::of(&before.config.files())),
                decided: Err(errors.0.iter().map(Problem::to_string).collect()),
            };
        }
    };
    let watched = watched(file, &config);
    let seen = own.and(Stamps::of(&config.files()));
    // The policies are watched on their own: one that is wrong by now keeps nobody from changing the configuration.
    let files = if cause == Cause::File && config.limits.names_the_files_of(&before.config.limits) {
        config.check_files_but_policies()
    } else {
        config.check_files()
    };
    let mut problems: Vec<_> = files.iter().map(Problem::to_string).collect();
    if problems.is_empty() {
        problems.extend(check_trust(&config));
    }
    problems.extend(check_blocklists(&config));
    problems.extend(check_theme(&config));
    let decided = if problems.is_empty() {
        let deciding = decide(config, lasting, Some(before));
        handle.block_on(deciding).map_err(|fault| vec![fault.chain()])
    } else {
        Err(problems)
    };
    Attempt { watched, seen, decided }
}

/// How everything looked that the start rested on, `read` being how the files of the configuration looked before they were
/// read. What changed while the gateway started has not been seen, and is taken up as any change.
fn seen_at_the_start(file: &Path, config: &Config, read: &Stamps) -> Stamps {
    let own = Stamps::of([&file.to_owned()]);
    if Config::load(file).is_ok_and(|now| now == *config) {
        own.and(read.clone())
    } else {
        Stamps::default()
    }
}

fn watched(file: &Path, config: &Config) -> Vec<PathBuf> {
    let mut watched = vec![file.to_owned()];
    watched.extend(config.files());
    watched
}

impl Cause {
    /// In events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Signal => "signal",
            Self::File => "file",
        }
    }

    /// In events.
    pub const fn actor(self) -> Actor {
        match self {
            Self::Command | Self::Signal => Actor::Operator,
            Self::File => Actor::Gateway,
        }
    }
}

fn tell(reloaded: &Reloaded, cause: Cause) {
    let cause = cause.as_str();
    match reloaded {
        Reloaded::TakenUp { changes, warnings } => {
            tracing::info!(cause, changes = changes.len(), "the configuration is taken up");
            for change in changes {
                let (before, after) = (change.before.as_deref(), change.after.as_deref());
                match &change.restart {
                    None => tracing::info!(key = change.key, before, after, "changed"),
                    Some(why) => tracing::warn!(key = change.key, before, after, why = &**why, "waits for a restart"),
                }
            }
            for warning in warnings {
                tracing::warn!("{warning}");
            }
        }
        Reloaded::Refused(problems) => {
            for problem in problems {
                tracing::error!(problem, "wrong in the new configuration");
            }
            tracing::error!(cause, "the new configuration is refused; the old one serves on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RESTART;

    #[test]
    fn what_changed_after_it_was_read_at_the_start_is_taken_up() {
        let home = tempfile::tempdir().unwrap();
        let (file, logo) = (home.path().join("sekisho.toml"), home.path().join("logo.svg"));
        let mut config = Config::default();
        config.branding.logo = Some(logo.clone());
        fs::write(&file, config.show()).unwrap();
        fs::write(&logo, "one").unwrap();
        let config = Config::load(&file).unwrap();
        let read = Stamps::of(&config.files());
        let changed = || seen_at_the_start(&file, &config, &read) != Stamps::of(&watched(&file, &config));
        assert!(!changed());
        fs::write(&logo, "longer").unwrap();
        assert!(changed(), "a file that it names");
        let read = Stamps::of(&config.files());
        let changed = || seen_at_the_start(&file, &config, &read) != Stamps::of(&watched(&file, &config));
        assert!(!changed());
        fs::write(&file, Config::default().show()).unwrap();
        assert!(changed(), "the file itself");
    }

    /// Read at the start and again by each round in the background.
    const BOTH: &str = "assertion.rotate_every";

    #[test]
    fn what_is_read_only_at_the_start_is_named_as_waiting_for_a_restart() {
        let once = [
            include_str!("lasting.rs"),
            include_str!("serve.rs"),
            include_str!("monitor/mod.rs"),
        ];
        let read: Vec<String> = once
            .iter()
            .flat_map(|code| code.split("config.").skip(1))
            .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c)))
            .filter_map(|mut words| words.next())
            .filter(|path| path.contains('.'))
            .map(str::to_owned)
            .collect();
        assert!(read.len() > 15, "{read:?}");
        for path in read {
            let known = |key: &str| path.starts_with(key) || key.starts_with(&path);
            assert!(path == BOTH || RESTART.iter().any(|(key, _)| known(key)), "{path}");
        }
    }
}
