//! The life of links, for an operator: which were queued, handed over, opened, used, expired, replaced. The links
//! themselves are nowhere; the one exception is a page printed for somebody without a mailbox.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::account::{Account, AccountId, AccountState, Extension, Field};
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;
use crate::domain::outbox::{LetterId, Matter};
use crate::domain::session::later;
use crate::domain::ticket::{Purpose, Ticket, TicketLife, TicketState, Way};
use crate::domain::token::TicketToken;
use crate::ports::{Accounts, EventFilter, Events, Issue, LetterListing, LetterStatus, Outbox, TicketListing, Tickets};

use super::World;

/// One link, or a letter that has none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose password it may set; `None` for a request that was never found to be anybody's.
    pub account: Option<AccountId>,
    /// Why it was made, or asked for.
    pub purpose: Purpose,
    /// When it was made, or asked for.
    pub at: Timestamp,
    /// Where it stands.
    pub stage: Stage,
    /// The right to set a password, once it was made.
    pub ticket: Option<TicketListing>,
    /// The letter that carries it, while it is kept.
    pub letter: Option<LetterListing>,
}

/// Where a link stands, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The letter waits to be handed over.
    Queued,
    /// It was decided that no letter goes out; the event says why.
    Withheld,
    /// The letter was given up, with the mail server's words.
    Undelivered,
    /// The letter was taken by the mail server and reported as undeliverable then. The link works: a report can be
    /// wrong or forged by whoever got the letter, and the person may have it in another way.
    Bounced,
    /// Handed to the mail server; it works.
    Sent,
    /// On a printed page, to be handed over; it works.
    Printed,
    /// Opened at least once; it works.
    Opened,
    /// It has set a password.
    Used,
    /// Its time is over.
    Expired,
    /// A newer one took its place, or the account changed under it.
    Replaced,
    /// A password was set in another way.
    Overtaken,
}

impl Stage {
    /// The stable name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Withheld => "withheld",
            Self::Undelivered => "undelivered",
            Self::Bounced => "bounced",
            Self::Sent => "sent",
            Self::Printed => "printed",
            Self::Opened => "opened",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Overtaken => "overtaken",
        }
    }
}

/// What became of the wish to print a link.
#[derive(Debug)]
pub enum Printing {
    /// Here it is, for once.
    Done {
        /// For whom.
        account: Box<Account>,
        /// The right to set the first password: neither stored nor shown again.
        token: TicketToken,
        /// Until when it works.
        expires_at: Timestamp,
    },
    /// There is no such account.
    NotFound,
    /// The account is disabled.
    Disabled(Box<Account>),
    /// The account has a password.
    AlreadyActive(Box<Account>),
}

/// Looks after links.
pub struct LinkOffice {
    /// People's records.
    pub accounts: Arc<dyn Accounts>,
    /// The rights in links.
    pub tickets: Arc<dyn Tickets>,
    /// The letters that carry them.
    pub outbox: Arc<dyn Outbox>,
    /// Where a printed link is recorded.
    pub events: Arc<dyn Events>,
    /// Time and chance.
    pub world: World,
    /// How long links work.
    pub life: TicketLife,
}

impl LinkOffice {
    /// The links of one account or of all, newest first, at most `most`.
    pub async fn list(&self, account: Option<AccountId>, most: usize) -> Result<Vec<Link>, Fault> {
        let letters = self.outbox.list(usize::MAX).await?;
        let tickets = self.tickets.list(account, most).await?;
        let now = self.world.now();
        let mut by_id: HashMap<LetterId, LetterListing> =
            letters.into_iter().map(|letter| (letter.letter.id, letter)).collect();
        let mut links = Vec::new();
        let mut carried = Vec::new();
        for ticket in tickets {
            let letter = match ticket.ticket.way {
                Some(Way::Letter(id)) => {
                    carried.push(id);
                    by_id.get(&id).cloned()
                }
                Some(Way::Page) | None => None,
            };
            links.push(Link::made(ticket, letter, now));
        }
        for id in carried {
            by_id.remove(&id);
        }
        let mut others: Vec<Link> = by_id.into_values().filter_map(Link::asked_for).collect();
        // Whose a reset was, only the events tell.
        others.retain(|link| account.is_none() || link.account.is_none() || link.account == account);
        self.recall(&mut others).await?;
        links.extend(
            others
                .into_iter()
                .filter(|link| account.is_none() || link.account == account),
        );
        links.sort_by_key(|link| {
            (
                std::cmp::Reverse(link.at),
                link.letter.as_ref().map(|letter| letter.letter.id.to_string()),
            )
        });
        links.truncate(most);
        Ok(links)
    }

