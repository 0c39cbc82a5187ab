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
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::record::Seen;
use crate::domain::limits::{Meter, Nanos, Quota};
use crate::domain::outbox::{Letter, LetterId, Matter};
use crate::domain::session::{earlier, later};
use crate::flows::{Alerts, ClosePasswords, World};
use crate::ports::{Accounts, AttemptLog, CampaignBook, Stored};
use crate::telemetry::metrics::AttackMetrics;

use super::charter::Current;
use super::closings::Closings;
use super::overdue::Overdue;

/// Attempts that wait to be looked at.
const ROOM: usize = 8192;
/// Sign-ins that worked and wait beside them: how many fail at once is for strangers to choose, and nobody gets in unseen
/// behind a flood.
const ROOM_FOR_SUCCESSES: usize = 1024;
/// What has changed is looked at this often.
const ROUND: Duration = Duration::from_millis(500);
/// A campaign that has only grown is stored this often.
const STORED_EVERY: Duration = Duration::from_mins(1);
/// Attacks that are written down in an hour; more are in the log and on the screen alone, unless they get in. How many
/// there seem to be is for strangers to choose, and the store is not theirs to fill.
const WRITTEN_DOWN: u32 = 60;
/// Times that administrators are written to at once, over all attacks, and as many again spread evenly over an hour: in no
/// hour more than twice as many. How many attacks there are, and how many get in, is for strangers to choose, and nobody
/// reads a hundred letters.
const LETTERS: u32 = 6;
/// Attacks that ended within so long before the start are told of, where nobody has been.
const TOLD_WITHIN: Duration = Duration::from_hours(48);
/// The most of them that are looked at.
const MOST_LOOKED_AT: usize = 1000;
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
        let is_urgent = seen.record.outcome == Some(Outcome::Succeeded);
        let has_room = is_urgent || self.notes.capacity() > ROOM_FOR_SUCCESSES;
        if !has_room || self.notes.try_send(seen).is_err() {
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
    written_down: Meter,
    letters: Meter,
    /// Whether attacks that got in wait for a letter.
    held_back: bool,
    /// Those that are over before anybody was told of what worked in them.
    overdue: Overdue,
    /// Whether those of before the start are among them.
    looked_back: bool,
    /// Those under way that are not.
    unwritten: HashSet<CampaignId>,
    /// What the store has not taken yet.
    ended: Vec<Campaign>,
    pending: Consequences,
    closings: Closings,
}

impl CampaignWatch {
    /// Nothing was seen yet.
    pub fn new(on: Desks) -> Arc<Self> {
        let (sender, notes) = mpsc::channel(ROOM + ROOM_FOR_SUCCESSES);
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
                written_down: Meter::default(),
                letters: Meter::default(),
                held_back: false,
                overdue: Overdue::default(),
                looked_back: false,
                unwritten: HashSet::new(),
                ended: Vec::new(),
                pending: Consequences::default(),
                closings: Closings::default(),
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
            let chores = current.chores.load_full();
            let round = desk.round(&chores.letters.alerts, &mut batch, &mut resumed, last).await;
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
        alerts: &Alerts,
        batch: &mut Vec<Seen>,
        resumed: &mut bool,
        last: bool,
    ) -> Result<(), Fault> {
        if !*resumed {
            self.resume(alerts.closes).await?;
            *resumed = true;
        }
        // How much there is to look at is for strangers to choose: what takes too long keeps nobody from looking on.
        let looked_back = self.look_back().await;
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
        // Those that have waited longest come first.
        let untold: Vec<CampaignId> = (self.overdue.waiting())
            .chain(self.campaigns.living())
            .filter(|campaign| campaign.is_to_be_told(now))
            .map(|campaign| campaign.id)
            .collect();
        // Whatever cannot be done holds up nothing else.
        let told = match self.room_for_letters(untold.len()) {
            0 => Ok(()),
            room => alerts.receivers().await.map(|to| self.alert(&untold, room, &to, now)),
        };
        let stored = self.store(now, last).await;
        let closed = self.close().await;
        looked_back.and(told).and(stored).and(closed)
    }

    /// Goes on with what another process has stored.
    async fn resume(&mut self, closes: bool) -> Result<(), Fault> {
        let living = readable(self.book.living().await?, "an attack under way is not followed further");
        if !living.is_empty() {
            tracing::info!(
                campaigns = living.len(),
                "attacks were under way; they are followed further"
            );
        }
        if closes {
            // What was not closed when the process ended. A password that was set since is left alone.
            for campaign in &living {
                for success in &campaign.successes {
                    self.closings.add(campaign.id, *success);
                }
            }
        }
        (self.overdue, self.looked_back) = (Overdue::default(), false);
        self.campaigns = Campaigns::new(self.spread);
        self.campaigns.resume(living, self.world.now());
        Ok(())
    }

