//! Random sequences of port calls: after each one every adapter gives the same answer as the reference model, and
//! everything that can be seen of it is the same.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::account::{AccountEdit, EmailEdit, LoginName};
use crate::domain::api_token::{ApiToken, ApiTokenId, LastUse};
use crate::domain::bounce::{Action, DeadAddress, Ignored, Report, StatusCode};
use crate::domain::campaigns::CampaignId;
use crate::domain::device::Device;
use crate::domain::key::{KeyRecord, SigningAlgorithm};
use crate::domain::order::{Decree, Order, OrderId, PolicySource, Target};
use crate::domain::outbox::Batch;
use crate::domain::site::SiteName;
use crate::ports::{
    AccountBatch, AccountListing, AccountRecord, Changed, DueLetter, LetterListing, PasswordChange, Renewal,
    TicketListing, TicketRecord,
};

#[derive(Clone, Copy, Debug)]
enum Act {
    Create,
    Disable,
    Enable,
    Update,
    Remove,
    EndSessions,
    EndOthers,
    ClosePassword,
    ChangePassword,
    Renew,
    Record,
    Rehash,
    Import,
    Credential,
    FindByEmail,
    Issue,
    Redeem,
    OpenLink,
    SweepTickets,
    Begin,
    End,
    Touch,
    SweepSessions,
    SweepChanges,
    Accept,
    Take,
    GiveBack,
    Delivered,
    Report,
    Ignore,
    Withheld,
    Failed,
    GivenUp,
    SweepLetters,
    AddToken,
    RevokeToken,
    UseToken,
    SweepTokens,
    GiveOrder,
    EndOrder,
    SweepOrders,
    AddKey,
    SweepKeys,
    ListEvents,
}

/// What happens often stands here often.
const ACTS: [Act; 65] = [
    Act::Create,
    Act::Create,
    Act::Create,
    Act::Create,
    Act::Disable,
    Act::Enable,
    Act::Enable,
    Act::Update,
    Act::Update,
    Act::Remove,
    Act::EndSessions,
    Act::EndOthers,
    Act::ChangePassword,
    Act::ChangePassword,
    Act::Renew,
    Act::Renew,
    Act::Record,
    Act::Rehash,
    Act::Rehash,
    Act::Import,
    Act::Import,
    Act::Credential,
    Act::FindByEmail,
    Act::ClosePassword,
    Act::Issue,
    Act::Issue,
    Act::Issue,
    Act::Redeem,
    Act::Redeem,
    Act::Redeem,
    Act::Redeem,
    Act::OpenLink,
    Act::SweepTickets,
    Act::Begin,
    Act::Begin,
    Act::Begin,
    Act::Begin,
    Act::End,
    Act::Touch,
    Act::SweepSessions,
    Act::SweepChanges,
    Act::Accept,
    Act::Take,
    Act::GiveBack,
    Act::Delivered,
    Act::Delivered,
    Act::Report,
    Act::Report,
    Act::Report,
    Act::Ignore,
    Act::Withheld,
    Act::Failed,
    Act::GivenUp,
    Act::SweepLetters,
    Act::AddToken,
    Act::AddToken,
    Act::RevokeToken,
    Act::UseToken,
    Act::SweepTokens,
    Act::GiveOrder,
    Act::GiveOrder,
    Act::EndOrder,
    Act::SweepOrders,
    Act::AddKey,
    Act::ListEvents,
];

/// One call: what, after how many seconds, and two numbers that choose whom and how.
type Step = (Act, i64, usize, usize);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![50 => select(&ACTS[..]), 1 => Just(Act::SweepKeys)];
    prop::collection::vec((act, 0_i64..40, 0_usize..24, 0_usize..24), 30..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_reference_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            agree(&steps, &Ports::memory(), &Ports::sqlite().await).await;
        });
    }
}