    /// Tells from the events what became of links whose letter is kept and whose ticket is not: a backup has letters and
    /// events, and no tickets.
    async fn recall(&self, links: &mut [Link]) -> Result<(), Fault> {
        let gone = |link: &Link| link.stage == Stage::Expired;
        let Some(since) = links.iter().filter(|link| gone(link)).map(|link| link.at).min() else {
            return Ok(());
        };
        let filter = EventFilter {
            since: Some(since),
            ..EventFilter::newest(usize::MAX)
        };
        let past = Past::of(self.events.list(filter).await?);
        for link in links.iter_mut().filter(|link| gone(link)) {
            link.recall(&past, self.life);
        }
        Ok(())
    }

    /// Makes a Welcome link to be handed over on paper; earlier links of the account stop working. It is recorded
    /// before it exists, so that no link is ever out that nobody knows of.
    pub async fn print(&self, extension: &Extension) -> Result<Printing, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(Printing::NotFound);
        };
        let account = Box::new(account);
        match account.state {
            AccountState::Disabled => return Ok(Printing::Disabled(account)),
            AccountState::Active => return Ok(Printing::AlreadyActive(account)),
            AccountState::Invited => {}
        }
        let (purpose, now) = (Purpose::Welcome, self.world.now());
        let printed = Fact::LinkPrinted(purpose);
        let event = self.world.event(Actor::Operator, None, Some(account.id), printed);
        self.events.append(&[event]).await?;
        let token = TicketToken::from_entropy(self.world.token());
        let expires_at = later(now, self.life.of(purpose));
        let ticket = Ticket {
            digest: token.digest(),
            account: account.id,
            purpose,
            way: Some(Way::Page),
            created_at: now,
            expires_at,
            ended: None,
        };
        Ok(match self.tickets.issue(&ticket).await? {
            Issue::Done => Printing::Done {
                account,
                token,
                expires_at,
            },
            Issue::NoAccount => Printing::NotFound,
        })
    }
}

impl Link {
    fn made(ticket: TicketListing, letter: Option<LetterListing>, now: Timestamp) -> Self {
        Self {
            account: Some(ticket.ticket.account),
            purpose: ticket.ticket.purpose,
            at: ticket.ticket.created_at,
            stage: stage(&ticket, letter.as_ref(), now),
            ticket: Some(ticket),
            letter,
        }
    }

    /// A letter without a link so far, when it is one that gets a link.
    fn asked_for(letter: LetterListing) -> Option<Self> {
        let account = match letter.letter.matter {
            Matter::Welcome { account } => Some(account),
            _ => None,
        };
        Some(Self {
            account,
            purpose: letter.letter.matter.purpose()?,
            at: letter.letter.created_at,
            stage: match letter.status {
                LetterStatus::Waiting(_) => Stage::Queued,
                LetterStatus::Withheld(_) => Stage::Withheld,
                LetterStatus::GivenUp(_) => Stage::Undelivered,
                LetterStatus::Bounced(_) => Stage::Bounced,
                // Its ticket was swept, or was in no backup.
                LetterStatus::Delivered(_) => Stage::Expired,
            },
            ticket: None,
            letter: Some(letter),
        })
    }

    /// Finds in the events whose link was handed over then, and how it ended.
    fn recall(&mut self, past: &Past, life: TicketLife) {
        let Some(LetterStatus::Delivered(handed)) = self.letter.as_ref().map(|letter| letter.status) else {
            return;
        };
        let Some((place, own, purpose)) = past.sent_by(handed, self.account) else {
            return;
        };
        self.account = own.account;
        let over = later(own.at, life.of(purpose));
        if let Some((at, stage)) = past.end_after(place, own.account)
            && at < over
        {
            self.stage = stage;
        }
    }
}

/// The events that tell of links, the oldest first.
struct Past {
    events: Vec<Event>,
    /// Where those of each account stand.
    of: HashMap<AccountId, Vec<usize>>,
    /// Where backups were restored, which ends every link.
    restored: Vec<usize>,
}

impl Past {
    /// From events, the newest first.
    fn of(mut events: Vec<Event>) -> Self {
        events.retain(|event| end_of_link(&event.fact).is_some());
        events.reverse();
        let mut of: HashMap<AccountId, Vec<usize>> = HashMap::new();
        let mut restored = Vec::new();
        for (place, event) in events.iter().enumerate() {
            match (event.account, &event.fact) {
                (_, Fact::BackupRestored) => restored.push(place),
                (Some(account), _) => of.entry(account).or_default().push(place),
                (None, _) => {}
            }
        }
        Self { events, of, restored }
    }

