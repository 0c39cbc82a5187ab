//! Which policies of the limits are in force. Their files are watched on their own, apart from the configuration's, and
//! each is taken up as a whole or refused while the former policy stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::limits_file::{LimitsFile, Preset};
use crate::config::{self, Problem};
use crate::domain::event::{Event, Fact};
use crate::domain::fault::Fault;
use crate::domain::limits::difference::Difference;
use crate::domain::limits::policy::Policy;
use crate::domain::limits::regime::Regime;
use crate::flows::World;
use crate::ports::Events;
use crate::store::MemoryLimiter;
use crate::telemetry::metrics::Labelled;

use super::reload::Cause;
use super::stamp::Stamps;
use super::tasks::Tasks;

/// Files are looked at this often, and taken up once they have stayed the same for as long.
const LOOK: Duration = Duration::from_millis(500);

/// Who counts by the policies.
pub(super) trait Governed: Send + Sync {
    /// From now on by these; what was counted stays.
    fn govern(&self, regime: Regime);
}

impl Governed for MemoryLimiter {
    fn govern(&self, regime: Regime) {
        Self::govern(self, regime);
    }
}

/// What became of policies that were read anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Governing {
    /// They are in force.
    InForce,
    /// Of at least one the former stays in force. Everything that is wrong.
    Refused(Vec<String>),
}

/// The policies of a running gateway.
pub(super) struct Regimes {
    governed: Arc<dyn Governed>,
    events: Arc<dyn Events>,
    world: World,
    /// Which files are refused, by [`Role`].
    refused: Labelled<Gauge>,
    state: Mutex<State>,
}

struct State {
    places: Places,
    policy: Arc<Policy>,
    candidate: Option<Arc<Policy>>,
    /// Set for a while by an operator: it wins over the policy.
    overriding: Option<Arc<Policy>>,
    seen: Stamps,
    /// How the files look now, when that differs: taken up when it stays so.
    unsettled: Option<Stamps>,
}

/// Where the policies are to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    enabled: bool,
    policy: Option<PathBuf>,
    candidate: Option<PathBuf>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Policy,
    Candidate,
}

/// What was read, and how the files looked before.
struct Read {
    seen: Stamps,
    policy: Result<Policy, Vec<String>>,
    candidate: Result<Option<Policy>, Vec<String>>,
}

impl Regimes {
    /// Puts in force what the configuration names.
    ///
    /// # Errors
    /// When the policy cannot be had: nothing is served without limits by mistake.
    pub fn begin(
        limits: &config::Limits,
        governed: Arc<dyn Governed>,
        events: Arc<dyn Events>,
        world: World,
        refused: Labelled<Gauge>,
    ) -> Result<Self, Fault> {
        let places = Places::of(limits);
        let read = places.read();
        let unusable = |wrong: Vec<String>| Fault::corrupt("the policy of the limits cannot be used", wrong.join("; "));
        let policy = read.policy.map_err(unusable)?;
        // A candidate stops nobody, so that none does no harm; a gateway that does not start does.
        let candidate = read.candidate.unwrap_or_else(|problems| {
            complain(Role::Candidate, &problems);
            tracing::error!("the candidate policy of the limits cannot be used; none is on trial");
            mark(&refused, Role::Candidate, true);
            None
        });
        let state = State {
            policy: Arc::new(policy),
            candidate: candidate.map(Arc::new),
            overriding: None,
            places,
            seen: read.seen,
            unsettled: None,
        };
        governed.govern(state.regime());
        Ok(Self {
            governed,
            events,
            world,
            refused,
            state: Mutex::new(state),
        })
    }

    /// Follows the configuration: other files, or limits switched on or off. The same files are read anew, too, unless
    /// nothing but the configuration's own file is known to have changed.
    pub async fn appoint(&self, limits: &config::Limits, cause: Cause) -> Governing {
        let mut state = self.state.lock().await;
        let places = Places::of(limits);
        if places == state.places && cause == Cause::File {
            return Governing::InForce;
        }
        state.places = places;
        self.take_up(&mut state, cause).await
    }

    /// Reads the files anew.
    pub async fn reload(&self, cause: Cause) -> Governing {
        let mut state = self.state.lock().await;
        self.take_up(&mut state, cause).await
    }

    /// Has another policy win over the file's, until it is called with `None`.
    pub async fn overrule(&self, policy: Option<Arc<Policy>>) {
        let mut state = self.state.lock().await;
        state.overriding = policy;
        self.governed.govern(state.regime());
    }