async fn agree(steps: &[Step], model: &Ports, adapter: &Ports) {
    let mut cast = Cast::default();
    let mut second = 0;
    for (number, step) in steps.iter().enumerate() {
        second += step.1;
        let call = cast.call(model, *step, second).await;
        let (expected, answered) = (call.make(model).await, call.make(adapter).await);
        assert_eq!(answered, expected, "step {number}: {call:?}");
        let (expected, seen) = (cast.see(model).await, cast.see(adapter).await);
        assert_eq!(seen, expected, "after step {number}: {call:?}");
        // Addresses are compared folded; here their spelling counts as well.
        assert_eq!(
            format!("{seen:?}"),
            format!("{expected:?}"),
            "after step {number}: {call:?}"
        );
    }
}

/// Everybody and everything that has had a part so far, also what is long gone.
#[derive(Default)]
struct Cast {
    accounts: Vec<Account>,
    tickets: Vec<Ticket>,
    sessions: Vec<Session>,
    letters: Vec<LetterId>,
    tokens: Vec<ApiTokenId>,
    orders: Vec<OrderId>,
    keys: usize,
}

/// A call with all its arguments, so that it is made twice in the same way.
#[derive(Debug)]
enum Call {
    Create(Account, Consequences),
    Disable(AccountId, Timestamp, Consequences),
    Enable(AccountId, Timestamp, Consequences),
    Update(AccountId, AccountEdit, Timestamp, Consequences),
    Remove(AccountId, Timestamp, Consequences),
    EndSessions(AccountId, Timestamp, Consequences),
    EndOthers(AccountId, SessionId, Timestamp, Consequences),
    ClosePassword(AccountId, Timestamp, Timestamp, Consequences),
    ChangePassword(PasswordChange, Timestamp, Consequences),
    Renew(Renewal, Timestamp, Consequences),
    Record(AccountId, Consequences),
    Rehash(AccountId, PasswordHash, PasswordHash),
    Import(AccountBatch, Timestamp),
    Credential(LoginName),
    FindByEmail(Email),
    Issue(Ticket),
    Redeem(TokenDigest, PasswordHash, Timestamp, Consequences),
    Open(TokenDigest, Timestamp, Event),
    SweepTickets(Timestamp),
    Begin(Session, Option<TokenDigest>, usize, Consequences),
    End(SessionId, Consequences),
    Touch(Vec<(SessionId, Timestamp)>),
    SweepSessions(Timestamp, Timestamp),
    SweepChanges(Timestamp),
    Accept(Consequences),
    Take(Timestamp, Batch, Duration),
    GiveBack,
    Delivered(LetterId, Email, Timestamp, Event),
    Report(LetterId, Report, Timestamp, Event),
    Ignore(Ignored),
    Withheld(LetterId, Timestamp, Event),
    Failed(LetterId, Timestamp),
    GivenUp(LetterId, Timestamp, Event),
    SweepLetters(Timestamp),
    AddToken(ApiToken, Consequences),
    RevokeToken(ApiTokenId, Timestamp, Consequences),
    UseToken(ApiTokenId, LastUse),
    SweepTokens(Timestamp),
    GiveOrder(Order, Consequences),
    EndOrder(OrderId, Timestamp, Consequences),
    SweepOrders(Timestamp, Timestamp),
    AddKey(KeyRecord, Consequences),
    SweepKeys(Timestamp),
    ListEvents(EventFilter),
}

/// Everything that can be seen from outside.
#[derive(Debug, PartialEq)]
struct Sight {
    accounts: Vec<AccountListing>,
    credentials: Vec<Option<PasswordHash>>,
    sessions: Vec<(Session, Account)>,
    tickets: Vec<Option<TicketRecord>>,
    links: Vec<TicketListing>,
    letters: Vec<LetterListing>,
    dead_addresses: Vec<DeadAddress>,
    ignored: Vec<(Ignored, u64)>,
    next_due: Option<Timestamp>,
    events: Vec<Event>,
    api_tokens: Vec<ApiToken>,
    orders: (Vec<Order>, i64),
    keys: Vec<KeyRecord>,
    changes: (Vec<Changed>, i64),
    newest_change: i64,
}

