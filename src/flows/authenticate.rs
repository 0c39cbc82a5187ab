//! From the cookie of a request to the principal behind it: the step every proxied request takes.
//!
//! A session gets a new token when its person gives the password again. What a page had asked for by then arrives with
//! the old one, and refusing it would look like being signed out. So for [`IN_FLIGHT`] the process that renewed a
//! session takes its former token for that session, as [`Standing::Former`]. Whoever else holds the old token, which is
//! what renewing guards against, wins nothing by it: it opens what it had opened for hours, for five seconds more and as
//! long as the session lives; on our own pages it looks and signs out, and does no other act, so it renews nothing and
//! cannot use that the password has just been given; and a stream opened with it ends with it. The store knows the old
//! token no more.
//!
//! What memory does not know is looked up in the store, and only a stranger can present one made-up token after the other:
//! what a client presents that nobody has counts against it ([`Authenticate::admit`]). Beyond its share, nothing is looked up
//! for it: what memory does not know opens nothing, and is [`Refusal::Unasked`]. Should it be somebody's all the same, whose
//! neighbour floods the gateway, the cookie is left alone, and the sign-in page that the person is sent to looks it up and
//! leads back: our own pages are counted by themselves. Where a client's share is used up by look-ups that the store has not
//! answered yet, nothing is known of it, and what else it presents is refused for now, as while the store is down.
//!
//! What somebody had opened with a copy of the token goes on as the session's own streams do, until the account raises
//! its generation: a new password, or the end of all other sessions. Then the session's own end as well
//! ([`Severed::Anew`]), and who holds its new cookie opens them anew. So do all streams of an account whose role or groups
//! change: what they may reach was judged, and told to the web client, when they were opened.
//!
//! [`IN_FLIGHT`]: crate::domain::session::IN_FLIGHT

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::limits::Quota;
use crate::domain::limits::fixed::Fixed;
use crate::domain::limits::ledger::{Outcome, Subject};
use crate::domain::principal::Principal;
use crate::domain::session::{Lifetime, SessionId, SessionState, outlived};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::ports::{Grant, Limiter, Principals, Ruling};

use super::World;
use super::digests::Digests;
use super::record_seen::SeenSender;

/// What a request presents as its session.
#[derive(Debug)]
pub enum Presented {
    /// No session cookie.
    Nothing,
    /// Exactly one well-formed token.
    Token(SessionToken),
    /// Malformed, or two different ones: whose it is cannot be told.
    Unclear,
}

/// The standing of whoever sent a request.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing was presented.
    Stranger,
    /// Something was presented that opens nothing (any more).
    Refused(Refusal),
    /// A live session.
    Known(Arc<Principal>),
    /// A live session, by the token it had until a moment ago: enough to look, not to act.
    Former(Arc<Principal>, TokenDigest),
}

/// What an open stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    /// By what right it was opened.
    pub right: Right,
    /// The generation of its session by then.
    pub generation: u64,
    /// What the account might do by then; a digest of its role and groups.
    pub reach: u64,
    /// When its session began: the absolute limit holds whether or not anybody can be asked about it.
    pub since: Timestamp,
}

/// By what right a stream is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// That of a session, whatever token it has by now.
    Session(SessionId),
    /// That of the former token it was opened with.
    Token(TokenDigest),
}

/// Why an open stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severed {
    /// Its session is over, or its token.
    Over(Refusal),
    /// Its session lives on, in a later generation or with another role or other groups. Whoever holds its cookie may
    /// open the stream anew.
    Anew,
}

/// Why a presented session opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Malformed or ambiguous.
    Unclear,
    /// No such session.
    Unknown,
    /// Whether there is such a session was not looked up.
    Unasked,
    /// No request for too long.
    Idle,
    /// Reached its absolute limit.
    Expired,
    /// Ended by its person, an operator or a new password.
    Ended,
    /// The session goes on under another token, and this was to be an act.
    Renewed,
}

impl Refusal {
    /// The stable name in JSON answers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unclear => "unclear",
            Self::Unknown => "unknown",
            Self::Unasked => "unasked",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::Renewed => "renewed",
        }
    }
}

