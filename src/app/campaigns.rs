//! Looks at attempts for attacks: what is noticed is stored, recorded and told, and what an attack got into is closed
//! where the configuration says so.
//!
//! Whoever notes an attempt never waits: it goes into a queue, and what finds no room there is counted and left. One
//! process looks at a time; when another one takes its place, that one goes on with what is stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::account::Email;
use crate::domain::campaigns::{Campaign, CampaignId, Campaigns, Change, Kind, Pulse, Spread, Success, Traffic};
use crate::domain::event::{Actor, Consequences, Event, Fact};
use crate::domain::fault::Fault;
use crate::domain::limits::record::Seen;
use crate::domain::outbox::{Letter, LetterId, Matter};
use crate::domain::session::later;
use crate::flows::{ClosePasswords, World};
use crate::ports::{self, Accounts, AttemptLog, CampaignBook};
use crate::telemetry::metrics::AttackMetrics;

use super::charter::Current;

/// Attempts that wait to be looked at.
const ROOM: usize = 8192;
/// What has changed is looked at this often.
const ROUND: Duration = Duration::from_millis(500);
/// A campaign that has only grown is stored this often.
const STORED_EVERY: Duration = Duration::from_mins(1);
/// Events that wait for a store that is down; more are in the log alone.
const MOST_PENDING: usize = 1000;

/// What is going on, for somebody who looks on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When this was so.
    pub at: Timestamp,
    /// The last minute.
    pub traffic: Traffic,
    /// The attacks under way.
    pub campaigns: Vec<Campaign>,
}

/// Looks for attacks.
pub(super) struct CampaignWatch {
    notes: mpsc::Sender<Seen>,
    missed: Counter,
    desk: Mutex<Desk>,
    activity: ArcSwap<Activity>,
    world: World,
}

impl AttemptLog for CampaignWatch {
    fn note(&self, seen: Seen) {
        if self.notes.try_send(seen).is_err() {
            self.missed.inc();
        }
    }
}

/// What it rests on.
pub(super) struct Desks {
    /// Where campaigns are stored.
    pub book: Arc<dyn CampaignBook>,
    /// Whose passwords are closed.
    pub accounts: Arc<dyn Accounts>,
    /// Time and chance.
    pub world: World,
    /// What is counted.
    pub metrics: AttackMetrics,
    /// Spreads addresses.
    pub key: [u8; 32],
}

struct Desk {
    book: Arc<dyn CampaignBook>,
    closing: ClosePasswords,
    world: World,
    metrics: AttackMetrics,
    notes: mpsc::Receiver<Seen>,
    spread: Spread,
    campaigns: Campaigns,
    pulse: Pulse,
    /// When each was last stored.
    stored_at: HashMap<CampaignId, Timestamp>,
    grown: HashSet<CampaignId>,
    urgent: HashSet<CampaignId>,
    /// What the store has not taken yet.
    ended: Vec<Campaign>,
    pending: Consequences,
    to_close: Vec<(CampaignId, Success)>,
}

impl CampaignWatch {
    /// Nothing was seen yet.
    pub fn new(on: Desks) -> Arc<Self> {
        let (sender, notes) = mpsc::channel(ROOM);
        let spread = Spread::new(&on.key);
        Arc::new(Self {
            notes: sender,
            missed: on.metrics.missed.clone(),
            activity: ArcSwap::from_pointee(Activity {
                at: on.world.now(),
                traffic: Traffic::default(),
                campaigns: Vec::new(),
            }),
            world: on.world.clone(),
            desk: Mutex::new(Desk {
                closing: ClosePasswords {
                    accounts: on.accounts,
                    world: on.world.clone(),
                },
                book: on.book,
                world: on.world,
                metrics: on.metrics,
                notes,
                spread,
                campaigns: Campaigns::new(spread),
                pulse: Pulse::default(),
                stored_at: HashMap::new(),
                grown: HashSet::new(),
                urgent: HashSet::new(),
                ended: Vec::new(),
                pending: Consequences::default(),
                to_close: Vec::new(),
            }),
        })
    }

