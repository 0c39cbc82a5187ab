//! Works the outbox off: decides whether a letter goes out, makes its link, hands it over.
//!
//! A link's token exists in this file and in the letter, nowhere else: it is made for each attempt,
//! its digest is stored before the letter leaves, and a repeated letter carries a newer link.
//!
//! Only the newest link of an account works, so each reset letter spends the link before it. A stranger could use that
//! up to keep the owner out: ask again whenever she has been sent a link, until she gives up. Therefore a stranger's
//! request sends nothing while a link of a short while ago still works ([`TicketLife::kept_from_strangers`]): that one
//! lies in the mailbox the new one would go to. A request on a device that is known for the account, which no stranger
//! can make, is answered with a new link at once, and that is the one that strangers then leave alone.
//!
//! A link that unlocks a browser leaves at most once an hour for one account ([`unlock::SENT_EVERY`]), however many people
//! ask, and only to an address that is the account's alone.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::account::{Account, AccountId, AccountState, Email, LoginName};
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::event::{Actor, Consequences, Fact, Reason};
use crate::domain::fault::Fault;
use crate::domain::limits::policy::RuleName;
use crate::domain::outbox::{Addressee, Batch, GIVE_UP_AFTER, GIVE_UP_TRIES, Letter, Matter, QueuedLetter, backoff};
use crate::domain::session::{earlier, later};
use crate::domain::ticket::{NEW_PASSWORD_LIFE, Purpose, Ticket, TicketLife, Way};
use crate::domain::token::{TicketToken, UnlockToken};
use crate::domain::unlock::{self, Unlock};
use crate::ports::{Accounts, Content, EmailMatch, Issue, Mail, Mailer, Outbox, Receipt, Refusal, Tickets, Unlocks};

use super::{Alerts, Budget, MailBudget, Pace, StandingOrders, World};

/// Delivers what waits in the outbox.
pub struct DeliverLetters {
    /// What waits.
    pub outbox: Arc<dyn Outbox>,
    /// To whom.
    pub accounts: Arc<dyn Accounts>,
    /// Where links are made.
    pub tickets: Arc<dyn Tickets>,
    /// Where those are made that unlock a browser.
    pub unlocks: Arc<dyn Unlocks>,
    /// The mail server.
    pub mailer: Arc<dyn Mailer>,
    /// Who is banned.
    pub orders: Arc<StandingOrders>,
    /// Time and chance.
    pub world: World,
    /// How long links work.
    pub life: TicketLife,
    /// How many may go out.
    pub budget: MailBudget,
    /// How fast letters of crowds leave.
    pub pace: Pace,
    /// What administrators are told of attacks.
    pub alerts: Alerts,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Handed to the mail server.
    pub delivered: usize,
    /// Not sent, on purpose.
    pub withheld: usize,
    /// To be tried again.
    pub failed: usize,
    /// Failed for good.
    pub given_up: usize,
}

/// What is to be done about a letter.
enum Plan<'a> {
    Send {
        account: Box<Account>,
        to: Email,
    },
    /// The account has been removed, and this address is told of what happened to it before.
    Farewell(&'a Addressee, &'a Email),
    Withhold(Option<Box<Account>>, Reason),
}

/// Why nothing is sent, and to whom not.
type Withheld = (Option<Box<Account>>, Reason);

/// What the link of a letter opens.
enum Pass {
    /// The letter has no link of its own.
    None,
    /// The page to set a password.
    Ticket(TicketToken, Purpose),
    /// The page to unlock a browser; this client asked for it.
    Unlock(UnlockToken, ClientAddr),
}

/// A letter is hidden from other workers for this long while one works on it.
const LEASE: Duration = Duration::from_mins(5);
/// Letters of each kind taken at once.
const BATCH: usize = 8;

impl DeliverLetters {
    /// Works off what is due now, up to one batch. A letter about something that cannot be understood is tried again later,
    /// and holds up no other one.
    ///
    /// # Errors
    /// When the store is down. Letters taken by then are due again when their lease ends.
    pub async fn run_once(&self) -> Result<Delivery, Fault> {
        let mut delivery = Delivery::default();
        let most = Batch {
            others: BATCH,
            paced: self.pace.room(self.world.monotonic(), BATCH),
        };
        for queued in self.outbox.take(self.world.now(), most, LEASE).await? {
            match self.work(&queued, &mut delivery).await {
                Err(fault @ Fault::Corrupt { .. }) => self.put_off(&queued, &fault, &mut delivery).await?,
                worked => worked?,
            }
        }
        Ok(delivery)
    }