    /// One look at the files.
    pub async fn look(&self) {
        let mut state = self.state.lock().await;
        let places = state.places.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || places.stamps()).await else {
            return;
        };
        if now == state.seen {
            state.unsettled = None;
        } else if state.unsettled.as_ref() == Some(&now) {
            self.take_up(&mut state, Cause::File).await;
        } else {
            state.unsettled = Some(now);
        }
    }

    async fn take_up(&self, state: &mut State, cause: Cause) -> Governing {
        let places = state.places.clone();
        let read = match tokio::task::spawn_blocking(move || places.read()).await {
            Ok(read) => read,
            Err(error) => return Governing::Refused(vec![format!("the check of the policies failed: {error}")]),
        };
        (state.seen, state.unsettled) = (read.seen, None);
        let (mut facts, mut wrong) = (Vec::new(), Vec::new());
        match read.policy {
            Ok(policy) => {
                facts.extend(taken_up(Role::Policy, Some(&*state.policy), Some(&policy), cause));
                state.policy = Arc::new(policy);
                self.mark(Role::Policy, false);
            }
            Err(problems) => {
                facts.push(self.refuse(Role::Policy, &problems, cause));
                wrong.extend(problems);
            }
        }
        match read.candidate {
            Ok(candidate) => {
                facts.extend(taken_up(
                    Role::Candidate,
                    state.candidate.as_deref(),
                    candidate.as_ref(),
                    cause,
                ));
                state.candidate = candidate.map(Arc::new);
                self.mark(Role::Candidate, false);
            }
            Err(problems) => {
                facts.push(self.refuse(Role::Candidate, &problems, cause));
                wrong.extend(problems);
            }
        }
        self.governed.govern(state.regime());
        self.record(facts, cause).await;
        if wrong.is_empty() {
            Governing::InForce
        } else {
            Governing::Refused(wrong)
        }
    }

    fn refuse(&self, role: Role, problems: &[String], cause: Cause) -> Fact {
        let (file, cause) = (role.as_str(), cause.as_str());
        complain(role, problems);
        tracing::error!(
            cause,
            file,
            "the new policy of the limits is refused; the former one stays in force"
        );
        self.mark(role, true);
        Fact::LimitsRefused(format!("{cause}: {file}: {}", problems.len()))
    }

    fn mark(&self, role: Role, refused: bool) {
        mark(&self.refused, role, refused);
    }

    async fn record(&self, facts: Vec<Fact>, cause: Cause) {
        let events: Vec<_> = facts
            .into_iter()
            .map(|fact| Event {
                id: self.world.uuid(),
                at: self.world.now(),
                actor: cause.actor(),
                client: None,
                account: None,
                fact,
            })
            .collect();
        if !events.is_empty()
            && let Err(fault) = self.events.append(&events).await
        {
            tracing::error!(fault = fault.chain(), "could not record the event of a policy");
        }
    }
}

fn complain(role: Role, problems: &[String]) {
    let file = role.as_str();
    for problem in problems {
        tracing::error!(problem, file, "wrong in the new policy of the limits");
    }
}

fn mark(gauges: &Labelled<Gauge>, role: Role, refused: bool) {
    if let Some(gauge) = gauges.get(&[role.as_str()]) {
        gauge.set(refused.into());
    }
}

/// Looks at the files, until the stop.
pub(super) fn follow(tasks: &Tasks, regimes: &Arc<Regimes>) {
    let regimes = Arc::clone(regimes);
    tasks.every(LOOK, "looking at the policies of the limits", move || {
        let regimes = Arc::clone(&regimes);
        async move {
            regimes.look().await;
            Ok(())
        }
    });
}

/// What there is to tell of another policy in this place; `None` when it says the same.
fn taken_up(role: Role, old: Option<&Policy>, new: Option<&Policy>, cause: Cause) -> Option<Fact> {
    let (file, cause) = (role.as_str(), cause.as_str());
    let none = Policy::default();
    let difference = Difference::between(old.unwrap_or(&none), new.unwrap_or(&none));
    if difference.is_empty() && old.is_some() == new.is_some() {
        return None;
    }
    let changes = match new {
        Some(_) => difference.to_string(),
        None => "none any more".to_owned(),
    };
    tracing::info!(cause, file, changes, "a policy of the limits is taken up");
    Some(Fact::LimitsTakenUp(format!("{cause}: {file}: {changes}")))
}