const EMAILS: [&str; 4] = ["a@example.com", "A@Example.com", "b@example.com", "c@example.com"];

impl Cast {
    async fn call(&mut self, model: &Ports, (act, _, which, how): Step, second: i64) -> Call {
        let now = at(second);
        let account = pick(&self.accounts, which).map_or_else(|| AccountId::new(fresh_uuid()), |account| account.id);
        let letter = pick(&self.letters, which)
            .copied()
            .unwrap_or(LetterId::new(fresh_uuid()));
        let event = happened(Fact::AccountEnabled, Some(account), now);
        let then = Consequences::event(event.clone());
        let hash = |number: usize| phc(&format!("$hash-{}", number % 3));
        let back = |seconds: i64| at(second - seconds);
        let spread = i64::try_from(how).unwrap();
        match act {
            Act::Create => Call::Create(self.new_account(which, how), then),
            Act::Disable => Call::Disable(account, now, then),
            Act::Enable => Call::Enable(account, now, then),
            Act::Update => Call::Update(account, edit(how), now, then),
            Act::Remove => Call::Remove(account, now, then),
            Act::EndSessions => Call::EndSessions(account, now, then),
            Act::EndOthers => Call::EndOthers(self.holder(how, account), self.session(how), now, then),
            Act::ClosePassword => Call::ClosePassword(account, back(spread), now, then),
            Act::ChangePassword => {
                let renewal = self.renewal(model, how, account).await;
                Call::ChangePassword(password_change(hash, which, how, renewal), now, then)
            }
            Act::Renew => Call::Renew(self.renewal(model, how, account).await, now, then),
            Act::Record => Call::Record(account, self.with_letter(then, account, now)),
            Act::Rehash => Call::Rehash(account, hash(which), hash(how)),
            Act::Import => Call::Import(self.new_batch(model, which, how, now).await, now),
            Act::Credential if how % 2 == 0 => Call::Credential(LoginName::parse(EMAILS[which % 4]).unwrap()),
            Act::Credential => Call::Credential(LoginName::parse(&(which % 6).to_string()).unwrap()),
            Act::FindByEmail => Call::FindByEmail(Email::parse(EMAILS[which % 4]).unwrap()),
            Act::Issue => Call::Issue(self.new_ticket(account, now)),
            Act::Redeem => {
                let digest = pick_new(&self.tickets, which).map_or_else(fresh_digest, |ticket| ticket.digest);
                Call::Redeem(digest, hash(how), now, self.with_letter(then, account, now))
            }
            Act::OpenLink => {
                let digest = pick_new(&self.tickets, which).map_or_else(fresh_digest, |ticket| ticket.digest);
                Call::Open(digest, now, event)
            }
            Act::SweepTickets => Call::SweepTickets(back(100 + spread)),
            Act::Begin => {
                let replaces = (how % 3 == 0).then(|| pick(&self.sessions, how).map(|session| session.digest));
                Call::Begin(
                    self.new_session(model, account, how, now).await,
                    replaces.flatten(),
                    1 + which % 4,
                    then,
                )
            }
            Act::End => {
                let then = if how.is_multiple_of(4) {
                    Consequences::default()
                } else {
                    then
                };
                Call::End(self.session(which), then)
            }
            Act::Touch => {
                let seen = self.sessions.iter().skip(which % 5).step_by(2);
                Call::Touch(seen.map(|session| (session.id, back(spread - 12))).collect())
            }
            Act::SweepSessions => Call::SweepSessions(back(200 + spread), back(100 + spread)),
            Act::SweepChanges => Call::SweepChanges(back(20 * spread)),
            Act::Accept => Call::Accept(self.with_letter(then, account, now)),
            Act::Take => {
                let most = Batch {
                    others: which % 4,
                    paced: how % 3,
                };
                Call::Take(now, most, Duration::from_secs(how as u64 * 5))
            }
            Act::GiveBack => Call::GiveBack,
            Act::Delivered => Call::Delivered(letter, Email::parse(EMAILS[how % 4]).unwrap(), now, event),
            Act::Report => Call::Report(letter, report(how), now, event),
            Act::Ignore => Call::Ignore(Ignored::ALL[how % 4]),
            Act::Withheld => Call::Withheld(letter, now, event),
            Act::Failed => Call::Failed(letter, at(second + spread * 4)),
            Act::GivenUp => Call::GivenUp(letter, now, event),
            Act::SweepLetters => Call::SweepLetters(back(10 * spread)),
            Act::AddToken => Call::AddToken(self.new_token(which, second), then),
            Act::RevokeToken => Call::RevokeToken(self.token(which), now, then),
            Act::UseToken => Call::UseToken(self.token(which), used(back(spread - 12))),
            Act::SweepTokens => Call::SweepTokens(back(10 * spread)),
            Act::GiveOrder => Call::GiveOrder(self.new_order(which, how, second), then),
            Act::EndOrder => {
                let known = pick_new(&self.orders, which).copied();
                Call::EndOrder(known.unwrap_or(OrderId::new(fresh_uuid())), now, then)
            }
            Act::SweepOrders => Call::SweepOrders(back(10 * spread), back(20 * spread)),
            Act::AddKey => Call::AddKey(self.new_key(now), then),
            Act::SweepKeys => Call::SweepKeys(back(spread)),
            Act::ListEvents => Call::ListEvents(EventFilter {
                account: (how % 2 == 0).then_some(account),
                since: (how % 3 == 0).then_some(back(100)),
                most: which,
            }),
        }
    }

