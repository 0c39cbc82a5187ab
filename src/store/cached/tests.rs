//! What memory answers while the store changes, is slow or is down.

use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::domain::account::{Account, AccountState};
use crate::domain::assertion::AssertionTerms;
use crate::domain::event::Consequences;
use crate::domain::passes::Pass;
use crate::domain::session::tests::{account, at, session};
use crate::domain::session::{Lifetime, Session, SessionId, SessionState};
use crate::ports::{Renewal, Room};

const GRACE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Hands(AtomicU64);

impl Hands {
    fn set(&self, second: u64) -> Nanos {
        let now = Nanos(second * 1_000_000_000);
        self.0.store(now.0, Ordering::Relaxed);
        now
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        at(0)
    }

    fn monotonic(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

/// A store with sessions to look up and a log to follow, which can fail and which can be slow.
#[derive(Default)]
struct Shelf {
    held: Mutex<HashMap<TokenDigest, (Session, Account)>>,
    log: Mutex<Vec<Changed>>,
    down: AtomicBool,
    looks: AtomicI64,
    /// When set, a look-up that has read its row waits here: first it tells, then it is let go.
    pause: Mutex<Option<(Arc<Notify>, Arc<Notify>)>>,
}

impl Shelf {
    fn put(&self, session: Session, account: Account) {
        self.held.lock().insert(session.digest, (session, account));
    }

    fn disable_all(&self) {
        for (_, account) in self.held.lock().values_mut() {
            account.state = AccountState::Disabled;
            self.log.lock().push(Changed::Account(account.id));
        }
    }

    fn renew(&self, new: TokenDigest) {
        let mut held = self.held.lock();
        let (mut session, account) = held.remove(&digest()).unwrap();
        session.digest = new;
        held.insert(new, (session, account));
        self.log.lock().push(Changed::Session(digest()));
    }

    fn answer(&self) -> Result<(), Fault> {
        if self.down.load(Ordering::Relaxed) {
            Err(Fault::unavailable("could not read the shelf", "it is down"))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Sessions for Shelf {
    async fn begin(&self, _: &Session, _: Option<TokenDigest>, _: &Room<'_>, _: Consequences) -> Result<bool, Fault> {
        unreachable!("the cache begins nothing")
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<(Session, Account)>, Fault> {
        self.answer()?;
        self.looks.fetch_add(1, Ordering::Relaxed);
        let found = self.held.lock().get(digest).cloned();
        let pause = self.pause.lock().take();
        if let Some((read, go_on)) = pause {
            read.notify_one();
            go_on.notified().await;
        }
        Ok(found)
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<(Session, Account)>, Fault> {
        self.answer()?;
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(self.held.lock().values().find(|(session, _)| session.id == id).cloned())
    }

    async fn end(&self, _: SessionId, _: Consequences) -> Result<bool, Fault> {
        unreachable!("the cache ends nothing")
    }

    async fn renew(&self, _: &Renewal, _: Timestamp, _: Consequences) -> Result<bool, Fault> {
        unreachable!("the cache renews nothing")
    }

    async fn list(&self, _: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault> {
        unreachable!("the cache lists nothing")
    }

    async fn touch(&self, _: &[(SessionId, Timestamp)]) -> Result<(), Fault> {
        unreachable!("the cache touches nothing")
    }

    async fn sweep(&self, _: Timestamp, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("the cache sweeps nothing")
    }

    async fn changes_since(&self, cursor: Option<i64>) -> Result<(Vec<Changed>, i64), Fault> {
        self.answer()?;
        let log = self.log.lock();
        let newest = i64::try_from(log.len()).unwrap();
        let from = usize::try_from(cursor.unwrap_or(newest)).unwrap();
        Ok((log[from..].to_vec(), newest))
    }

    async fn sweep_changes(&self, _: Timestamp) -> Result<(), Fault> {
        unreachable!("the cache sweeps nothing")
    }
}

async fn following() -> (Arc<Shelf>, Arc<Hands>, Arc<CachedSessions>) {
    let (shelf, hands) = (Arc::new(Shelf::default()), Arc::new(Hands::default()));
    shelf.put(session(), account());
    let cached = Arc::new(CachedSessions::new(
        Arc::clone(&shelf) as _,
        Arc::clone(&hands) as _,
        100,
        GRACE,
    ));
    cached.follow(hands.set(1)).await.unwrap();
    (shelf, hands, cached)
}

fn digest() -> TokenDigest {
    session().digest
}

#[tokio::test]
async fn what_was_fetched_is_known_without_asking_again() {
    let (shelf, _, cached) = following().await;
    assert!(cached.known(&digest()).is_none());
    let fetched = cached.fetch(&digest()).await.unwrap().unwrap();
    let known = cached.known(&digest()).unwrap();
    assert!(Arc::ptr_eq(&fetched, &known));
    assert_eq!(shelf.looks.load(Ordering::Relaxed), 1);
    assert!(cached.fetch(&TokenDigest::from_bytes([9; 32])).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_that_nobody_has_is_looked_up_once_and_one_that_ended_is_nobodys_too() {
    let (shelf, hands, cached) = following().await;
    let unknown = TokenDigest::from_bytes([9; 32]);
    assert!(!cached.is_nobodys(&unknown));
    for _ in 0..3 {
        assert!(cached.fetch(&unknown).await.unwrap().is_none());
    }
    assert!(cached.is_nobodys(&unknown) && !cached.is_nobodys(&digest()));
    assert_eq!(shelf.looks.load(Ordering::Relaxed), 1);
    cached.fetch(&digest()).await.unwrap().unwrap();
    shelf.renew(TokenDigest::from_bytes([8; 32]));
    cached.follow(hands.set(2)).await.unwrap();
    assert!(cached.fetch(&digest()).await.unwrap().is_none());
    assert!(cached.is_nobodys(&digest()));
    shelf.down.store(true, Ordering::Relaxed);
    cached.fetch(&TokenDigest::from_bytes([7; 32])).await.unwrap_err();
    assert!(!cached.is_nobodys(&TokenDigest::from_bytes([7; 32])), "nobody knows");
}

#[tokio::test]
async fn a_change_of_the_account_drops_all_its_sessions_and_no_other() {
    let (shelf, hands, cached) = following().await;
    let second = Session {
        digest: TokenDigest::from_bytes([4; 32]),
        ..session()
    };
    shelf.put(second.clone(), account());
    let other = Account {
        id: AccountId::new(Uuid::from_u128(9)),
        ..account()
    };
    let elsewhere = Session {
        digest: TokenDigest::from_bytes([5; 32]),
        account: other.id,
        ..session()
    };
    shelf.put(elsewhere.clone(), other);
    for digest in [digest(), second.digest, elsewhere.digest] {
        cached.fetch(&digest).await.unwrap().unwrap();
    }
    shelf.log.lock().push(Changed::Account(account().id));
    assert!(!cached.follow(hands.set(2)).await.unwrap().keys_changed);
    assert!(cached.known(&digest()).is_none());
    assert!(cached.known(&second.digest).is_none());
    assert!(cached.known(&elsewhere.digest).is_some());
    cached.fetch(&digest()).await.unwrap().unwrap();
    assert!(cached.known(&digest()).is_some(), "fetched again, it is known again");
}

#[tokio::test]
async fn an_ended_session_is_dropped_when_followed_or_forgotten() {
    let (shelf, hands, cached) = following().await;
    cached.fetch(&digest()).await.unwrap();
    shelf.log.lock().push(Changed::Session(digest()));
    cached.follow(hands.set(2)).await.unwrap();
    assert!(cached.known(&digest()).is_none());
    cached.fetch(&digest()).await.unwrap();
    cached.forget(&digest());
    assert!(cached.known(&digest()).is_none());
}

#[tokio::test]
async fn a_slow_read_does_not_bring_back_what_a_change_has_ended() {
    let (shelf, hands, cached) = following().await;
    let (read, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    *shelf.pause.lock() = Some((Arc::clone(&read), Arc::clone(&go_on)));
    let slow = tokio::spawn({
        let cached = Arc::clone(&cached);
        async move { cached.fetch(&digest()).await }
    });
    read.notified().await;
    shelf.disable_all();
    cached.follow(hands.set(2)).await.unwrap();
    go_on.notify_one();
    let fetched = slow.await.unwrap().unwrap().unwrap();
    assert_eq!(fetched.account.state, AccountState::Disabled, "it was read anew");
    let known = cached.known(&digest()).unwrap();
    assert_eq!(known.account.state, AccountState::Disabled);
}

#[tokio::test]
async fn a_slow_read_does_not_bring_back_what_was_forgotten() {
    let (shelf, _, cached) = following().await;
    let (read, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    *shelf.pause.lock() = Some((Arc::clone(&read), Arc::clone(&go_on)));
    let slow = tokio::spawn({
        let cached = Arc::clone(&cached);
        async move { cached.fetch(&digest()).await }
    });
    read.notified().await;
    shelf.held.lock().clear();
    cached.forget(&digest());
    go_on.notify_one();
    assert!(slow.await.unwrap().unwrap().is_none());
    assert!(cached.known(&digest()).is_none());
}

#[tokio::test]
async fn memory_is_believed_for_the_grace_of_an_outage_and_then_for_nothing() {
    let (shelf, hands, cached) = following().await;
    cached.fetch(&digest()).await.unwrap();
    shelf.down.store(true, Ordering::Relaxed);
    assert!(cached.follow(hands.set(30)).await.is_err());
    assert!(cached.known(&digest()).is_some());
    hands.set(31);
    assert!(cached.known(&digest()).is_none());
    assert!(cached.fetch(&digest()).await.is_err());

    shelf.down.store(false, Ordering::Relaxed);
    assert!(
        cached.follow(hands.set(40)).await.unwrap().keys_changed,
        "it may have been missed"
    );
    assert!(cached.known(&digest()).is_none(), "changes may have been missed");
    cached.fetch(&digest()).await.unwrap();
    assert!(cached.known(&digest()).is_some());
}

#[tokio::test]
async fn nothing_is_believed_before_the_store_was_followed() {
    let (shelf, hands) = (Arc::new(Shelf::default()), Arc::new(Hands::default()));
    shelf.put(session(), account());
    let cached = CachedSessions::new(Arc::clone(&shelf) as _, Arc::clone(&hands) as _, 100, GRACE);
    cached.fetch(&digest()).await.unwrap().unwrap();
    assert!(cached.known(&digest()).is_none());
    shelf.disable_all();
    cached.follow(hands.set(1)).await.unwrap();
    assert!(cached.known(&digest()).is_none(), "read before the log was followed");
}

#[tokio::test]
async fn the_time_last_seen_survives_being_dropped() {
    let (shelf, hands, cached) = following().await;
    let lifetime = Lifetime {
        idle: Duration::from_mins(1),
        absolute: Duration::from_hours(1),
    };
    let fetched = cached.fetch(&digest()).await.unwrap().unwrap();
    fetched.see(at(50), Duration::from_mins(1));
    shelf.log.lock().push(Changed::Account(account().id));
    cached.follow(hands.set(2)).await.unwrap();
    let again = cached.fetch(&digest()).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&fetched, &again));
    assert_eq!(again.state_at(at(100), lifetime), SessionState::Live);
    assert!(
        again.see(at(60), Duration::from_mins(1)),
        "the store has still to hear of it"
    );
}

#[tokio::test]
async fn a_key_change_is_told_and_every_pass_can_be_dropped() {
    let (shelf, hands, cached) = following().await;
    let fetched = cached.fetch(&digest()).await.unwrap().unwrap();
    let terms = Arc::new(AssertionTerms {
        issuer: "door".into(),
        audience: "phone".into(),
        life: Duration::from_mins(1),
    });
    let pass = Pass {
        jwt: bytes::Bytes::from_static(b"jwt"),
        terms: Arc::clone(&terms),
        signed_at: at(0),
        refresh_at: at(1000),
    };
    fetched.passes().keep(&pass, at(0));
    shelf.log.lock().push(Changed::Keys);
    assert!(cached.follow(hands.set(2)).await.unwrap().keys_changed);
    assert!(!cached.follow(hands.set(3)).await.unwrap().keys_changed);
    assert!(fetched.passes().of(&terms, at(0)).is_some());
    cached.drop_passes();
    assert!(cached.known(&digest()).unwrap().passes().of(&terms, at(0)).is_none());
}

#[tokio::test]
async fn where_memory_is_full_the_session_that_is_in_use_is_not_forgotten_first() {
    let (shelf, hands) = (Arc::new(Shelf::default()), Arc::new(Hands::default()));
    let of = |number: u8| Session {
        id: SessionId::new(Uuid::from_u128(u128::from(number))),
        digest: TokenDigest::from_bytes([number; 32]),
        ..session()
    };
    for number in 0..8 {
        shelf.put(of(number), account());
    }
    let cached = CachedSessions::new(Arc::clone(&shelf) as _, Arc::clone(&hands) as _, 4, GRACE);
    cached.follow(hands.set(1)).await.unwrap();
    for number in 0..8 {
        let principal = cached.fetch(&of(number).digest).await.unwrap().unwrap();
        assert_eq!(principal.session.id, of(number).id);
        let busy = cached.known(&of(0).digest).unwrap();
        cached.used(&busy);
        cached.entries.run_pending_tasks();
        cached.tokens.run_pending_tasks();
    }
    let kept = |number: u8| {
        let session = of(number);
        (
            cached.entries.contains_key(&session.digest),
            cached.tokens.contains_key(&session.id),
        )
    };
    assert_eq!(kept(0), (true, true));
    assert_eq!(kept(1), (false, false), "the oldest of those that nobody uses");
}

#[tokio::test]
async fn a_session_is_known_by_its_id_whatever_its_token_is_by_now() {
    let (shelf, hands, cached) = following().await;
    let id = session().id;
    assert!(cached.known_session(id).is_none());
    let by_token = cached.fetch(&digest()).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&by_token, &cached.known_session(id).unwrap()));

    let new = TokenDigest::from_bytes([8; 32]);
    shelf.renew(new);
    cached.follow(hands.set(2)).await.unwrap();
    assert!(cached.known(&digest()).is_none(), "the old token opens nothing");
    assert!(cached.known_session(id).is_none(), "it has to be read anew");
    let renewed = cached.fetch_session(id).await.unwrap().unwrap();
    assert_eq!(renewed.session.digest, new);
    for known in [cached.known(&new), cached.known_session(id)] {
        assert!(Arc::ptr_eq(&renewed, &known.unwrap()));
    }
    assert!(cached.fetch(&digest()).await.unwrap().is_none());

    shelf.held.lock().clear();
    shelf.log.lock().push(Changed::Session(new));
    cached.follow(hands.set(3)).await.unwrap();
    assert!(cached.known_session(id).is_none());
    assert!(cached.fetch_session(id).await.unwrap().is_none(), "ended");
}

#[tokio::test]
async fn a_token_is_remembered_as_a_former_one_while_requests_are_in_flight() {
    let (_, hands, cached) = following().await;
    assert_eq!(cached.formerly(&digest()), None);
    cached.renewing(&digest(), session().id);
    hands.set(5);
    assert_eq!(cached.formerly(&digest()), Some(session().id));
    hands.set(6);
    assert_eq!(cached.formerly(&digest()), None, "five seconds later");
}