    /// The last link that was sent by then, to this account if it is known. One letter is handed over at a time, and the
    /// event is made just before the letter is noted.
    fn sent_by(&self, handed: Timestamp, account: Option<AccountId>) -> Option<(usize, &Event, Purpose)> {
        let by_then = self.events.partition_point(|event| event.at <= handed);
        let sent = |place: usize| {
            let event = self.events.get(place)?;
            match event.fact {
                Fact::LinkSent(purpose) => Some((place, event, purpose)),
                _ => None,
            }
        };
        match account {
            Some(account) => {
                let own = self.of.get(&account)?;
                let known = own.partition_point(|place| *place < by_then);
                own.iter().take(known).rev().find_map(|place| sent(*place))
            }
            None => (0..by_then).rev().find_map(sent),
        }
    }

    /// What first ended the links of this account after this place, and when.
    fn end_after(&self, place: usize, account: Option<AccountId>) -> Option<(Timestamp, Stage)> {
        let own = account.and_then(|account| self.of.get(&account));
        let next = |places: &[usize]| places.get(places.partition_point(|at| *at <= place)).copied();
        let first = own
            .and_then(|own| next(own))
            .into_iter()
            .chain(next(&self.restored))
            .min()?;
        let event = self.events.get(first)?;
        Some((event.at, end_of_link(&event.fact)?))
    }
}

/// How a link ends by what happens to its account.
fn end_of_link(fact: &Fact) -> Option<Stage> {
    match fact {
        Fact::PasswordSet(_) => Some(Stage::Used),
        Fact::PasswordChanged | Fact::PasswordImported => Some(Stage::Overtaken),
        Fact::LinkSent(_) | Fact::LinkPrinted(_) | Fact::AccountDisabled | Fact::AccountRemoved => {
            Some(Stage::Replaced)
        }
        Fact::BackupRestored => Some(Stage::Expired),
        Fact::AccountChanged(fields) if fields.contains(&Field::Email) => Some(Stage::Replaced),
        _ => None,
    }
}