    /// The account of the session that [`Cast::session`] answers, most of the time.
    fn holder(&self, how: usize, otherwise: AccountId) -> AccountId {
        let of_session = pick_new(&self.sessions, how).filter(|_| how % 7 != 6);
        of_session.map_or(otherwise, |session| session.account)
    }

    /// Most of the time one that can be made.
    async fn renewal(&self, model: &Ports, how: usize, otherwise: AccountId) -> Renewal {
        let session = self.session(how);
        let stored = model.sessions.find_by_id(session).await.unwrap();
        let held = stored.filter(|_| how % 5 != 4).map(|(session, _)| session.digest);
        Renewal {
            account: self.holder(how, otherwise),
            session,
            old: held.unwrap_or_else(fresh_digest),
            new: fresh_digest(),
        }
    }

    fn session(&self, how: usize) -> SessionId {
        pick_new(&self.sessions, how).map_or_else(|| SessionId::new(fresh_uuid()), |session| session.id)
    }

    fn new_token(&mut self, which: usize, second: i64) -> ApiToken {
        let token = api_tokens::fresh_token(["a", "b", "c"][which % 3], second);
        self.tokens.push(token.id);
        token
    }

    /// An order about one of a few, so that some take the place of others.
    fn new_order(&mut self, which: usize, how: usize, second: i64) -> Order {
        let client = ["203.0.113.7", "203.0.113.0/24", "2001:db8::/48"][which % 3];
        let decree = match which % 4 {
            0 => Decree::Exempt("10.0.0.0/8".parse().unwrap()),
            1 => Decree::Apply(PolicySource::Preset(["strict", "relaxed"][how % 2].to_owned())),
            _ => Decree::Ban(Target::from_client(client).unwrap()),
        };
        let until = (!how.is_multiple_of(3)).then_some(second + 20);
        let order = orders::order(decree, second, until);
        self.orders.push(order.id);
        order
    }

    fn token(&self, how: usize) -> ApiTokenId {
        pick_new(&self.tokens, how).map_or_else(|| ApiTokenId::new(fresh_uuid()), |id| *id)
    }

    fn new_account(&mut self, which: usize, how: usize) -> Account {
        let role = if how.is_multiple_of(2) { Role::Admin } else { Role::User };
        let account = invitation(&(which % 6).to_string(), EMAILS.get(how % 6).copied(), role);
        self.accounts.push(account.clone());
        account
    }