    async fn put_off(&self, queued: &QueuedLetter, fault: &Fault, delivery: &mut Delivery) -> Result<(), Fault> {
        tracing::error!(letter = %queued.letter.id, fault = fault.chain(), "what a letter is about cannot be read");
        let refusal = Refusal {
            permanent: false,
            words: "not tried: what it is about cannot be read".to_owned(),
        };
        self.failed(queued, None, &refusal, delivery).await
    }

    async fn work(&self, queued: &QueuedLetter, delivery: &mut Delivery) -> Result<(), Fault> {
        let letter = &queued.letter;
        if let Matter::Campaign { to, campaign } = &letter.matter {
            return match self.alerts.send(letter, to, *campaign, &*self.mailer).await? {
                None => {
                    delivery.withheld += 1;
                    self.withhold(letter, None, Reason::UnknownName).await
                }
                Some(Ok(receipt)) => {
                    delivery.delivered += 1;
                    self.delivered(letter, None, to, &receipt).await
                }
                Some(Err(refusal)) => self.failed(queued, None, &refusal, delivery).await,
            };
        }
        let (account, to) = match self.plan(&letter.matter).await? {
            Plan::Send { account, to } => (account, to),
            Plan::Farewell(reader, to) => return self.farewell(queued, reader, to, delivery).await,
            Plan::Withhold(account, reason) => {
                delivery.withheld += 1;
                return self.withhold(letter, account.as_deref(), reason).await;
            }
        };
        let device = self.own_device(&letter.matter, &account).await?;
        if self.was_sent_an_unlock(letter, &account).await?
            || (device.is_none() && self.has_fresh_link(letter, &account).await?)
        {
            delivery.withheld += 1;
            return self.withhold(letter, Some(&account), Reason::LinkFresh).await;
        }
        if self.has_newer_link(letter, &account).await? {
            delivery.withheld += 1;
            return self.withhold(letter, Some(&account), Reason::LinkReplaced).await;
        }
        let drawn = match self.budget.charge(letter, &account, device, &self.world) {
            Budget::Room(drawn) => drawn,
            Budget::Refused(rule) => {
                delivery.withheld += 1;
                tracing::warn!(letter = %letter.id, %rule, "letter withheld: the budget of letters is used up; see limits.mail_per_account, mail_per_client and mail_per_day");
                return self.withhold(letter, Some(&account), Reason::OverBudget).await;
            }
            Budget::Wait(until, rule) => {
                delivery.failed += 1;
                return self.delay(queued, &account, until, &rule).await;
            }
        };
        if queued.paced {
            self.pace.draw(self.world.monotonic());
        }
        let Some(pass) = self.pass(letter, &account, &to).await? else {
            drawn.give_back();
            delivery.withheld += 1;
            return self.withhold(letter, Some(&account), Reason::Disabled).await;
        };
        let mail = Mail {
            letter: letter.id,
            to: &to,
            reader: (&*account).into(),
            content: self.content(letter, &account, &pass),
            site: letter.matter.site(),
        };
        match self.mailer.send(mail).await {
            Ok(receipt) => {
                drawn.use_up();
                delivery.delivered += 1;
                self.delivered(letter, Some(&account), &to, &receipt).await
            }
            Err(refusal) => {
                drawn.give_back();
                self.failed(queued, Some(&account), &refusal, delivery).await
            }
        }
    }

    /// Tells a former address, whose account has been removed, that letters went elsewhere before.
    async fn farewell(
        &self,
        queued: &QueuedLetter,
        reader: &Addressee,
        to: &Email,
        delivery: &mut Delivery,
    ) -> Result<(), Fault> {
        let letter = &queued.letter;
        let drawn = self.budget.notice();
        if queued.paced {
            self.pace.draw(self.world.monotonic());
        }
        let mail = Mail {
            letter: letter.id,
            to,
            reader: reader.into(),
            content: Content::EmailChanged {
                at: letter.created_at,
                current: false,
            },
            site: None,
        };
        match self.mailer.send(mail).await {
            Ok(receipt) => {
                drawn.use_up();
                delivery.delivered += 1;
                self.delivered(letter, None, to, &receipt).await
            }
            Err(refusal) => {
                drawn.give_back();
                self.failed(queued, None, &refusal, delivery).await
            }
        }
    }