    /// Finds those that were over before there was room for a letter about what worked in them.
    async fn look_back(&mut self) -> Result<(), Fault> {
        if self.looked_back {
            return Ok(());
        }
        let since = earlier(self.world.now(), TOLD_WITHIN);
        let listed = self.book.list(since, MOST_LOOKED_AT).await?;
        let listed = readable(listed, "if an attack got in that is over, nobody is told of it");
        // The newest is listed first.
        for campaign in listed.into_iter().rev().filter(|campaign| !campaign.is_living()) {
            self.overdue.add(campaign);
        }
        self.looked_back = true;
        Ok(())
    }

    fn traffic(&mut self) -> Traffic {
        self.pulse.traffic(self.world.now())
    }

    fn take(&mut self, change: Change, closes: bool) {
        match change {
            Change::Began(id) => {
                let written_down = self.has_room_for_another();
                let Some(campaign) = self.campaigns.find(id) else {
                    return;
                };
                let kind = campaign.kind;
                tracing::warn!(
                    campaign = %id, kind = kind.as_str(), written_down, attempts = campaign.attempts,
                    addresses = campaign.sources.addresses(), names = campaign.accounts.count(),
                    "failures are an attack; see: sekisho limits watch"
                );
                self.metrics.begun.count(&[kind.as_str()]);
                if written_down {
                    self.record(None, Fact::CampaignBegan(kind, id));
                    self.urgent.insert(id);
                } else {
                    self.unwritten.insert(id);
                }
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
                self.unwritten.remove(&id);
                self.urgent.insert(id);
                if closes {
                    self.closings.add(id, success);
                }
            }
            Change::Ended(campaign) => {
                let (id, kind) = (campaign.id, campaign.kind);
                tracing::info!(campaign = %id, kind = kind.as_str(), attempts = campaign.attempts, succeeded = campaign.succeeded, "an attack is over");
                self.grown.remove(&id);
                self.urgent.remove(&id);
                self.stored_at.remove(&id);
                if !self.unwritten.remove(&id) {
                    self.record(None, Fact::CampaignEnded(kind, id));
                    self.overdue.add((*campaign).clone());
                    self.ended.push(*campaign);
                }
            }
        }
    }

    /// Whether one more attack is written down.
    fn has_room_for_another(&mut self) -> bool {
        draw(&mut self.written_down, WRITTEN_DOWN, self.world.monotonic())
    }

    /// How many letters there are to be about so many attacks. Without any room all of them wait for the next one: an attack
    /// that got in stays under way until it has been told of, and one that had to make room for others is overdue.
    fn room_for_letters(&mut self, untold: usize) -> usize {
        if untold == 0 {
            return 0;
        }
        let room = Quota::hourly(LETTERS).room(self.letters, self.world.monotonic(), untold);
        if room == 0 {
            if !std::mem::replace(&mut self.held_back, true) {
                tracing::error!(
                    attacks = untold,
                    "attacks got in, and there is no room for another letter after those of the last hour: the next one, within \
                     ten minutes, is about all of them"
                );
            }
        } else {
            self.held_back = false;
        }
        room
    }