impl State {
    fn regime(&self) -> Regime {
        if !self.places.enabled {
            return Regime::default();
        }
        Regime {
            active: Arc::clone(self.overriding.as_ref().unwrap_or(&self.policy)),
            candidate: self.candidate.clone(),
        }
    }
}

impl Places {
    fn of(limits: &config::Limits) -> Self {
        Self {
            enabled: limits.enabled,
            policy: limits.policy.clone(),
            candidate: limits.candidate.clone(),
        }
    }

    fn stamps(&self) -> Stamps {
        Stamps::of(self.policy.iter().chain(&self.candidate))
    }

    /// Blocks. A candidate that is not there is none: a promotion has moved it.
    fn read(&self) -> Read {
        let load = |path: &PathBuf| {
            if let Some(open) = LimitsFile::open_to_writers(path) {
                tracing::warn!("{open}");
            }
            let read = LimitsFile::load(path).map(|file| file.policy);
            read.map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>())
        };
        let there = self.candidate.iter().find(|path| path.exists());
        Read {
            seen: self.stamps(),
            policy: self.policy.as_ref().map_or_else(|| Ok(Preset::Standard.policy()), load),
            candidate: there.map(load).transpose(),
        }
    }
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Candidate => "candidate",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parking_lot::Mutex as Shared;

    use super::*;
    use crate::app::office::world;
    use crate::ports::EventFilter;
    use crate::store::MemoryStore;
    use crate::telemetry::metrics::names;

    /// Keeps what it was told last.
    #[derive(Default)]
    struct Fake(Shared<Regime>);

    impl Governed for Fake {
        fn govern(&self, regime: Regime) {
            *self.0.lock() = regime;
        }
    }

    struct House {
        home: tempfile::TempDir,
        limits: config::Limits,
        fake: Arc<Fake>,
        store: Arc<MemoryStore>,
        refused: Labelled<Gauge>,
    }

    const POLICY: &str = "policy.toml";
    const CANDIDATE: &str = "candidate.toml";

    impl House {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let limits = config::Limits {
                policy: Some(home.path().join(POLICY)),
                candidate: Some(home.path().join(CANDIDATE)),
                ..config::Limits::default()
            };
            let house = Self {
                home,
                limits,
                fake: Arc::default(),
                store: Arc::default(),
                refused: Labelled::new(&names::LIMITS_REFUSED, [["policy"], ["candidate"]]),
            };
            house.write(POLICY, "preset = \"standard\"");
            house
        }

        fn write(&self, name: &str, text: &str) {
            // Under another name first, so that each version is another file.
            let new = self.home.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, self.home.path().join(name)).unwrap();
        }

        fn begin(&self) -> Result<Regimes, Fault> {
            let (fake, store) = (Arc::clone(&self.fake), Arc::clone(&self.store));
            Regimes::begin(&self.limits, fake, store, world(), self.refused.clone())
        }

        fn active(&self) -> Policy {
            (*self.fake.0.lock().active).clone()
        }

        fn candidate(&self) -> Option<Policy> {
            self.fake.0.lock().candidate.as_deref().cloned()
        }

        fn gauges(&self) -> [i64; 2] {
            ["policy", "candidate"].map(|file| self.refused.get(&[file]).unwrap().get())
        }

        /// What was recorded, the newest last.
        async fn recorded(&self) -> Vec<String> {
            let events = self.store.list(EventFilter::newest(100)).await.unwrap();
            let line = |event: &Event| format!("{} {}", event.fact.name(), event.fact.detail().unwrap_or_default());
            events.iter().rev().map(line).collect()
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_up_once_it_has_stayed_the_same_for_a_look() {
        let house = House::new();
        let regimes = house.begin().unwrap();
        assert_eq!((house.active(), house.candidate()), (Preset::Standard.policy(), None));
        regimes.look().await;
        assert!(house.recorded().await.is_empty());

        house.write(POLICY, "preset = \"strict\"");
        house.write(CANDIDATE, "preset = \"relaxed\"");
        regimes.look().await;
        assert_eq!(house.active(), Preset::Standard.policy(), "it may still be written");
        regimes.look().await;
        assert_eq!(house.active(), Preset::Strict.policy());
        assert_eq!(house.candidate(), Some(Preset::Relaxed.policy()));
        let recorded = house.recorded().await;
        assert!(
            recorded[0].starts_with("limits.taken-up file: policy: sign-in.client changed, "),
            "{recorded:?}"
        );
        assert!(
            recorded[1].starts_with("limits.taken-up file: candidate: sign-in.client added, "),
            "{recorded:?}"
        );

        fs::remove_file(house.home.path().join(CANDIDATE)).unwrap();
        regimes.look().await;
        regimes.look().await;
        assert_eq!(house.candidate(), None);
        assert_eq!(
            house.recorded().await[2..],
            ["limits.taken-up file: candidate: none any more"]
        );
    }

    #[tokio::test]
    async fn a_wrong_file_is_refused_as_a_whole_and_the_former_policy_stays() {
        let house = House::new();
        let regimes = house.begin().unwrap();
        house.write(
            POLICY,
            "preset = \"strict\"\n[[rule]]\nname = \"sign-in.client\"\nquota = \"often\"",
        );
        house.write(CANDIDATE, "preset = \"strict\"");
        let Governing::Refused(wrong) = regimes.reload(Cause::Command).await else {
            panic!("it is wrong");
        };
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].contains("policy.toml:4: rule sign-in.client, quota: "),
            "{wrong:?}"
        );
        assert_eq!(house.active(), Preset::Standard.policy());
        assert_eq!(
            house.candidate(),
            Some(Preset::Strict.policy()),
            "the other file is right"
        );
        assert_eq!(house.gauges(), [1, 0]);
        assert_eq!(house.recorded().await[0], "limits.refused command: policy: 1");

        house.write(POLICY, "preset = \"strict\"");
        fs::remove_file(house.home.path().join(CANDIDATE)).unwrap();
        assert_eq!(regimes.reload(Cause::Command).await, Governing::InForce);
        assert_eq!((house.active(), house.gauges()), (Preset::Strict.policy(), [0, 0]));

        fs::remove_file(house.home.path().join(POLICY)).unwrap();
        assert!(matches!(regimes.reload(Cause::Signal).await, Governing::Refused(_)));
        assert_eq!(
            house.active(),
            Preset::Strict.policy(),
            "a file that is gone opens no door"
        );
    }

    #[tokio::test]
    async fn a_start_with_a_wrong_policy_is_no_start() {
        let house = House::new();
        house.write(POLICY, "preset = \"strickt\"");
        let fault = house.begin().err().unwrap().chain();
        assert!(fault.contains(&format!("{POLICY}:1: preset: ")), "{fault}");
        assert_eq!(house.active(), Policy::default(), "nobody was told to count by it");
    }

    #[tokio::test]
    async fn a_start_with_a_wrong_candidate_is_one_without_a_candidate() {
        let house = House::new();
        let by_password = "preset = \"standard\"\n[[rule]]\nname = \"sign-in.password\"\nquota = \"20 per 1h\"";
        house.write(CANDIDATE, by_password);
        let regimes = house.begin().unwrap();
        assert_eq!((house.active(), house.candidate()), (Preset::Standard.policy(), None));
        assert_eq!(house.gauges(), [0, 1]);
        house.write(CANDIDATE, &by_password.replace("1h", "15m"));
        assert_eq!(regimes.reload(Cause::Command).await, Governing::InForce);
        assert!(house.candidate().is_some());
        assert_eq!(house.gauges(), [0, 0]);
    }

    #[tokio::test]
    async fn an_override_wins_over_the_file_until_it_ends() {
        let house = House::new();
        let regimes = house.begin().unwrap();
        regimes.overrule(Some(Arc::new(Preset::Strict.policy()))).await;
        assert_eq!(house.active(), Preset::Strict.policy());
        house.write(POLICY, "preset = \"relaxed\"");
        assert_eq!(regimes.reload(Cause::File).await, Governing::InForce);
        assert_eq!(house.active(), Preset::Strict.policy(), "it still wins");
        regimes.overrule(None).await;
        assert_eq!(house.active(), Preset::Relaxed.policy(), "what the file says by now");
    }

    #[tokio::test]
    async fn the_configuration_names_other_files_and_switches_limits_off() {
        let mut house = House::new();
        let regimes = house.begin().unwrap();
        house.write("other.toml", "preset = \"strict\"");
        house.limits.policy = Some(house.home.path().join("other.toml"));
        regimes.appoint(&house.limits, Cause::File).await;
        assert_eq!(house.active(), Preset::Strict.policy());
        house.limits.enabled = false;
        regimes.appoint(&house.limits, Cause::File).await;
        assert_eq!(house.active(), Policy::default());
        house.limits.enabled = true;
        house.limits.policy = None;
        regimes.appoint(&house.limits, Cause::File).await;
        assert_eq!(house.active(), Preset::Standard.policy());
    }
}