    /// How long the link of a letter works.
    fn life_of(&self, matter: &Matter, purpose: Purpose) -> Duration {
        let life = self.life.of(purpose);
        match matter {
            Matter::NewPassword { .. } => life.max(NEW_PASSWORD_LIFE),
            _ => life,
        }
    }

    /// Decides whom a letter goes to, if anybody.
    async fn plan<'a>(&self, matter: &'a Matter) -> Result<Plan<'a>, Fault> {
        let account = match matter {
            Matter::UnlockRequested { name, .. } => match self.own_address(name).await? {
                Ok(account) => Some(*account),
                Err((account, reason)) => return Ok(Plan::Withhold(account, reason)),
            },
            Matter::ResetRequested { email, .. } => match self.accounts.find_by_email(email).await? {
                EmailMatch::Nobody => None,
                EmailMatch::One(account) => Some(*account),
                EmailMatch::Shared(_) => return Ok(Plan::Withhold(None, Reason::SharedEmail)),
            },
            Matter::Welcome { account }
            | Matter::PasswordChanged { account }
            | Matter::NewDevice { account, .. }
            | Matter::EmailChanged { account, .. }
            | Matter::AccountUnlocked { account }
            | Matter::NewPassword { account } => self.accounts.find(*account).await?,
            Matter::Campaign { .. } => None,
        };
        // A change of the address is told whatever became of the account since then: whoever changes both, to keep the
        // owner in the dark, does not.
        let Some(account) = account.map(Box::new) else {
            return Ok(match matter {
                Matter::EmailChanged {
                    to,
                    reader: Some(reader),
                    ..
                } => Plan::Farewell(reader, to),
                _ => Plan::Withhold(None, Reason::UnknownName),
            });
        };
        let always = matches!(matter, Matter::EmailChanged { .. });
        if account.state == AccountState::Disabled && !always {
            return Ok(Plan::Withhold(Some(account), Reason::Disabled));
        }
        if matter.asked_by().is_some() && self.orders.bans_account(account.id) {
            return Ok(Plan::Withhold(Some(account), Reason::Banned));
        }
        if matches!(matter, Matter::Welcome { .. }) && account.state == AccountState::Active {
            return Ok(Plan::Withhold(Some(account), Reason::AlreadyActive));
        }
        let for_sign_in = matches!(matter, Matter::AccountUnlocked { .. } | Matter::UnlockRequested { .. });
        if for_sign_in && account.state == AccountState::Invited {
            // There is no password to sign in with yet; a Welcome letter is what helps.
            return Ok(Plan::Withhold(Some(account), Reason::NeverActivated));
        }
        if matches!(matter, Matter::NewPassword { .. }) {
            if account.state == AccountState::Active {
                return Ok(Plan::Withhold(Some(account), Reason::AlreadyActive));
            }
            // A link that others can open would let them set the password.
            if let Some(email) = &account.email
                && let EmailMatch::Shared(_) = self.accounts.find_by_email(email).await?
            {
                return Ok(Plan::Withhold(Some(account), Reason::SharedEmail));
            }
        }
        let to = match matter {
            Matter::EmailChanged { to, .. } => Some(to.clone()),
            _ => account.email.clone(),
        };
        Ok(match to {
            Some(to) => Plan::Send { account, to },
            None => Plan::Withhold(Some(account), Reason::NoEmail),
        })
    }

    /// The account of this name, provided that it has an address that nobody shares.
    async fn own_address(&self, name: &LoginName) -> Result<Result<Box<Account>, Withheld>, Fault> {
        let account = match name {
            LoginName::Extension(extension) => self.accounts.find_by_extension(extension).await?.map(Box::new),
            LoginName::Email(email) => match self.accounts.find_by_email(email).await? {
                EmailMatch::Nobody => None,
                EmailMatch::One(account) => Some(account),
                EmailMatch::Shared(_) => return Ok(Err((None, Reason::SharedEmail))),
            },
        };
        let Some(account) = account else {
            return Ok(Err((None, Reason::UnknownName)));
        };
        let Some(email) = &account.email else {
            return Ok(Err((Some(account), Reason::NoEmail)));
        };
        Ok(match self.accounts.find_by_email(email).await? {
            EmailMatch::Shared(_) => Err((Some(account), Reason::SharedEmail)),
            EmailMatch::One(_) | EmailMatch::Nobody => Ok(account),
        })
    }

    /// The device a reset was asked for on, when it is one of the account's own.
    async fn own_device<'a>(&self, matter: &'a Matter, account: &Account) -> Result<Option<&'a Device>, Fault> {
        let Matter::ResetRequested {
            device: Some(device), ..
        } = matter
        else {
            return Ok(None);
        };
        let name = LoginName::Extension(account.extension.clone());
        let credential = self.accounts.credential(&name).await?;
        let known = credential.is_some_and(|credential| {
            credential.account.id == account.id && device.knows(account.id, credential.password_set_at)
        });
        Ok(known.then_some(device))
    }

    /// Whether the account was sent a link that unlocks a browser a short while ago.
    async fn was_sent_an_unlock(&self, letter: &Letter, account: &Account) -> Result<bool, Fault> {
        if !matches!(letter.matter, Matter::UnlockRequested { .. }) {
            return Ok(false);
        }
        let since = earlier(self.world.now(), unlock::SENT_EVERY);
        self.unlocks.sent_since(account.id, since, letter.id).await
    }

    /// Whether a reset would needlessly spend a link that somebody holds, or is about to be sent.
    async fn has_fresh_link(&self, letter: &Letter, account: &Account) -> Result<bool, Fault> {
        if !matches!(letter.matter, Matter::ResetRequested { .. }) {
            return Ok(false);
        }
        let now = self.world.now();
        let since = earlier(now, self.life.kept_from_strangers());
        self.tickets.stands(account.id, since, now, letter.id).await
    }

    /// Whether an operator's Welcome has waited so long that a link made since then works: on paper, or in a letter
    /// asked for later. What was wished last counts, and its link is not spent by an older wish.
    async fn has_newer_link(&self, letter: &Letter, account: &Account) -> Result<bool, Fault> {
        if !matches!(letter.matter, Matter::Welcome { .. }) {
            return Ok(false);
        }
        self.tickets
            .stands(account.id, letter.created_at, self.world.now(), letter.id)
            .await
    }

    /// What the letter's link opens; `None` when the account was disabled or removed a moment ago.
    async fn pass(&self, letter: &Letter, account: &Account, to: &Email) -> Result<Option<Pass>, Fault> {
        if let Matter::UnlockRequested { client, .. } = &letter.matter {
            let token = self.unlock(letter, account, to).await?;
            return Ok(token.map(|token| Pass::Unlock(token, *client)));
        }
        match purpose(&letter.matter, Some(account)) {
            None => Ok(Some(Pass::None)),
            Some(purpose) => {
                let token = self.ticket(letter, account, purpose).await?;
                Ok(token.map(|token| Pass::Ticket(token, purpose)))
            }
        }
    }

    fn content<'a>(&self, letter: &'a Letter, account: &Account, pass: &'a Pass) -> Content<'a> {
        match pass {
            Pass::None => notice(letter, account),
            Pass::Ticket(token, purpose) => {
                let life = self.life_of(&letter.matter, *purpose);
                match (&letter.matter, purpose) {
                    (Matter::NewPassword { .. }, _) => Content::NewPassword {
                        token,
                        life,
                        at: letter.created_at,
                    },
                    (_, Purpose::Welcome) => Content::Welcome { token, life },
                    (_, Purpose::Reset) => Content::Reset { token, life },
                }
            }
            Pass::Unlock(token, client) => Content::BrowserUnlock {
                token,
                life: unlock::LIFE,
                at: letter.created_at,
                client: *client,
            },
        }
    }

    /// Makes the token of a link that unlocks a browser and stores its digest, before the letter leaves.
    async fn unlock(&self, letter: &Letter, account: &Account, to: &Email) -> Result<Option<UnlockToken>, Fault> {
        let token = UnlockToken::from_entropy(self.world.token());
        let now = self.world.now();
        let unlock = Unlock {
            digest: token.digest(),
            account: account.id,
            letter: letter.id,
            sent_to: to.clone(),
            created_at: now,
            expires_at: later(now, unlock::LIFE),
            ended_at: None,
        };
        Ok(self.unlocks.issue(&unlock).await?.then_some(token))
    }

    /// Makes the link's token and stores its digest, before the letter leaves.
    async fn ticket(&self, letter: &Letter, account: &Account, purpose: Purpose) -> Result<Option<TicketToken>, Fault> {
        let token = TicketToken::from_entropy(self.world.token());
        let now = self.world.now();
        let ticket = Ticket {
            digest: token.digest(),
            account: account.id,
            purpose,
            way: Some(Way::Letter(letter.id)),
            created_at: now,
            expires_at: later(now, self.life_of(&letter.matter, purpose)),
            ended: None,
        };
        Ok(match self.tickets.issue(&ticket).await? {
            Issue::Done => Some(token),
            Issue::NoAccount => None,
        })
    }

    async fn delivered(
        &self,
        letter: &Letter,
        account: Option<&Account>,
        to: &Email,
        receipt: &Receipt,
    ) -> Result<(), Fault> {
        let fact = purpose(&letter.matter, account).map_or(Fact::NoticeSent(letter.matter.as_str()), Fact::LinkSent);
        let id = account.map(|account| account.id).or(letter.matter.account());
        let event = self.world.event(Actor::Gateway, None, id, fact);
        let account = id.as_ref().map(tracing::field::display::<&AccountId>);
        tracing::info!(letter = %letter.id, matter = letter.matter.as_str(), account, "letter handed to the mail server");
        self.outbox
            .delivered(letter.id, to, self.world.now(), &receipt.words, event)
            .await
    }

    /// Lets a letter wait for its turn; recorded when it begins to.
    async fn delay(
        &self,
        queued: &QueuedLetter,
        account: &Account,
        until: Timestamp,
        rule: &RuleName,
    ) -> Result<(), Fault> {
        let letter = &queued.letter;
        tracing::warn!(letter = %letter.id, %rule, %until, "letter waits: the budget of letters is used up; see limits.mail_per_account");
        if queued.attempts == 0
            && let Some(purpose) = purpose(&letter.matter, Some(account))
        {
            let fact = Fact::LinkDelayed(purpose);
            let event = self.world.event(Actor::Gateway, None, Some(account.id), fact);
            self.outbox.accept(Consequences::event(event)).await?;
        }
        let words = format!("not tried: {rule} is used up");
        self.outbox.failed(letter.id, &words, until).await
    }

    async fn withhold(&self, letter: &Letter, account: Option<&Account>, reason: Reason) -> Result<(), Fault> {
        let matter = letter.matter.as_str();
        let client = match &letter.matter {
            Matter::NewDevice { client, .. } => Some(*client),
            matter => matter.asked_by(),
        };
        if reason == Reason::SharedEmail {
            tracing::warn!(letter = %letter.id, matter, "letter withheld: several accounts share the address; give each its own, or remove the one nobody uses");
        } else {
            tracing::info!(letter = %letter.id, matter, reason = reason.as_str(), "letter withheld");
        }
        let fact = purpose(&letter.matter, account).map_or(Fact::NoticeWithheld(matter, reason), |purpose| {
            Fact::LinkWithheld(purpose, reason)
        });
        let event = self
            .world
            .event(Actor::Gateway, client, account.map(|account| account.id), fact);
        self.outbox.withheld(letter.id, self.world.now(), event).await
    }

    async fn failed(
        &self,
        queued: &QueuedLetter,
        account: Option<&Account>,
        refusal: &Refusal,
        delivery: &mut Delivery,
    ) -> Result<(), Fault> {
        let (letter, now) = (&queued.letter, self.world.now());
        let matter = letter.matter.as_str();
        if refusal.permanent || is_over(queued, now, self.life) {
            delivery.given_up += 1;
            tracing::warn!(letter = %letter.id, matter, words = refusal.words, "letter given up");
            let id = account.map(|account| account.id).or(letter.matter.account());
            let event = self.world.event(Actor::Gateway, None, id, Fact::LetterGivenUp(matter));
            return self.outbox.given_up(letter.id, now, &refusal.words, event).await;
        }
        delivery.failed += 1;
        let wait = backoff(queued.attempts.saturating_add(1));
        tracing::warn!(letter = %letter.id, matter, words = refusal.words, wait = ?wait, "letter not delivered; it is tried again");
        self.outbox.failed(letter.id, &refusal.words, later(now, wait)).await
    }
}