    /// Somebody new, a revision or two of those there are, sometimes made from a state long gone.
    async fn new_batch(&mut self, model: &Ports, which: usize, how: usize, now: Timestamp) -> AccountBatch {
        let mut records = Vec::new();
        for listing in model
            .accounts
            .list()
            .await
            .unwrap()
            .into_iter()
            .skip(which % 3)
            .take(how % 3)
        {
            let mut before = listing.account;
            if how % 7 == 6 {
                before.generation += 1;
            }
            let mut after = before.clone();
            after.updated_at = now;
            after.email = EMAILS.get(how % 6).map(|email| Email::parse(email).unwrap());
            after.role = if which.is_multiple_of(2) {
                Role::User
            } else {
                Role::Admin
            };
            if how % 5 == 1 {
                after.state = AccountState::Disabled;
                after.generation += 1;
            }
            let hash = (after.state == AccountState::Invited && how.is_multiple_of(2)).then(|| phc("$foreign"));
            if hash.is_some() {
                after.state = AccountState::Active;
                after.generation += 1;
            }
            records.push(AccountRecord {
                before: Some(before),
                after,
                hash,
            });
        }
        if how.is_multiple_of(2) {
            records.push(AccountRecord {
                before: None,
                after: self.new_account(which, how),
                hash: None,
            });
        }
        let account = records
            .first()
            .map_or_else(|| AccountId::new(fresh_uuid()), |record| record.after.id);
        let mut then = self.with_letter(fact(Fact::AccountCreated), account, now);
        let later = then.letters.drain(..).map(|letter| DueLetter {
            letter,
            due_at: crate::domain::session::later(now, Duration::from_secs(how as u64)),
        });
        AccountBatch {
            later: later.collect(),
            then,
            records,
        }
    }

    fn new_ticket(&mut self, account: AccountId, now: Timestamp) -> Ticket {
        let ticket = fresh_ticket(account, now);
        self.tickets.push(ticket.clone());
        ticket
    }

    async fn new_session(&mut self, model: &Ports, account: AccountId, how: usize, now: Timestamp) -> Session {
        let found = model.accounts.find(account).await.unwrap();
        let mut session = fresh_session(&found.unwrap_or(invitation("9", None, Role::User)), now);
        session.account = account;
        if how % 5 == 1 {
            session.generation += 1;
        }
        self.sessions.push(session.clone());
        session
    }

    fn with_letter(&mut self, then: Consequences, account: AccountId, now: Timestamp) -> Consequences {
        let client = crate::domain::client::ClientAddr::new("192.0.2.3".parse().unwrap());
        let matter = match self.letters.len() % 9 {
            0 => Matter::Welcome { account },
            1 => Matter::PasswordChanged { account },
            2 => Matter::NewDevice {
                account,
                client,
                user_agent: "Mozilla/5.0 'x\"".into(),
            },
            3 => Matter::EmailChanged {
                account,
                to: Email::parse("Former@Example.com").unwrap(),
                reader: None,
            },
            4 => Matter::AccountUnlocked { account },
            5 => Matter::NewPassword { account },
            6 => Matter::Campaign {
                to: Email::parse("Security@Example.com").unwrap(),
                campaign: CampaignId::parse("mtpa9wn5").unwrap(),
            },
            7 => Matter::UnlockRequested {
                name: LoginName::parse("Who@Example.com").unwrap(),
                client,
                site: SiteName::main(),
            },
            _ => Matter::ResetRequested {
                email: Email::parse("Who@Example.com").unwrap(),
                client,
                device: Some(Device::fresh([3; 32]).with(account, Some(now))),
                site: SiteName::parse("wiki").unwrap(),
            },
        };
        let id = fresh_uuid();
        self.letters.push(LetterId::new(id));
        then.and_letter(id, matter, now)
    }

    fn new_key(&mut self, now: Timestamp) -> KeyRecord {
        self.keys += 1;
        KeyRecord {
            kid: format!("key-{:03}", self.keys),
            algorithm: SigningAlgorithm::Es256,
            sealed: vec![1, 2, 3],
            public_jwk: "{}".into(),
            created_at: now,
            retired_at: None,
        }
    }