impl Standing {
    /// The principal, when there is one.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Known(principal) | Self::Former(principal, _) => Some(principal),
            Self::Stranger | Self::Refused(_) => None,
        }
    }

    /// Whether a session was presented that opens nothing, and why.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Stranger | Self::Known(_) | Self::Former(..) => None,
        }
    }

    /// What a stream ends with that is opened now.
    pub fn bond(&self) -> Option<Bond> {
        match self {
            Self::Known(principal) => Some(Bond::of(Right::Session(principal.session.id), principal)),
            Self::Former(principal, token) => Some(Bond::of(Right::Token(*token), principal)),
            Self::Stranger | Self::Refused(_) => None,
        }
    }
}

impl Bond {
    fn of(right: Right, principal: &Principal) -> Self {
        Self {
            right,
            generation: principal.session.generation,
            reach: principal.reach(),
            since: principal.session.created_at,
        }
    }

    /// Whether everything else is as it was.
    fn holds(&self, principal: &Principal) -> bool {
        *self == Self::of(self.right, principal)
    }
}

/// Tells who sends a request.
pub struct Authenticate {
    principals: Arc<dyn Principals>,
    world: World,
    lifetime: Lifetime,
    record_every: Duration,
    seen: SeenSender,
    digests: Digests,
    limiter: Option<Arc<dyn Limiter>>,
    /// Look-ups that the store has not answered yet.
    asking: AtomicU32,
}

/// How many tokens that nobody has one client may present. Each counts once, however often it is presented; it is the share
/// of a large office whose sessions have all ended.
const NOBODYS: Quota = Quota::hourly(600);

/// With so many look-ups unanswered, a share that is used up says nothing about its client: half of what one may have.
const MANY: u32 = 300;

impl Authenticate {
    /// A session's last use is recorded once a minute, or more often where the idle limit is short. Without a `limiter`
    /// nothing is counted.
    pub fn new(
        principals: Arc<dyn Principals>,
        world: World,
        lifetime: Lifetime,
        seen: SeenSender,
        limiter: Option<Arc<dyn Limiter>>,
    ) -> Self {
        let record_every = (lifetime.idle / 10).min(Duration::from_mins(1));
        let digests = Digests::new(&*world.entropy);
        Self {
            principals,
            world,
            lifetime,
            record_every,
            seen,
            digests,
            limiter,
            asking: AtomicU32::new(0),
        }
    }

    /// As [`Authenticate::run`], for requests that are not counted before: where memory does not know the token, its client
    /// is charged before the store is asked, and given that back when somebody has it.
    pub async fn admit(&self, presented: &Presented, client: ClientAddr, now: Timestamp) -> Result<Standing, Fault> {
        let Presented::Token(token) = presented else {
            return self.run(presented, now).await;
        };
        let digest = self.digests.of(token);
        let standing = match self.remembered(&digest, now) {
            Some(standing) if !is_idle(&standing) => standing,
            known => {
                let Some(grant) = self.charge(&digest, client) else {
                    return match known {
                        Some(known) => Ok(known),
                        None if self.asking.load(Ordering::Relaxed) >= MANY => {
                            Err(Fault::overloaded("too many sessions are being looked up"))
                        }
                        None => Ok(Standing::Refused(Refusal::Unasked)),
                    };
                };
                let asking = Asking::begin(&self.asking);
                let asked = self.ask(&digest, known, now).await;
                drop(asking);
                grant.settle(match &asked {
                    Ok(Standing::Refused(Refusal::Unknown)) => Outcome::Used,
                    Ok(_) | Err(_) => Outcome::NotTried,
                });
                asked?
            }
        };
        if let Some(principal) = standing.principal() {
            self.note_use(principal, now);
        }
        Ok(standing)
    }