/// Which link a letter carries. Whoever was invited and asks for a reset has no password to forget: another Welcome
/// is what helps, and a stranger who asks in their name takes no days off the link they have.
fn purpose(matter: &Matter, account: Option<&Account>) -> Option<Purpose> {
    match (matter, account.map(|account| account.state)) {
        (Matter::ResetRequested { .. }, Some(AccountState::Invited)) => Some(Purpose::Welcome),
        (matter, _) => matter.purpose(),
    }
}

/// A reset nobody could deliver for a day is of no use to anybody; other letters wait as long as RFC 5321 asks.
fn is_over(queued: &QueuedLetter, now: Timestamp, life: TicketLife) -> bool {
    let letter = &queued.letter;
    let (patience, tries) = match letter.matter {
        Matter::ResetRequested { .. } => (life.reset.max(Duration::from_hours(24)), 0),
        // By then whoever was stopped has waited long enough.
        Matter::UnlockRequested { .. } => (unlock::LIFE, 0),
        Matter::Welcome { .. }
        | Matter::PasswordChanged { .. }
        | Matter::NewDevice { .. }
        | Matter::EmailChanged { .. }
        | Matter::AccountUnlocked { .. }
        | Matter::NewPassword { .. }
        | Matter::Campaign { .. } => (GIVE_UP_AFTER, GIVE_UP_TRIES),
    };
    queued.attempts >= tries && now >= later(letter.created_at, patience)
}