fn stage(ticket: &TicketListing, letter: Option<&LetterListing>, now: Timestamp) -> Stage {
    match ticket.ticket.state_at(now) {
        TicketState::Used => Stage::Used,
        TicketState::Replaced => Stage::Replaced,
        TicketState::Overtaken => Stage::Overtaken,
        TicketState::Expired => Stage::Expired,
        // Somebody has it, whatever the mail server said last.
        TicketState::Live if ticket.openings > 0 => Stage::Opened,
        TicketState::Live if ticket.ticket.way == Some(Way::Page) => Stage::Printed,
        TicketState::Live => match letter.map(|letter| letter.status) {
            Some(LetterStatus::Waiting(_)) => Stage::Queued,
            Some(LetterStatus::GivenUp(_)) => Stage::Undelivered,
            Some(LetterStatus::Withheld(_)) => Stage::Withheld,
            Some(LetterStatus::Bounced(_)) => Stage::Bounced,
            Some(LetterStatus::Delivered(_)) | None => Stage::Sent,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::account::Email;
    use crate::domain::client::ClientAddr;
    use crate::domain::event::Reason;
    use crate::domain::outbox::Letter;
    use crate::domain::session::tests::{account, at};
    use crate::domain::site::SiteName;
    use crate::domain::ticket::TicketEnd;
    use crate::domain::token::TokenDigest;

    fn listing(ended: Option<TicketEnd>, openings: u32) -> TicketListing {
        TicketListing {
            ticket: Ticket {
                digest: TokenDigest::from_bytes([1; 32]),
                account: account().id,
                purpose: Purpose::Welcome,
                way: Some(Way::Letter(LetterId::new(Uuid::from_u128(1)))),
                created_at: at(0),
                expires_at: later(at(0), Duration::from_secs(10)),
                ended,
            },
            openings,
            opened_at: None,
            ended_at: None,
        }
    }

    fn letter(status: LetterStatus) -> LetterListing {
        LetterListing {
            letter: Letter {
                id: LetterId::new(Uuid::from_u128(1)),
                matter: Matter::Welcome { account: account().id },
                created_at: at(0),
            },
            status,
            attempts: 0,
            words: None,
            paced: true,
            sent_to: None,
            bounce: None,
        }
    }

    #[test]
    fn a_link_passes_through_the_stages_of_its_life() {
        let (waiting, delivered) = (
            letter(LetterStatus::Waiting(at(0))),
            letter(LetterStatus::Delivered(at(1))),
        );
        let given_up = letter(LetterStatus::GivenUp(at(2)));
        let bounced = letter(LetterStatus::Bounced(at(2)));
        let live = listing(None, 0);
        for (ticket, letter, second, wanted) in [
            (&live, Some(&waiting), 1, Stage::Queued),
            (&live, Some(&delivered), 1, Stage::Sent),
            (&live, None, 1, Stage::Sent),
            (&live, Some(&given_up), 1, Stage::Undelivered),
            (&listing(None, 2), Some(&given_up), 1, Stage::Opened),
            (&live, Some(&bounced), 1, Stage::Bounced),
            (&listing(None, 1), Some(&bounced), 1, Stage::Opened),
            (&live, Some(&bounced), 10, Stage::Expired),
            (&listing(None, 2), Some(&delivered), 10, Stage::Expired),
            (&listing(Some(TicketEnd::Used), 2), Some(&delivered), 99, Stage::Used),
            (&listing(Some(TicketEnd::Replaced), 0), None, 1, Stage::Replaced),
            (&listing(Some(TicketEnd::Overtaken), 0), None, 1, Stage::Overtaken),
        ] {
            assert_eq!(stage(ticket, letter, at(second)), wanted);
        }
    }

    fn past(oldest_first: &[Event]) -> Past {
        Past::of(oldest_first.iter().rev().cloned().collect())
    }

    #[test]
    fn what_became_of_a_link_without_its_ticket_is_told_by_the_events() {
        let (own, other) = (account().id, AccountId::new(Uuid::from_u128(7)));
        let happened = |second: i64, account: AccountId, fact: Fact| Event {
            id: Uuid::from_u128(u128::try_from(second).unwrap()),
            at: at(second),
            actor: Actor::Gateway,
            client: None,
            account: Some(account),
            fact,
        };
        let life = TicketLife {
            welcome: Duration::from_secs(100),
            reset: Duration::from_secs(100),
        };
        let sent = || Fact::LinkSent(Purpose::Welcome);
        let recalled = |events: &[Event]| {
            let mut link = Link::asked_for(letter(LetterStatus::Delivered(at(10)))).unwrap();
            link.recall(&past(events), life);
            link.stage
        };
        let used = || Fact::PasswordSet(Purpose::Welcome);
        for (then, wanted) in [
            (vec![(50, own, used())], Stage::Used),
            (
                vec![(50, own, Fact::SignInRefused(Reason::WrongPassword)), (60, own, used())],
                Stage::Used,
            ),
            (vec![(50, own, sent()), (60, own, used())], Stage::Replaced),
            (
                vec![(50, own, Fact::AccountChanged(vec![Field::Email]))],
                Stage::Replaced,
            ),
            (vec![(50, own, Fact::AccountChanged(vec![Field::Name]))], Stage::Expired),
            (vec![(50, own, Fact::PasswordImported)], Stage::Overtaken),
            (vec![(50, other, used())], Stage::Expired),
            (vec![(50, own, Fact::AccountRemoved)], Stage::Replaced),
            (
                vec![(50, other, Fact::BackupRestored), (60, own, Fact::AccountDisabled)],
                Stage::Expired,
            ),
            (vec![(50, own, used()), (60, other, Fact::BackupRestored)], Stage::Used),
            (vec![(111, own, sent()), (120, own, used())], Stage::Expired),
            (vec![], Stage::Expired),
        ] {
            let mut events = vec![
                happened(5, own, used()),
                happened(9, own, sent()),
                happened(10, other, sent()),
            ];
            events.extend(
                then.into_iter()
                    .map(|(second, account, fact)| happened(second, account, fact)),
            );
            assert_eq!(recalled(&events), wanted, "{events:?}");
        }
        assert_eq!(recalled(&[]), Stage::Expired);
    }

    #[test]
    fn whose_a_link_without_its_ticket_was_is_told_by_the_events() {
        let mut asked = letter(LetterStatus::Delivered(at(10)));
        asked.letter.matter = Matter::ResetRequested {
            email: Email::parse("withheld@invalid").unwrap(),
            client: ClientAddr::new([192, 0, 2, 1].into()),
            device: None,
            site: SiteName::main(),
        };
        let mut link = Link::asked_for(asked).unwrap();
        let happened = |second: i64, fact: Fact| Event {
            id: Uuid::from_u128(1),
            at: at(second),
            actor: Actor::Gateway,
            client: None,
            account: Some(account().id),
            fact,
        };
        let events = [
            happened(10, Fact::LinkSent(Purpose::Reset)),
            happened(20, Fact::PasswordSet(Purpose::Reset)),
        ];
        link.recall(&past(&events), TicketLife::default());
        assert_eq!((link.account, link.stage), (Some(account().id), Stage::Used));
    }

    #[test]
    fn a_letter_without_a_link_yet_is_queued_and_a_notice_never_gets_one() {
        let queued = Link::asked_for(letter(LetterStatus::Waiting(at(0)))).unwrap();
        assert_eq!((queued.stage, queued.account), (Stage::Queued, Some(account().id)));
        let mut notice = letter(LetterStatus::Waiting(at(0)));
        notice.letter.matter = Matter::PasswordChanged { account: account().id };
        assert!(Link::asked_for(notice).is_none());
    }
}