    /// What a client draws to have a token looked up: nothing where the store need not be asked. `None`: there is no room.
    fn charge(&self, digest: &TokenDigest, client: ClientAddr) -> Option<Grant> {
        let Some(limiter) = self.limiter.as_ref().filter(|_| !self.principals.is_nobodys(digest)) else {
            return Some(Grant::free());
        };
        let subject = Subject::Client(client.limit_key());
        match limiter.draw(vec![Fixed::SessionClient.draw(subject, NOBODYS)]) {
            Ruling::Granted(grant) => Some(grant),
            Ruling::Refused(_) => None,
        }
    }

    /// Judges what a request presents and, when it is a live session, notes that it was used. `now` is when it came: the
    /// clock is read once for all of a request.
    pub async fn run(&self, presented: &Presented, now: Timestamp) -> Result<Standing, Fault> {
        let standing = self.look_at(presented, now).await?;
        if let Some(principal) = standing.principal() {
            self.note_use(principal, now);
        }
        Ok(standing)
    }

    /// Why an open stream must end; `None` while it may stay open. Being open does not count as use.
    pub async fn severed(&self, bond: &Bond) -> Result<Option<Severed>, Fault> {
        let now = self.world.now();
        let (standing, gone) = match bond.right {
            Right::Session(id) => (self.judge_session(id, now).await?, Refusal::Ended),
            Right::Token(token) => (self.judge(&token, now).await?, Refusal::Renewed),
        };
        Ok(match standing {
            Standing::Known(principal) => (!bond.holds(&principal)).then_some(Severed::Anew),
            Standing::Former(principal, _) => (!bond.holds(&principal)).then_some(Severed::Over(Refusal::Renewed)),
            // It was known when the stream began.
            Standing::Stranger | Standing::Refused(Refusal::Unknown) => Some(Severed::Over(gone)),
            Standing::Refused(refusal) => Some(Severed::Over(refusal)),
        })
    }

    /// Whether a stream has outlived the absolute limit of its session. It takes nobody to know that.
    pub fn outlived(&self, bond: &Bond) -> bool {
        outlived(bond.since, self.world.now(), self.lifetime.absolute)
    }

    /// Something passed on a stream of this session that counts as use. Answered from memory and never waits; a session
    /// that memory does not know, or that is over, is not prolonged.
    pub fn used(&self, session: SessionId) {
        let now = self.world.now();
        if let Some(principal) = self.principals.known_session(session)
            && let Standing::Known(principal) = self.weigh(principal, now)
        {
            self.note_use(&principal, now);
        }
    }

    /// Use is worth noting again after this time.
    pub const fn use_every(&self) -> Duration {
        self.record_every
    }

    fn note_use(&self, principal: &Principal, now: Timestamp) {
        if principal.see(now, self.record_every) {
            self.principals.used(principal);
            self.seen.note(principal.session.id, now);
        }
    }

    /// Judges without counting as use.
    pub async fn look(&self, presented: &Presented) -> Result<Standing, Fault> {
        self.look_at(presented, self.world.now()).await
    }

    async fn look_at(&self, presented: &Presented, now: Timestamp) -> Result<Standing, Fault> {
        let digest = match presented {
            Presented::Nothing => return Ok(Standing::Stranger),
            Presented::Unclear => return Ok(Standing::Refused(Refusal::Unclear)),
            Presented::Token(token) => self.digests.of(token),
        };
        self.judge(&digest, now).await
    }

    async fn judge(&self, digest: &TokenDigest, now: Timestamp) -> Result<Standing, Fault> {
        match self.remembered(digest, now) {
            Some(standing) if !is_idle(&standing) => Ok(standing),
            known => self.ask(digest, known, now).await,
        }
    }

    /// What memory says.
    fn remembered(&self, digest: &TokenDigest, now: Timestamp) -> Option<Standing> {
        self.principals
            .known(digest)
            .map(|principal| self.weigh(principal, now))
    }

    /// What the store says; where it is down, what was `known` counts.
    async fn ask(&self, digest: &TokenDigest, known: Option<Standing>, now: Timestamp) -> Result<Standing, Fault> {
        match self.principals.fetch(digest).await {
            Ok(Some(principal)) => Ok(self.weigh(principal, now)),
            Ok(None) => self.judge_former(*digest, now).await,
            Err(fault) => known.ok_or(fault),
        }
    }