/// What a letter without a link says.
fn notice<'a>(letter: &'a Letter, account: &Account) -> Content<'a> {
    let at = letter.created_at;
    match &letter.matter {
        Matter::NewDevice { client, user_agent, .. } => Content::NewDevice {
            at,
            client: *client,
            user_agent,
        },
        Matter::EmailChanged { to, .. } => Content::EmailChanged {
            at,
            // Judged when the letter is written: by then the address may have changed again.
            current: account.email.as_ref() == Some(to),
        },
        Matter::AccountUnlocked { .. } => Content::AccountUnlocked { at },
        Matter::PasswordChanged { .. }
        | Matter::Welcome { .. }
        | Matter::ResetRequested { .. }
        | Matter::NewPassword { .. }
        | Matter::Campaign { .. }
        | Matter::UnlockRequested { .. } => Content::PasswordChanged { at },
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use sqlx::{ConnectOptions, query, sqlite::SqliteConnectOptions};
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{Extension, Role};
    use crate::domain::campaigns::{Campaign, CampaignId, Success};
    use crate::domain::language::Language;
    use crate::domain::limits::attempt::Attempt;
    use crate::domain::limits::ledger::Draw;
    use crate::domain::limits::policy::KeyKind;
    use crate::domain::limits::{NameDigest, Nanos};
    use crate::domain::outbox::LetterId;
    use crate::domain::password::Password;
    use crate::domain::session::tests::{account, at};
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{CampaignBook, Clock, Entropy, Hand, Limiter, Ruling, Stopped};
    use crate::store::SqliteStore;

    /// It is always this late.
    struct Late;

    impl Clock for Late {
        fn now(&self) -> Timestamp {
            at(9)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1 << 50)
        }
    }

    impl Entropy for Late {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    /// Letters about attacks draw on no budget.
    impl Limiter for Late {
        fn knock(&self, _: &Attempt, _: Option<AccountId>) -> Option<Stopped> {
            unreachable!("nobody knocks")
        }

        fn attempt(&self, _: Attempt, _: Option<AccountId>) -> Ruling {
            unreachable!("nobody tries")
        }

        fn draw(&self, _: Vec<Draw>) -> Ruling {
            unreachable!("nothing is drawn")
        }

        fn counts_by(&self, _: &RuleName) -> Option<KeyKind> {
            None
        }

        fn digest_text(&self, _: &str) -> NameDigest {
            NameDigest(0, 0)
        }

        fn digest_password(&self, _: &Password) -> NameDigest {
            NameDigest(0, 0)
        }
    }

    /// Notes the attack that each letter is about, whom it names, and how many others.
    #[derive(Default)]
    struct Noting(Mutex<Vec<(CampaignId, Vec<String>, usize)>>);

    #[async_trait]
    impl Mailer for Noting {
        async fn send(&self, mail: Mail<'_>) -> Result<Receipt, Refusal> {
            let Content::Campaign(alert) = mail.content else {
                unreachable!("there are letters about attacks alone")
            };
            let named = alert.entries.iter().map(|entry| entry.person.clone()).collect();
            self.0.lock().push((alert.campaign.id, named, alert.others.len()));
            Ok(Receipt { words: "ok".into() })
        }
    }

    async fn open() -> (TempDir, Arc<SqliteStore>) {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        (directory, Arc::new(store))
    }

    /// Writes past the store into its file.
    async fn damage(directory: &TempDir, statement: &'static str) {
        let file = SqliteConnectOptions::new().filename(directory.path().join("sekisho.db"));
        query(statement)
            .execute(&mut file.connect().await.unwrap())
            .await
            .unwrap();
    }

    fn post(store: &Arc<SqliteStore>, mailer: &Arc<Noting>) -> DeliverLetters {
        let world = World::new(Arc::new(Late), Arc::new(Late));
        DeliverLetters {
            outbox: store.clone(),
            accounts: store.clone(),
            tickets: store.clone(),
            unlocks: store.clone(),
            mailer: mailer.clone(),
            orders: Arc::new(StandingOrders::new(store.clone(), world.clone())),
            world,
            life: TicketLife::default(),
            budget: MailBudget::new(Arc::new(Late), None),
            pace: Pace::new("60 per 1m".parse().unwrap()),
            alerts: Alerts {
                accounts: store.clone(),
                campaigns: store.clone(),
                to: Vec::new(),
                language: Language::En,
                closes: false,
            },
        }
    }

    fn email(number: u128) -> Email {
        Email::parse(&format!("{number}@example.com")).unwrap()
    }

    async fn hire(store: &SqliteStore, number: u128) -> AccountId {
        let hired = Account {
            id: AccountId::new(Uuid::from_u128(number)),
            extension: Extension::parse(&number.to_string()).unwrap(),
            email: Some(email(number)),
            role: Role::Admin,
            ..account()
        };
        store.create(&hired, Consequences::default()).await.unwrap();
        hired.id
    }

    /// An attack that got into this account, and the letter about it.
    async fn succeed(store: &SqliteStore, person: AccountId, after: Option<CampaignId>, second: i64) -> CampaignId {
        let sample = Campaign::sample(true, at(0));
        let id = CampaignId::after(after, at(0));
        let success = Success {
            person,
            ..sample.successes[0]
        };
        let attack = Campaign {
            id,
            successes: vec![success],
            told_at: Some(at(second)),
            ..sample
        };
        let letter = Letter {
            id: LetterId::new(Uuid::from_u128(u128::from(second.unsigned_abs()))),
            matter: Matter::Campaign {
                to: email(101),
                campaign: id,
            },
            created_at: at(second),
        };
        let then = Consequences {
            letters: vec![letter],
            ..Consequences::default()
        };
        store.put(&[attack], then).await.unwrap();
        id
    }

    #[tokio::test]
    async fn an_administrator_who_cannot_be_read_keeps_no_other_one_from_being_told_of_an_attack() {
        let (directory, store) = open().await;
        for number in [101, 102, 103] {
            hire(&store, number).await;
        }
        damage(&directory, "UPDATE accounts SET state = 'active'").await;
        damage(
            &directory,
            "UPDATE accounts SET language = 'xx' WHERE extension = '102'",
        )
        .await;
        let receivers = post(&store, &Arc::default()).alerts.receivers().await.unwrap();
        assert_eq!(receivers, [email(101), email(103)]);
    }

    /// Takes nothing.
    struct Refusing;

    #[async_trait]
    impl Mailer for Refusing {
        async fn send(&self, _: Mail<'_>) -> Result<Receipt, Refusal> {
            Err(Refusal {
                permanent: false,
                words: "its certificate has expired".into(),
            })
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_for_a_while_loses_no_letter_and_one_that_nobody_takes_is_given_up() {
        let (_directory, store) = open().await;
        let person = hire(&store, 101).await;
        let attack = succeed(&store, person, None, 4).await;
        let (mailer, clock) = (Arc::<Noting>::default(), Hand::at(400 * 24 * 60 * 60));
        let world = World::new(clock.clone(), clock.clone());
        let refused = DeliverLetters {
            mailer: Arc::new(Refusing),
            world: world.clone(),
            ..post(&store, &mailer)
        };
        let delivery = refused.run_once().await.unwrap();
        assert_eq!((delivery.failed, delivery.given_up), (1, 0));
        clock.set(60);
        let again = DeliverLetters {
            world,
            ..post(&store, &mailer)
        };
        assert_eq!(again.run_once().await.unwrap(), Delivery::default());
        assert_eq!(store.recall(at(60), at(24 * 60 * 60)).await.unwrap(), 1);
        assert_eq!(again.run_once().await.unwrap().delivered, 1);
        assert_eq!(mailer.0.lock()[0].0, attack);
        succeed(&store, person, Some(attack), 61).await;
        clock.set(5 * 24 * 60 * 60);
        let mut tries = 0;
        while refused.run_once().await.unwrap().given_up == 0 {
            tries += 1;
            clock.set(5 * 24 * 60 * 60 + tries * 900);
            assert!(tries < 99, "it is tried for ever");
        }
        assert_eq!(tries, i64::from(GIVE_UP_TRIES));
    }

    #[tokio::test]
    async fn a_letter_that_cannot_be_read_holds_up_no_other_one() {
        let (directory, store) = open().await;
        let person = hire(&store, 101).await;
        let torn = succeed(&store, person, None, 4).await;
        let whole = succeed(&store, person, Some(torn), 5).await;
        damage(
            &directory,
            "UPDATE letters SET matter = 'pigeon' WHERE created_at = (SELECT min(created_at) FROM letters)",
        )
        .await;
        let (mailer, now) = (Arc::<Noting>::default(), Late.now());
        let post = post(&store, &mailer);
        assert_eq!(post.run_once().await.unwrap().delivered, 1);
        assert_eq!(mailer.0.lock()[0].0, whole);
        assert_eq!(post.run_once().await.unwrap(), Delivery::default());
        let due = store.next_due().await.unwrap();
        assert_eq!(
            due,
            Some(later(now, LEASE)),
            "it is looked at again, and not all the time"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_left_out_of_letters_about_attacks_and_holds_up_no_other_one() {
        let (directory, store) = open().await;
        let person = hire(&store, 101).await;
        let torn = succeed(&store, person, None, 4).await;
        let whole = succeed(&store, person, Some(torn), 5).await;
        damage(&directory, "UPDATE accounts SET language = 'xx'").await;
        damage(
            &directory,
            "UPDATE campaigns SET record_json = '{\"told_at\":\"2027-01-15T08:00:05Z\"}' \
             WHERE id = (SELECT min(id) FROM campaigns)",
        )
        .await;
        let mailer = Arc::<Noting>::default();
        let delivery = post(&store, &mailer).run_once().await.unwrap();
        assert_eq!((delivery.delivered, delivery.failed), (1, 1));
        assert_eq!(*mailer.0.lock(), [(whole, vec![person.to_string()], 0)]);
    }

    #[tokio::test]
    async fn a_letter_about_an_attack_that_cannot_be_read_is_about_the_others_that_it_stands_for() {
        let (directory, store) = open().await;
        let person = hire(&store, 101).await;
        let torn = succeed(&store, person, None, 4).await;
        let mut last = torn;
        for _ in 0..3 {
            last = CampaignId::after(Some(last), at(0));
            let other = Campaign {
                id: last,
                told_at: Some(at(4)),
                ..Campaign::sample(true, at(0))
            };
            store.put(&[other], Consequences::default()).await.unwrap();
        }
        damage(
            &directory,
            "UPDATE campaigns SET record_json = replace(record_json, 'stopped', 'paused') \
             WHERE id IN (SELECT id FROM campaigns ORDER BY id LIMIT 2)",
        )
        .await;
        let mailer = Arc::<Noting>::default();
        assert_eq!(post(&store, &mailer).run_once().await.unwrap().delivered, 1);
        let told = mailer.0.lock().pop().unwrap();
        assert_eq!((told.0 > torn, told.2), (true, 1), "those that can be read");
    }
}