    /// A letter about each of these attacks as long as there is room for it; the last one there is room for is about all
    /// that are left. Every letter names the others of its time.
    fn alert(&mut self, untold: &[CampaignId], room: usize, receivers: &[Email], now: Timestamp) {
        let moment = self.world.monotonic();
        for (number, id) in untold.iter().enumerate() {
            if number < room && draw(&mut self.letters, LETTERS, moment) {
                self.write(*id, receivers, now);
            }
            if let Some(campaign) = self.overdue.tell(*id, now) {
                self.ended.push(campaign);
            } else {
                self.campaigns.tell(*id, now);
                self.urgent.insert(*id);
            }
        }
        let attacks = self.overdue.take_left_out();
        if attacks > 0 {
            tracing::error!(
                attacks,
                "more attacks got in than could wait for a letter, and none names these; see: sekisho limits campaigns --since 48h"
            );
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
    fn write(&mut self, id: CampaignId, receivers: &[Email], now: Timestamp) {
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
    }

    /// What is new is stored at once, what has only grown now and then, and at the end all of it.
    async fn store(&mut self, now: Timestamp, last: bool) -> Result<(), Fault> {
        let due = |campaign: &&Campaign| {
            let id = campaign.id;
            let stored = self.stored_at.get(&id);
            let grown = self.grown.contains(&id)
                && (last || stored.is_none_or(|at| now < *at || now >= later(*at, STORED_EVERY)));
            !self.unwritten.contains(&id) && (grown || self.urgent.contains(&id))
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
        let closing = &self.closing;
        let close = |id, success: Success| async move { closing.run(id, &success).await };
        self.closings.work(close).await
    }
}

/// Those that can be understood. One that cannot keeps nobody from the others, and the log says what comes of it.
fn readable(stored: Vec<Stored>, consequence: &'static str) -> Vec<Campaign> {
    let mut readable = Vec::with_capacity(stored.len());
    for campaign in stored {
        match campaign {
            Ok(campaign) => readable.push(campaign),
            Err(fault) => tracing::error!(
                fault = fault.chain(),
                consequence,
                "what is stored of an attack cannot be read"
            ),
        }
    }
    readable
}

/// Draws on a meter that grants so many an hour.
fn draw(meter: &mut Meter, hourly: u32, now: Nanos) -> bool {
    let drawn = meter.draw(&Quota::hourly(hourly), now);
    *meter = drawn.unwrap_or(*meter);
    drawn.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::domain::campaigns::tests::Made;
    use crate::domain::client::ClientAddr;
    use crate::domain::language::Language;
    use crate::domain::limits::Nanos;
    use crate::domain::session::tests::at;
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy, EventFilter, Events, Outbox};
    use crate::store::MemoryStore;

    /// The second it is.
    #[derive(Default)]
    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            at(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Nanos {
            let second = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap();
            Nanos((1 << 50) + second * 1_000_000_000)
        }
    }

    struct Dice;

    impl Entropy for Dice {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [7; TOKEN_BYTES]
        }
    }

    /// A book that cannot be written in while it is `down`, and that is `late` with its answers: what was to be written is
    /// taken for lost. One attack may be `torn`, and there may be an `endless` number of them, which nobody lists in time.
    struct Book {
        store: Arc<MemoryStore>,
        endless: Arc<AtomicBool>,
        down: Arc<AtomicBool>,
        late: Arc<AtomicBool>,
        torn: Arc<Mutex<Option<CampaignId>>>,
    }

    impl Book {
        async fn tear(&self, stored: Vec<Stored>) -> Vec<Stored> {
            let torn = *self.torn.lock().await;
            let tear = |stored: Stored| match stored {
                Ok(campaign) if Some(campaign.id) == torn => Err(Fault::corrupt("could not read it", "it is torn")),
                stored => stored,
            };
            stored.into_iter().map(tear).collect()
        }
    }

    #[async_trait]
    impl CampaignBook for Book {
        async fn put(&self, campaigns: &[Campaign], then: Consequences) -> Result<(), Fault> {
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not store campaigns", "the disk is full"));
            }
            self.store.put(campaigns, then).await?;
            if self.late.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not store campaigns", "no answer within 2 s"));
            }
            Ok(())
        }

        async fn find(&self, id: CampaignId) -> Result<Option<Campaign>, Fault> {
            CampaignBook::find(&*self.store, id).await
        }

        async fn list(&self, since: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
            if self.endless.load(Ordering::Relaxed) {
                return Err(Fault::unavailable(
                    "could not list the campaigns",
                    "no answer within 2 s",
                ));
            }
            Ok(self.tear(CampaignBook::list(&*self.store, since, most).await?).await)
        }

        async fn told_at(&self, moment: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
            Ok(self.tear(self.store.told_at(moment, most).await?).await)
        }

        async fn living(&self) -> Result<Vec<Stored>, Fault> {
            Ok(self.tear(self.store.living().await?).await)
        }