    async fn judge_former(&self, token: TokenDigest, now: Timestamp) -> Result<Standing, Fault> {
        let Some(session) = self.principals.formerly(&token) else {
            return Ok(Standing::Refused(Refusal::Unknown));
        };
        Ok(match self.judge_session(session, now).await? {
            Standing::Known(principal) => Standing::Former(principal, token),
            other => other,
        })
    }

    async fn judge_session(&self, id: SessionId, now: Timestamp) -> Result<Standing, Fault> {
        let known = self.principals.known_session(id);
        let known = match known.map(|principal| self.weigh(principal, now)) {
            Some(standing) if !is_idle(&standing) => return Ok(standing),
            known => known,
        };
        match self.principals.fetch_session(id).await {
            Ok(Some(principal)) => Ok(self.weigh(principal, now)),
            Ok(None) => Ok(Standing::Refused(Refusal::Unknown)),
            Err(fault) => known.ok_or(fault),
        }
    }

    fn weigh(&self, principal: Arc<Principal>, now: Timestamp) -> Standing {
        match principal.state_at(now, self.lifetime) {
            SessionState::Live => Standing::Known(principal),
            SessionState::Idle => Standing::Refused(Refusal::Idle),
            SessionState::Expired => Standing::Refused(Refusal::Expired),
            SessionState::Ended => Standing::Refused(Refusal::Ended),
        }
    }
}

/// Counts a look-up for as long as it takes, given up or not.
struct Asking<'a>(&'a AtomicU32);