    async fn see(&self, ports: &Ports) -> Sight {
        let mut tickets = Vec::new();
        for ticket in &self.tickets {
            tickets.push(ports.tickets.find(&ticket.digest).await.unwrap());
        }
        let accounts = ports.accounts.list().await.unwrap();
        let mut credentials = Vec::new();
        for listing in &accounts {
            let name = LoginName::Extension(listing.account.extension.clone());
            credentials.push(ports.accounts.credential(&name).await.unwrap().unwrap().hash);
        }
        Sight {
            accounts,
            credentials,
            sessions: ports.sessions.list(None).await.unwrap(),
            tickets,
            links: ports.tickets.list(None, usize::MAX).await.unwrap(),
            letters: ports.outbox.list(usize::MAX).await.unwrap(),
            dead_addresses: ports.bounces.dead_addresses().await.unwrap(),
            ignored: ports.bounces.ignored().await.unwrap(),
            next_due: ports.outbox.next_due().await.unwrap(),
            events: ports.events.list(EventFilter::newest(usize::MAX)).await.unwrap(),
            api_tokens: ports.tokens.list().await.unwrap(),
            orders: ports.orders.unended().await.unwrap(),
            keys: ports.keys.list().await.unwrap(),
            changes: ports.sessions.changes_since(Some(0)).await.unwrap(),
            newest_change: ports.sessions.changes_since(None).await.unwrap().1,
        }
    }
}

impl Call {
    /// The answer in words.
    async fn make(&self, ports: &Ports) -> String {
        let (accounts, sessions, outbox) = (&ports.accounts, &ports.sessions, &ports.outbox);
        let bounces = &ports.bounces;
        match self {
            Self::Create(account, then) => said(accounts.create(account, then.clone()).await),
            Self::Disable(id, now, then) => said(accounts.disable(*id, *now, then.clone()).await),
            Self::Enable(id, now, then) => said(accounts.enable(*id, *now, then.clone()).await),
            Self::Update(id, edit, now, then) => said(accounts.update(*id, edit, *now, then.clone()).await),
            Self::Remove(id, now, then) => said(accounts.remove(*id, *now, then.clone()).await),
            Self::EndSessions(id, now, then) => said(accounts.end_sessions(*id, *now, then.clone()).await),
            Self::EndOthers(id, keep, now, then) => {
                said(accounts.end_other_sessions(*id, *keep, *now, then.clone()).await)
            }
            Self::ClosePassword(id, set_by, now, then) => {
                said(accounts.close_password(*id, *set_by, *now, then.clone()).await)
            }
            Self::ChangePassword(change, now, then) => said(accounts.change_password(change, *now, then.clone()).await),
            Self::Renew(renewal, now, then) => said(sessions.renew(renewal, *now, then.clone()).await),
            Self::Record(id, then) => said(accounts.record(*id, then.clone()).await),
            Self::Import(batch, now) => said(accounts.import(batch, *now, &|_| {}).await),
            Self::Rehash(id, old, new) => said(accounts.rehash(*id, old, new).await),
            Self::Credential(name) => said(accounts.credential(name).await),
            Self::FindByEmail(email) => said(accounts.find_by_email(email).await),
            Self::Issue(ticket) => said(ports.tickets.issue(ticket).await),
            Self::Redeem(digest, hash, now, then) => said(ports.tickets.redeem(digest, hash, *now, then.clone()).await),
            Self::Open(digest, now, event) => said(ports.tickets.opened(digest, *now, event.clone()).await),
            Self::SweepTickets(before) => said(ports.tickets.sweep(*before).await),
            Self::Begin(session, replaces, most, then) => {
                said(sessions.begin(session, *replaces, &room(*most), then.clone()).await)
            }
            Self::End(id, then) => said(sessions.end(*id, then.clone()).await),
            Self::Touch(seen) => said(sessions.touch(seen).await),
            Self::SweepSessions(begun, seen) => said(sessions.sweep(*begun, *seen).await),
            Self::SweepChanges(before) => said(sessions.sweep_changes(*before).await),
            Self::Accept(then) => said(outbox.accept(then.clone()).await),
            Self::Take(now, most, lease) => said(outbox.take(*now, *most, *lease).await),
            Self::GiveBack => said(outbox.give_back_taken().await),
            Self::Delivered(id, to, now, event) => said(outbox.delivered(*id, to, *now, "250", event.clone()).await),
            Self::Report(id, report, now, event) => said(bounces.note(*id, report, *now, event.clone()).await),
            Self::Ignore(why) => said(bounces.ignore(*why).await),
            Self::Withheld(id, now, event) => said(outbox.withheld(*id, *now, event.clone()).await),
            Self::Failed(id, again_at) => said(outbox.failed(*id, "450", *again_at).await),
            Self::GivenUp(id, now, event) => said(outbox.given_up(*id, *now, "550", event.clone()).await),
            Self::SweepLetters(before) => said(outbox.sweep(*before).await),
            Self::AddToken(token, then) => said(ports.tokens.add(token, then.clone()).await),
            Self::RevokeToken(id, now, then) => said(ports.tokens.revoke(*id, *now, then.clone()).await),
            Self::UseToken(id, used) => said(ports.tokens.used(&[(*id, *used)]).await),
            Self::SweepTokens(before) => said(ports.tokens.sweep(*before).await),
            Self::GiveOrder(order, then) => said(ports.orders.give(order, then.clone()).await),
            Self::EndOrder(id, now, then) => said(ports.orders.end(*id, *now, then.clone()).await),
            Self::SweepOrders(before, bearing) => said(ports.orders.sweep(*before, *bearing).await),
            Self::AddKey(key, then) => said(ports.keys.add(key, then.clone()).await),
            Self::SweepKeys(before) => said(ports.keys.sweep(*before).await),
            Self::ListEvents(filter) => said(ports.events.list(*filter).await),
        }
    }
}