        async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
            CampaignBook::sweep(&*self.store, before).await
        }
    }

    struct Office {
        watch: Arc<CampaignWatch>,
        store: Arc<MemoryStore>,
        down: Arc<AtomicBool>,
        late: Arc<AtomicBool>,
        endless: Arc<AtomicBool>,
        torn: Arc<Mutex<Option<CampaignId>>>,
        wall: Arc<Wall>,
        alerts: Alerts,
        resumed: bool,
    }

    impl Office {
        fn open() -> Self {
            Self::open_over(Arc::new(MemoryStore::new()))
        }

        fn open_over(store: Arc<MemoryStore>) -> Self {
            let (wall, down, late) = (Arc::<Wall>::default(), Arc::default(), Arc::default());
            let (torn, endless) = (Arc::default(), Arc::default());
            let book = Book {
                endless: Arc::clone(&endless),
                store: Arc::clone(&store),
                down: Arc::clone(&down),
                late: Arc::clone(&late),
                torn: Arc::clone(&torn),
            };
            Self {
                watch: CampaignWatch::new(Desks {
                    book: Arc::new(book),
                    accounts: store.clone(),
                    world: World::new(wall.clone(), Arc::new(Dice)),
                    metrics: AttackMetrics::default(),
                    key: [1; 32],
                }),
                alerts: Alerts {
                    accounts: store.clone(),
                    campaigns: store.clone(),
                    to: vec![Email::parse("security@example.com").unwrap()],
                    language: Language::En,
                    closes: false,
                },
                store,
                down,
                late,
                endless,
                torn,
                wall,
                resumed: false,
            }
        }

        async fn round(&mut self, second: i64, last: bool) -> Result<(), Fault> {
            self.wall.0.store(second, Ordering::Relaxed);
            let mut desk = self.watch.desk.lock().await;
            desk.round(&self.alerts, &mut Vec::new(), &mut self.resumed, last).await
        }

        /// One password after the other at one name, and then the right one.
        fn get_in(&self, second: i64, number: u32) {
            let from = ClientAddr::new(std::net::Ipv4Addr::from_bits(0x2d00_0000 + number * 1021).into());
            let account = 1000 + u64::from(number);
            for guess in 0..20 {
                let password = u64::from(number * 100 + guess);
                self.watch.note(Made::wrong(second, from, account, password).0);
            }
            self.watch.note(Made::wrong(second, from, account, 7).right().0);
        }

        /// Those that got in, over or not: of how many nobody was told, and how many were told of at that second.
        async fn told(&self, second: i64) -> (usize, usize) {
            let all = readable(CampaignBook::list(&*self.store, at(0), 1000).await.unwrap(), "");
            let untold = all.iter().filter(|campaign| campaign.succeeded > campaign.told);
            let told = all.iter().filter(|campaign| campaign.told_at == Some(at(second)));
            (untold.count(), told.count())
        }

        fn try_one(&self, second: i64, account: u64, right: bool) {
            let client = ClientAddr::new([203, 0, 113, 7].into());
            let made = Made::wrong(second, client, account, 1);
            self.watch.note(if right { made.right() } else { made }.0);
        }

        async fn living(&self) -> Vec<Campaign> {
            readable(self.store.living().await.unwrap(), "")
        }

        async fn facts(&self) -> Vec<&'static str> {
            let events = Events::list(&*self.store, EventFilter::newest(1000)).await.unwrap();
            events.iter().rev().map(|event| event.fact.name()).collect()
        }

        async fn letters(&self) -> usize {
            Outbox::list(&*self.store, 100).await.unwrap().len()
        }
    }

    #[tokio::test]
    async fn administrators_are_told_at_once_and_then_once_an_hour() {
        let mut office = Office::open();
        for account in 0..12 {
            office.try_one(1, account, false);
        }
        office.try_one(2, 100, true);
        office.round(3, false).await.unwrap();
        assert_eq!(office.facts().await, ["campaign.began", "campaign.succeeded"]);
        assert_eq!(office.letters().await, 1);
        office.try_one(60, 101, true);
        office.round(61, false).await.unwrap();
        assert_eq!((office.facts().await.len(), office.letters().await), (3, 1));
        // Quiet for long, and not over before the second has been told.
        office.round(3600, false).await.unwrap();
        assert_eq!(office.letters().await, 1);
        office.round(3604, false).await.unwrap();
        assert_eq!(office.letters().await, 2);
        office.round(3605, false).await.unwrap();
        assert_eq!(office.facts().await.last(), Some(&"campaign.ended"));
        assert_eq!(office.living().await, []);
    }

    #[tokio::test]
    async fn made_up_attacks_fill_no_store_and_what_gets_in_is_written_down_all_the_same() {
        let mut office = Office::open();
        let from = |number: u32| ClientAddr::new(std::net::Ipv4Addr::from_bits(0x2d00_0000 + number * 1021).into());
        // Many passwords at one name, and so on.
        let attack = |office: &Office, number: u32| {
            for guess in 0..20 {
                let (account, password) = (1000 + u64::from(number), u64::from(number * 100 + guess));
                office.watch.note(Made::wrong(1, from(number), account, password).0);
            }
        };
        for number in 0..300 {
            attack(&office, number);
            if number % 50 == 49 {
                office.round(2, false).await.unwrap();
            }
        }
        let began = office
            .facts()
            .await
            .iter()
            .filter(|fact| **fact == "campaign.began")
            .count();
        assert!(began <= 60, "{began}");
        let stored = CampaignBook::list(&*office.store, at(0), 1000).await.unwrap().len();
        assert!(stored <= 60, "{stored}");
        let right = Made::wrong(3, from(299), 1299, 7).right();
        office.watch.note(right.0);
        office.round(4, false).await.unwrap();
        assert_eq!(office.letters().await, 1);
        let living = office.living().await;
        assert!(living.iter().any(|campaign| campaign.succeeded == 1), "{living:#?}");
    }

    #[tokio::test]
    async fn beyond_so_many_letters_an_hour_one_is_about_all_that_got_in_and_none_is_left_out() {
        let mut office = Office::open();
        let untold = async |office: &Office| {
            let living = office.living().await;
            living
                .iter()
                .filter(|campaign| campaign.succeeded > campaign.told)
                .count()
        };
        for number in 0..30 {
            office.get_in(1, number);
        }
        office.round(2, false).await.unwrap();
        let most = usize::try_from(LETTERS).unwrap();
        assert_eq!(
            (office.letters().await, untold(&office).await),
            (most, 0),
            "the last letter is about 25 of them"
        );
        // Until there is room for a letter again the others wait, and then it is about all of them.
        for number in 30..33 {
            office.get_in(3, number);
        }
        office.round(4, false).await.unwrap();
        office.round(400, false).await.unwrap();
        assert_eq!((office.letters().await, untold(&office).await), (most, 3));
        office.round(610, false).await.unwrap();
        assert_eq!((office.letters().await, untold(&office).await), (most + 1, 0));
        let told = office.living().await;
        assert_eq!(
            told.iter().filter(|campaign| campaign.told_at == Some(at(610))).count(),
            3
        );
        let succeeded = office.facts().await;
        assert_eq!(
            succeeded.iter().filter(|fact| **fact == "campaign.succeeded").count(),
            33
        );
    }

    #[tokio::test]
    async fn in_no_hour_are_administrators_written_to_more_than_twelve_times() {
        let mut office = Office::open();
        let mut written = Vec::new();
        for minute in 0..180_u32 {
            let second = i64::from(minute) * 60;
            office.get_in(second, minute);
            let before = office.letters().await;
            office.round(second, false).await.unwrap();
            written.extend(vec![second; office.letters().await - before]);
        }
        let most = (written.iter())
            .map(|from| written.iter().filter(|at| (*from..*from + 3600).contains(*at)).count())
            .max();
        assert!(most.is_some_and(|most| (10..=12).contains(&most)), "{written:?}");
    }

    #[tokio::test]
    async fn an_attack_that_got_in_and_made_room_for_others_is_told_of_with_the_next_letter() {
        let mut office = Office::open();
        for number in 0..LETTERS {
            office.get_in(1, number);
        }
        office.round(2, false).await.unwrap();
        let most = usize::try_from(LETTERS).unwrap();
        assert_eq!((office.letters().await, office.told(2).await), (most, (0, most)));
        // More than are followed at once, and no room for a letter.
        for number in 100..170 {
            office.get_in(3, number);
        }
        office.round(4, false).await.unwrap();
        assert_eq!(office.living().await.len(), 64);
        assert_eq!((office.letters().await, office.told(4).await), (most, (70, 0)));
        office.round(610, false).await.unwrap();
        assert_eq!((office.letters().await, office.told(610).await), (most + 1, (0, 70)));
        // Each once.
        office.round(1210, false).await.unwrap();
        assert_eq!((office.letters().await, office.told(1210).await), (most + 1, (0, 0)));
    }

    #[tokio::test]
    async fn an_attack_that_made_room_for_others_is_told_of_by_the_process_that_goes_on() {
        let mut office = Office::open();
        for number in 0..LETTERS {
            office.get_in(1, number);
        }
        office.round(2, false).await.unwrap();
        for number in 100..170 {
            office.get_in(3, number);
        }
        office.round(4, true).await.unwrap();
        assert_eq!(office.told(4).await, (70, 0));
        let mut next = Office::open_over(Arc::clone(&office.store));
        next.round(5, false).await.unwrap();
        assert_eq!(next.told(5).await, (0, 70));
    }

    #[tokio::test]
    async fn what_the_store_cannot_take_is_stored_and_told_when_it_can() {
        let mut office = Office::open();
        office.round(0, false).await.unwrap();
        office.down.store(true, Ordering::Relaxed);
        for account in 0..12 {
            office.try_one(1, account, false);
        }
        office.try_one(2, 100, true);
        assert!(office.round(3, false).await.is_err());
        assert!(office.round(4, false).await.is_err());
        assert_eq!((office.facts().await.len(), office.letters().await), (0, 0));
        office.down.store(false, Ordering::Relaxed);
        office.round(5, false).await.unwrap();
        assert_eq!(office.facts().await, ["campaign.began", "campaign.succeeded"]);
        assert_eq!(office.letters().await, 1);
    }

    #[tokio::test]
    async fn whoever_gets_in_is_told_of_while_it_takes_too_long_to_look_at_those_of_before() {
        let mut office = Office::open();
        office.get_in(1, 0);
        office.round(2, true).await.unwrap();
        let mut over = office.living().await.remove(0);
        (over.told, over.told_at, over.ended_at) = (0, None, Some(at(2)));
        office.store.put(&[over], Consequences::default()).await.unwrap();
        let mut next = Office::open_over(Arc::clone(&office.store));
        next.endless.store(true, Ordering::Relaxed);
        next.get_in(3, 1);
        assert!(next.round(4, false).await.is_err());
        assert_eq!(next.letters().await, 2, "the first process's, and this one's");
        next.endless.store(false, Ordering::Relaxed);
        for second in [5, 6] {
            next.round(second, false).await.unwrap();
            assert_eq!(next.letters().await, 3);
        }
    }

    #[tokio::test]
    async fn nobody_gets_in_unseen_behind_a_flood_of_failures() {
        let mut office = Office::open();
        for account in 0..12 {
            office.try_one(1, account, false);
        }
        for account in 0..2 * ROOM as u64 {
            office
                .watch
                .note(Made::wrong(1, ClientAddr::new([198, 51, 100, 7].into()), account, account).0);
        }
        office.try_one(2, 100, true);
        office.round(3, false).await.unwrap();
        office.round(4, false).await.unwrap();
        assert_eq!(office.letters().await, 1);
        assert!(office.watch.missed.get() > 0, "some of the flood");
    }

    #[tokio::test]
    async fn what_the_store_has_taken_without_an_answer_is_told_once_and_what_comes_later_as_well() {
        let mut office = Office::open();
        office.get_in(1, 0);
        office.late.store(true, Ordering::Relaxed);
        assert!(office.round(2, false).await.is_err());
        office.late.store(false, Ordering::Relaxed);
        office.get_in(3, 1);
        office.round(4, false).await.unwrap();
        assert_eq!((office.facts().await.len(), office.letters().await), (4, 2));
    }

    #[tokio::test]
    async fn an_attack_that_cannot_be_read_keeps_no_other_one_from_being_followed_further_and_told() {
        let mut office = Office::open();
        for number in 0..3 {
            office.get_in(1, number);
        }
        office.alerts.to.clear();
        office.round(2, true).await.unwrap();
        let living = office.living().await;
        let mut over = living[1].clone();
        (over.told, over.told_at, over.ended_at) = (0, None, Some(at(2)));
        office.store.put(&[over], Consequences::default()).await.unwrap();
        let mut next = Office::open_over(Arc::clone(&office.store));
        *next.torn.lock().await = Some(living[0].id);
        next.round(3, false).await.unwrap();
        assert_eq!(next.letters().await, 1, "about the one that is over");
        let followed: Vec<CampaignId> = next
            .watch
            .desk
            .lock()
            .await
            .campaigns
            .living()
            .map(|one| one.id)
            .collect();
        assert_eq!(followed, [living[2].id]);
    }

    #[tokio::test]
    async fn what_has_only_grown_is_stored_once_a_minute_and_at_the_end() {
        let mut office = Office::open();
        let stored = async |office: &Office| office.living().await[0].attempts;
        for account in 0..12 {
            office.try_one(1, account, false);
        }
        office.round(2, false).await.unwrap();
        office.try_one(3, 50, false);
        office.round(4, false).await.unwrap();
        assert_eq!(stored(&office).await, 12);
        office.round(62, false).await.unwrap();
        assert_eq!(stored(&office).await, 13);
        office.try_one(63, 51, false);
        office.round(64, true).await.unwrap();
        assert_eq!(stored(&office).await, 14);
    }
}