    /// What is going on.
    pub fn activity(&self) -> Arc<Activity> {
        self.activity.load_full()
    }

    /// Looks until the stop, and then stores what it has seen.
    pub async fn run(self: Arc<Self>, current: Arc<Current>, stop: CancellationToken) {
        let mut desk = self.desk.lock().await;
        let (mut batch, mut resumed, mut failing) = (Vec::new(), false, false);
        loop {
            let last = stop.is_cancelled();
            let round = desk.round(&current, &mut batch, &mut resumed, last).await;
            if let Err(fault) = &round
                && !failing
            {
                tracing::error!(
                    fault = fault.chain(),
                    "what is known of attacks cannot be stored; it is tried again"
                );
            }
            if failing && round.is_ok() {
                tracing::info!("what is known of attacks can be stored again");
            }
            failing = round.is_err();
            self.activity.store(Arc::new(Activity {
                at: self.world.now(),
                traffic: desk.traffic(),
                campaigns: desk.campaigns.living().cloned().collect(),
            }));
            if last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl Desk {
    async fn round(
        &mut self,
        current: &Current,
        batch: &mut Vec<Seen>,
        resumed: &mut bool,
        last: bool,
    ) -> Result<(), Fault> {
        let chores = current.chores.load_full();
        let alerts = &chores.letters.alerts;
        if !*resumed {
            self.resume(alerts.closes).await?;
            *resumed = true;
        }
        while let Ok(seen) = self.notes.try_recv() {
            batch.push(seen);
            if batch.len() == ROOM {
                break;
            }
        }
        for seen in batch.drain(..) {
            self.pulse.note(&seen.record);
            for change in self.campaigns.observe(&seen) {
                self.take(change, alerts.closes);
            }
        }
        let now = self.world.now();
        for change in self.campaigns.tick(now) {
            self.take(change, alerts.closes);
        }
        for kind in Kind::ALL {
            let living = self.campaigns.living().filter(|campaign| campaign.kind == kind);
            self.metrics.set_living(kind.as_str(), living.count());
        }
        let untold: Vec<CampaignId> = (self.campaigns.living())
            .filter(|campaign| campaign.is_to_be_told(now))
            .map(|campaign| campaign.id)
            .collect();
        if !untold.is_empty() {
            let receivers = alerts.receivers().await?;
            for id in untold {
                self.tell(id, &receivers, now);
            }
        }
        self.store(now, last).await?;
        self.close().await
    }

    /// Goes on with what another process has stored.
    async fn resume(&mut self, closes: bool) -> Result<(), Fault> {
        let living = self.book.living().await?;
        if !living.is_empty() {
            tracing::info!(
                campaigns = living.len(),
                "attacks were under way; they are followed further"
            );
        }
        if closes {
            // What was not closed when the process ended. A password that was set since is left alone.
            let won = |campaign: &Campaign| {
                let id = campaign.id;
                campaign.successes.clone().into_iter().map(move |success| (id, success))
            };
            self.to_close.extend(living.iter().flat_map(won));
        }
        self.campaigns = Campaigns::new(self.spread);
        self.campaigns.resume(living, self.world.now());
        Ok(())
    }

    fn traffic(&mut self) -> Traffic {
        self.pulse.traffic(self.world.now())
    }

    fn take(&mut self, change: Change, closes: bool) {
        match change {
            Change::Began(id) => {
                let Some(campaign) = self.campaigns.find(id) else {
                    return;
                };
                let kind = campaign.kind;
                tracing::warn!(
                    campaign = %id, kind = kind.as_str(), attempts = campaign.attempts,
                    addresses = campaign.sources.addresses(), names = campaign.accounts.count(),
                    "failures are an attack; see: sekisho limits watch"
                );
                self.metrics.begun.count(&[kind.as_str()]);
                self.record(None, Fact::CampaignBegan(kind, id));
                self.urgent.insert(id);
            }
            Change::Grew(id) => {
                self.grown.insert(id);
            }
            Change::Succeeded(id, success) => {
                let Some(kind) = self.campaigns.find(id).map(|campaign| campaign.kind) else {
                    return;
                };
                tracing::error!(
                    campaign = %id, kind = kind.as_str(), account = %success.person, client = %success.client,
                    "an attack got in: a sign-in worked that belongs to it; ask the person, and see: sekisho limits campaigns show"
                );
                self.metrics.successes.count(&[kind.as_str()]);
                self.record(Some(&success), Fact::CampaignSucceeded(kind, id));
                self.urgent.insert(id);
                if closes {
                    self.to_close.push((id, success));
                }
            }
            Change::Ended(campaign) => {
                let (id, kind) = (campaign.id, campaign.kind);
                tracing::info!(campaign = %id, kind = kind.as_str(), attempts = campaign.attempts, succeeded = campaign.succeeded, "an attack is over");
                self.record(None, Fact::CampaignEnded(kind, id));
                self.grown.remove(&id);
                self.urgent.remove(&id);
                self.stored_at.remove(&id);
                self.ended.push(*campaign);
            }
        }
    }

    fn record(&mut self, success: Option<&Success>, fact: Fact) {
        if self.pending.events.len() < MOST_PENDING {
            self.pending.events.push(Event {
                id: self.world.uuid(),
                at: self.world.now(),
                actor: Actor::Gateway,
                client: success.map(|success| success.client),
                account: success.map(|success| success.person),
                fact,
            });
        }
    }

    /// A letter to each of the administrators.
    fn tell(&mut self, id: CampaignId, receivers: &[Email], now: Timestamp) {
        if receivers.is_empty() {
            tracing::error!(campaign = %id, "an attack got in, and there is nobody to write to: set limits.alert_to, or give an administrator an address");
        }
        for to in receivers {
            self.pending.letters.push(Letter {
                id: LetterId::new(self.world.uuid()),
                matter: Matter::Campaign {
                    to: to.clone(),
                    campaign: id,
                },
                created_at: now,
            });
        }
        self.campaigns.tell(id, now);
        self.urgent.insert(id);
    }

    /// What is new is stored at once, what has only grown now and then, and at the end all of it.
    async fn store(&mut self, now: Timestamp, last: bool) -> Result<(), Fault> {
        let due = |campaign: &&Campaign| {
            let id = campaign.id;
            let stored = self.stored_at.get(&id);
            let grown = self.grown.contains(&id) && (last || stored.is_none_or(|at| now >= later(*at, STORED_EVERY)));
            grown || self.urgent.contains(&id)
        };
        let mut campaigns: Vec<Campaign> = self.campaigns.living().filter(due).cloned().collect();
        let stored: Vec<CampaignId> = campaigns.iter().map(|campaign| campaign.id).collect();
        campaigns.extend(self.ended.iter().cloned());
        if campaigns.is_empty() && self.pending == Consequences::default() {
            return Ok(());
        }
        self.book.put(&campaigns, self.pending.clone()).await?;
        self.pending = Consequences::default();
        self.ended.clear();
        for id in stored {
            self.grown.remove(&id);
            self.urgent.remove(&id);
            self.stored_at.insert(id, now);
        }
        Ok(())
    }

    /// Takes away the passwords that attacks got in with.
    async fn close(&mut self) -> Result<(), Fault> {
        while let Some((id, success)) = self.to_close.last().copied() {
            match self.closing.run(id, &success).await? {
                ports::Change::Done => {
                    tracing::warn!(campaign = %id, account = %success.person, "a password that an attack got in with was taken away");
                }
                ports::Change::Unchanged | ports::Change::NotFound | ports::Change::LastAdministrator => {
                    tracing::info!(campaign = %id, account = %success.person, "the password that an attack got in with is there no more");
                }
            }
            self.to_close.pop();
        }
        Ok(())
    }
}