impl<'a> Asking<'a> {
    fn begin(all: &'a AtomicU32) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory says that a session has not been used for too long. During an upgrade another process may have seen it used: the
/// store is asked.
const fn is_idle(standing: &Standing) -> bool {
    matches!(standing, Standing::Refused(Refusal::Idle))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::FutureExt;
    use parking_lot::Mutex;

    use super::*;
    use crate::domain::limits::Nanos;
    use crate::domain::session::Session;
    use crate::domain::session::tests::{account, session};
    use crate::domain::token::TOKEN_BYTES;
    use crate::flows::RecordSeen;
    use crate::ports::{Clock, Entropy};
    use crate::store::{LimiterTerms, MemoryLimiter, MemoryStore};

    /// A session that memory saw last at the beginning; and what the store says of it.
    struct Shelf {
        memory: Arc<Principal>,
        store: Mutex<Result<Session, ()>>,
        now: Timestamp,
    }

    #[async_trait]
    impl Principals for Shelf {
        fn known(&self, _: &TokenDigest) -> Option<Arc<Principal>> {
            Some(Arc::clone(&self.memory))
        }

        async fn fetch(&self, _: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault> {
            match &*self.store.lock() {
                Ok(session) => Ok(Some(Arc::new(Principal::new(session.clone(), account())))),
                Err(()) => Err(Fault::unavailable("could not read the shelf", "it is down")),
            }
        }

        fn is_nobodys(&self, _: &TokenDigest) -> bool {
            false
        }

        fn known_session(&self, _: SessionId) -> Option<Arc<Principal>> {
            Some(Arc::clone(&self.memory))
        }

        async fn fetch_session(&self, _: SessionId) -> Result<Option<Arc<Principal>>, Fault> {
            self.fetch(&self.memory.session.digest).await
        }

        fn forget(&self, _: &TokenDigest) {}

        fn used(&self, _: &Principal) {}

        fn renewing(&self, _: &TokenDigest, _: SessionId) {}

        fn formerly(&self, _: &TokenDigest) -> Option<SessionId> {
            None
        }
    }

    impl Clock for Shelf {
        fn now(&self) -> Timestamp {
            self.now
        }

        fn monotonic(&self) -> Nanos {
            Nanos(0)
        }
    }

    impl Entropy for Shelf {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    /// What the store has and what it was asked for; memory knows nothing but whose no token is.
    #[derive(Default)]
    struct Stack {
        of: Mutex<Option<TokenDigest>>,
        nobodys: Mutex<Vec<TokenDigest>>,
        asked: AtomicUsize,
        down: AtomicBool,
        hangs: AtomicBool,
    }

    #[async_trait]
    impl Principals for Stack {
        fn known(&self, _: &TokenDigest) -> Option<Arc<Principal>> {
            None
        }

        async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not read the stack", "it is down"));
            }
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if *self.of.lock() == Some(*digest) {
                return Ok(Some(Arc::new(Principal::new(session(), account()))));
            }
            self.nobodys.lock().push(*digest);
            Ok(None)
        }

        fn is_nobodys(&self, digest: &TokenDigest) -> bool {
            self.nobodys.lock().contains(digest)
        }

        fn known_session(&self, _: SessionId) -> Option<Arc<Principal>> {
            None
        }

        async fn fetch_session(&self, _: SessionId) -> Result<Option<Arc<Principal>>, Fault> {
            unreachable!("no token is a former one")
        }

        fn forget(&self, _: &TokenDigest) {}

        fn used(&self, _: &Principal) {}

        fn renewing(&self, _: &TokenDigest, _: SessionId) {}

        fn formerly(&self, _: &TokenDigest) -> Option<SessionId> {
            None
        }
    }

    impl Clock for Stack {
        fn now(&self) -> Timestamp {
            session().created_at
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1)
        }
    }

    impl Entropy for Stack {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    fn counted(stack: &Arc<Stack>) -> Authenticate {
        let store = Arc::new(MemoryStore::new());
        let (_, seen) = RecordSeen::new(store.clone(), store);
        let world = World::new(Arc::clone(stack) as _, Arc::clone(stack) as _);
        let terms = LimiterTerms::alone(100, [0; 32], Arc::clone(stack) as _, Arc::clone(stack) as _);
        let limiter = Some(Arc::new(MemoryLimiter::new(terms)) as _);
        Authenticate::new(Arc::clone(stack) as _, world, Lifetime::default(), seen, limiter)
    }

    fn made_up(number: u32) -> SessionToken {
        let mut bytes = [1; TOKEN_BYTES];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SessionToken::from_entropy(bytes)
    }

    #[tokio::test]
    async fn a_client_that_makes_tokens_up_is_stopped_before_the_store_and_whoever_has_one_is_charged_nothing() {
        let stack = Arc::new(Stack::default());
        let authenticate = counted(&stack);
        let admit = async |token: SessionToken, client: &str| {
            let client = ClientAddr::new(client.parse().unwrap());
            let now = authenticate.world.now();
            authenticate.admit(&Presented::Token(token), client, now).await
        };
        let asked = || stack.asked.load(Ordering::Relaxed);
        let held = SessionToken::from_entropy([2; TOKEN_BYTES]);
        *stack.of.lock() = Some(held.digest());
        let most = NOBODYS.burst();
        for number in 0..most {
            let known = admit(SessionToken::from_entropy([2; TOKEN_BYTES]), "192.0.2.7").await;
            assert!(known.unwrap().principal().is_some(), "{number}");
            for token in [made_up(number), made_up(0)] {
                let said = admit(token, "192.0.2.7").await.unwrap();
                assert_eq!(said.refusal(), Some(Refusal::Unknown), "{number}");
            }
        }
        let before = asked();
        stack.down.store(true, Ordering::Relaxed);
        admit(made_up(most), "192.0.2.8").await.unwrap_err();
        stack.down.store(false, Ordering::Relaxed);
        for token in [made_up(most), held] {
            let said = admit(token, "192.0.2.7").await.unwrap();
            assert_eq!(said.refusal(), Some(Refusal::Unasked));
        }
        assert_eq!(
            asked(),
            before + 1,
            "the same for known and unknown, and without the store"
        );
        let elsewhere = admit(SessionToken::from_entropy([2; TOKEN_BYTES]), "192.0.2.8").await;
        assert!(elsewhere.unwrap().principal().is_some());
        let own_page = Presented::Token(SessionToken::from_entropy([2; TOKEN_BYTES]));
        assert!(authenticate.look(&own_page).await.unwrap().principal().is_some());
    }

    #[tokio::test]
    async fn while_the_store_hangs_nobody_is_told_that_a_session_opens_nothing() {
        let stack = Arc::new(Stack::default());
        stack.hangs.store(true, Ordering::Relaxed);
        let authenticate = counted(&stack);
        let client = ClientAddr::new("192.0.2.7".parse().unwrap());
        let admit = async |number: u32| {
            let now = authenticate.world.now();
            let presented = Presented::Token(made_up(number));
            authenticate.admit(&presented, client, now).await
        };
        let most = NOBODYS.burst();
        let mut waiting: Vec<_> = (0..most).map(|number| Box::pin(admit(number))).collect();
        for each in &mut waiting {
            assert!(each.now_or_never().is_none(), "it is being looked up");
        }
        let said = admit(most).now_or_never().expect("nothing more is asked of the store");
        assert!(matches!(said, Err(Fault::Overloaded { .. })), "{said:?}");
        drop(waiting);
        stack.hangs.store(false, Ordering::Relaxed);
        let said = admit(most).await.unwrap();
        assert_eq!(said.refusal(), Some(Refusal::Unasked), "what was given up is used up");
    }

    #[tokio::test]
    async fn a_session_that_another_process_has_seen_in_use_is_not_idle() {
        let lifetime = Lifetime::default();
        let begun = session();
        let idle_by = crate::domain::session::later(begun.last_seen_at, lifetime.idle);
        let shelf = Arc::new(Shelf {
            memory: Arc::new(Principal::new(begun.clone(), account())),
            store: Mutex::new(Ok(begun.clone())),
            now: crate::domain::session::later(idle_by, Duration::from_secs(1)),
        });
        let empty = Arc::new(MemoryStore::new());
        let (_, seen) = RecordSeen::new(empty.clone(), empty);
        let world = World::new(Arc::clone(&shelf) as _, Arc::clone(&shelf) as _);
        let authenticate = Authenticate::new(Arc::clone(&shelf) as _, world, lifetime, seen, None);
        let (id, digest) = (begun.id, begun.digest);
        let judged = async || {
            let now = authenticate.world.now();
            let of_stream = authenticate.judge_session(id, now).await.unwrap().refusal();
            assert_eq!(of_stream, authenticate.judge(&digest, now).await.unwrap().refusal());
            of_stream
        };
        assert_eq!(judged().await, Some(Refusal::Idle), "nobody has used it");
        *shelf.store.lock() = Err(());
        assert_eq!(judged().await, Some(Refusal::Idle), "there is nothing but memory");
        *shelf.store.lock() = Ok(Session {
            last_seen_at: idle_by,
            ..begun
        });
        assert_eq!(judged().await, None, "it was used elsewhere");
    }

    #[tokio::test]
    async fn a_stream_has_outlived_its_session_at_the_absolute_limit_although_nobody_can_be_asked() {
        let lifetime = Lifetime::default();
        let begun = session();
        let end = crate::domain::session::later(begun.created_at, lifetime.absolute);
        let bond = Standing::Known(Arc::new(Principal::new(begun, account())))
            .bond()
            .unwrap();
        for (before_the_end, over) in [(Duration::from_secs(1), false), (Duration::ZERO, true)] {
            let shelf = Arc::new(Shelf {
                memory: Arc::new(Principal::new(session(), account())),
                store: Mutex::new(Err(())),
                now: crate::domain::session::earlier(end, before_the_end),
            });
            let empty = Arc::new(MemoryStore::new());
            let (_, seen) = RecordSeen::new(empty.clone(), empty);
            let world = World::new(Arc::clone(&shelf) as _, Arc::clone(&shelf) as _);
            let authenticate = Authenticate::new(Arc::clone(&shelf) as _, world, lifetime, seen, None);
            assert_eq!(authenticate.outlived(&bond), over);
        }
    }
}