/// One report of many.
fn password_change(hash: impl Fn(usize) -> PasswordHash, which: usize, how: usize, renewal: Renewal) -> PasswordChange {
    PasswordChange {
        old: hash(which),
        new: hash(which + 1),
        renewal,
        end_others: how.is_multiple_of(2),
    }
}

fn report(how: usize) -> Report {
    Report {
        action: [Action::Failed, Action::Delayed, Action::Delivered, Action::Failed][how % 4],
        status: [None, StatusCode::parse("5.1.1"), StatusCode::parse("4.4.7")][how % 3],
        words: how.is_multiple_of(2).then(|| format!("550 {how} '\"")),
    }
}

fn used(at: Timestamp) -> LastUse {
    let client = crate::domain::client::ClientAddr::new("192.0.2.3".parse().unwrap());
    LastUse { at, client }
}

/// One edit of many: each part is mentioned now and then.
fn edit(how: usize) -> AccountEdit {
    AccountEdit {
        name: (how.is_multiple_of(4)).then(|| format!("Name {how}")),
        email: match how % 5 {
            0 => EmailEdit::Remove,
            1 | 2 => EmailEdit::Set(Email::parse(EMAILS[how % 4]).unwrap()),
            _ => EmailEdit::Keep,
        },
        role: [None, Some(Role::User), Some(Role::Admin)][how % 3],
        groups: (how % 7 == 3).then(|| vec![format!("group {how}")]),
        language: (how % 6 == 5).then_some(Language::En),
    }
}

fn said<T: std::fmt::Debug>(answer: Result<T, crate::domain::fault::Fault>) -> String {
    format!("{:?}", answer.unwrap())
}

fn pick<T>(from: &[T], which: usize) -> Option<&T> {
    from.get(which % from.len().max(1))
}

/// Rather one of the last three, which are more likely to be alive.
fn pick_new<T>(from: &[T], which: usize) -> Option<&T> {
    pick(&from[from.len().saturating_sub(3)..], which)
}
