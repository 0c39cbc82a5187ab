//! Events: the closed list of facts the gateway records for ever. Nothing secret is in any of them.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::{AccountId, Field};
use super::api_token::{ApiTokenId, ApiTokenName};
use super::bounce::StatusCode;
use super::campaigns::{CampaignId, Kind};
use super::client::ClientAddr;
use super::outbox::{Letter, Matter};
use super::session::SessionId;
use super::ticket::Purpose;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Sorts by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// From where, when a client did it.
    pub client: Option<ClientAddr>,
    /// Whom it concerns, when that is known.
    pub account: Option<AccountId>,
    /// What happened.
    pub fact: Fact,
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody not signed in.
    Stranger,
    /// The person of an account.
    Person(AccountId),
    /// Somebody at the command line of the machine.
    Operator,
    /// The gateway itself.
    Gateway,
}

impl Actor {
    /// Reads what [`Actor`] displays as.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stranger" => Some(Self::Stranger),
            "operator" => Some(Self::Operator),
            "gateway" => Some(Self::Gateway),
            _ => AccountId::parse(text.strip_prefix("account:")?).map(Self::Person),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("stranger"),
            Self::Person(account) => write!(f, "account:{account}"),
            Self::Operator => f.write_str("operator"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An account was made.
    AccountCreated,
    /// An account was disabled.
    AccountDisabled,
    /// An account was enabled again.
    AccountEnabled,
    /// An account was removed.
    AccountRemoved,
    /// These parts of an account were changed.
    AccountChanged(Vec<Field>),
    /// A password hash of another system was stored for an account that had no password.
    PasswordImported,
    /// Somebody signed in.
    SignedIn(SessionId),
    /// A sign-in was refused.
    SignInRefused(Reason),
    /// A session was ended by its person.
    SignedOut(SessionId),
    /// Somebody signed in gave the password again, so that the sign-in counts as fresh.
    SignInConfirmed(SessionId),
    /// A session, or all of the account's, were ended from elsewhere: by an operator, or by the person.
    SessionsEnded,
    /// A session was ended by the gateway to make room for another.
    SessionDisplaced(SessionId, Reason),
    /// A Welcome letter was asked for.
    WelcomeRequested,
    /// A reset was asked for by e-mail address.
    ResetRequested,
    /// A reset was refused before any letter was accepted.
    ResetRefused(Reason),
    /// A letter with a link was handed to the mail server.
    LinkSent(Purpose),
    /// A letter was not sent, on purpose.
    LinkWithheld(Purpose, Reason),
    /// A link was printed by an operator, to be handed over on paper.
    LinkPrinted(Purpose),
    /// A letter waits for its turn: the budget of letters is used up.
    LinkDelayed(Purpose),
    /// A link was opened in a browser (or by a mail scanner: opening changes nothing).
    LinkOpened(Purpose),
    /// A link was presented that no longer works.
    LinkRefused(Reason),
    /// Somebody whom the limits stop asked for a link that makes a browser known.
    UnlockRequested,
    /// A browser was made known for the account by such a link.
    BrowserUnlocked,
    /// A password was set by link.
    PasswordSet(Purpose),
    /// A password was changed by its person, who knew the old one.
    PasswordChanged,
    /// A password was taken away, since an attack got in with it.
    PasswordClosed(CampaignId),
    /// A notice was handed to the mail server.
    NoticeSent(&'static str),
    /// A notice was not sent, on purpose.
    NoticeWithheld(&'static str, Reason),
    /// A letter was given up.
    LetterGivenUp(&'static str),
    /// A letter that the mail server had taken was reported as undeliverable, with this code where one was given.
    LetterBounced(&'static str, Option<StatusCode>),
    /// An API token was made.
    TokenAdded(ApiTokenName, ApiTokenId),
    /// An API token was revoked.
    TokenRevoked(ApiTokenName, ApiTokenId),
    /// A signing key was made and took over.
    KeyRotated(String),
    /// A new pepper keys the password hashes from now on.
    PepperRotated(String),
    /// A pepper of before was removed.
    PepperDropped(String),
    /// The upstream at this origin was tried out with signed statements about nobody.
    UpstreamTried(String),
    /// A running gateway took up its configuration anew: who wanted it, and the keys that changed.
    ConfigTakenUp(String),
    /// A running gateway refused its new configuration: who wanted it, and how much was wrong.
    ConfigRefused(String),
    /// A new process took the place of the running one: the version of its program.
    UpgradeDone(String),
    /// A new program could not take the place of the running process.
    UpgradeFailed,
    /// A rule of the limits that only tells was reached, one of this name.
    LimitReached(String),
    /// Failures were seen to be an attack.
    CampaignBegan(Kind, CampaignId),
    /// A sign-in worked that belongs to an attack.
    CampaignSucceeded(Kind, CampaignId),
    /// An attack has been quiet for so long that it is taken to be over.
    CampaignEnded(Kind, CampaignId),
    /// A running gateway took up a policy of the limits: who wanted it, which one, and the rules that changed.
    LimitsTakenUp(String),
    /// A running gateway refused a policy of the limits: who wanted it, which one, and how much was wrong.
    LimitsRefused(String),
    /// The policy on trial took the place of the one in force: the rules that changed.
    LimitsPromoted(String),
    /// The former policy took its place again: the rules that changed.
    LimitsReverted(String),
    /// Somebody or something was banned: who or what, until when, by whom and why.
    LimitsBanned(String),
    /// A ban was lifted before its time.
    LimitsUnbanned(String),
    /// Clients of a network are counted by no rule of the limits.
    LimitsExempted(String),
    /// They are again, before the time that was set.
    LimitsExemptionEnded(String),
    /// Another policy is in force for a while.
    LimitsApplied(String),
    /// It no longer is: its time was over, or an operator ended it.
    LimitsOverrideEnded(String),
    /// A backup of the store was made.
    BackupCreated,
    /// The store was restored from a backup; everything before is from the backup.
    BackupRestored,
}

/// Why something was refused or withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No account has that name or address.
    UnknownName,
    /// The password was wrong.
    WrongPassword,
    /// The account is disabled.
    Disabled,
    /// The account has never set a password.
    NeverActivated,
    /// The account has a password already.
    AlreadyActive,
    /// Two or more accounts share the address.
    SharedEmail,
    /// The account has no address.
    NoEmail,
    /// The limits refused.
    Throttled,
    /// The link's time is over.
    LinkExpired,
    /// The link was used before.
    LinkUsed,
    /// A newer link took its place.
    LinkReplaced,
    /// A password was set in another way in the meantime.
    LinkOvertaken,
    /// No such link was ever made, or it is long gone.
    LinkUnknown,
    /// The budget of letters is used up.
    OverBudget,
    /// The account began one session more than it may have.
    TooManySessions,
    /// A link of a short while ago still works, and a stranger's wish does not spend it.
    LinkFresh,
    /// An operator has banned the account, the name or the device.
    Banned,
}

impl Reason {
    /// The stable name in the store, in logs and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown-name",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "disabled",
            Self::NeverActivated => "never-activated",
            Self::AlreadyActive => "already-active",
            Self::SharedEmail => "shared-email",
            Self::NoEmail => "no-email",
            Self::Throttled => "throttled",
            Self::LinkExpired => "link-expired",
            Self::LinkUsed => "link-used",
            Self::LinkReplaced => "link-replaced",
            Self::LinkOvertaken => "link-overtaken",
            Self::LinkUnknown => "link-unknown",
            Self::OverBudget => "over-budget",
            Self::TooManySessions => "too-many-sessions",
            Self::LinkFresh => "link-fresh",
            Self::Banned => "banned",
        }
    }

    /// Every reason there is.
    pub const ALL: [Self; 17] = [
        Self::UnknownName,
        Self::WrongPassword,
        Self::Disabled,
        Self::NeverActivated,
        Self::AlreadyActive,
        Self::SharedEmail,
        Self::NoEmail,
        Self::Throttled,
        Self::LinkExpired,
        Self::LinkUsed,
        Self::LinkReplaced,
        Self::LinkOvertaken,
        Self::LinkUnknown,
        Self::OverBudget,
        Self::TooManySessions,
        Self::LinkFresh,
        Self::Banned,
    ];

    /// The opposite of [`Reason::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl Fact {
    /// The stable name in the store, in logs and in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::AccountDisabled => "account.disabled",
            Self::AccountEnabled => "account.enabled",
            Self::AccountRemoved => "account.removed",
            Self::AccountChanged(_) => "account.changed",
            Self::PasswordImported => "password.imported",
            Self::SignedIn(_) => "sign-in.done",
            Self::SignInRefused(_) => "sign-in.refused",
            Self::SignedOut(_) => "session.signed-out",
            Self::SignInConfirmed(_) => "sign-in.confirmed",
            Self::SessionsEnded => "session.ended",
            Self::SessionDisplaced(..) => "session.displaced",
            Self::WelcomeRequested => "welcome.requested",
            Self::ResetRequested => "reset.requested",
            Self::ResetRefused(_) => "reset.refused",
            Self::LinkSent(_) => "link.sent",
            Self::LinkWithheld(..) => "link.withheld",
            Self::LinkPrinted(_) => "link.printed",
            Self::LinkDelayed(_) => "link.delayed",
            Self::LinkOpened(_) => "link.opened",
            Self::LinkRefused(_) => "link.refused",
            Self::UnlockRequested => "unlock.requested",
            Self::BrowserUnlocked => "browser.unlocked",
            Self::PasswordSet(_) => "password.set",
            Self::PasswordChanged => "password.changed",
            Self::PasswordClosed(_) => "password.closed",
            Self::NoticeSent(_) => "notice.sent",
            Self::NoticeWithheld(..) => "notice.withheld",
            Self::LetterGivenUp(_) => "letter.given-up",
            Self::LetterBounced(..) => "letter.bounced",
            Self::TokenAdded(..) => "token.added",
            Self::TokenRevoked(..) => "token.revoked",
            Self::KeyRotated(_) => "key.rotated",
            Self::PepperRotated(_) => "pepper.rotated",
            Self::PepperDropped(_) => "pepper.dropped",
            Self::UpstreamTried(_) => "upstream.tried",
            Self::ConfigTakenUp(_) => "config.taken-up",
            Self::ConfigRefused(_) => "config.refused",
            Self::UpgradeDone(_) => "upgrade.done",
            Self::UpgradeFailed => "upgrade.failed",
            Self::LimitReached(_) => "limits.reached",
            Self::CampaignBegan(..) => "campaign.began",
            Self::CampaignSucceeded(..) => "campaign.succeeded",
            Self::CampaignEnded(..) => "campaign.ended",
            Self::LimitsTakenUp(_) => "limits.taken-up",
            Self::LimitsRefused(_) => "limits.refused",
            Self::LimitsPromoted(_) => "limits.promoted",
            Self::LimitsReverted(_) => "limits.reverted",
            Self::LimitsBanned(_) => "limits.banned",
            Self::LimitsUnbanned(_) => "limits.unbanned",
            Self::LimitsExempted(_) => "limits.exempted",
            Self::LimitsExemptionEnded(_) => "limits.exemption-ended",
            Self::LimitsApplied(_) => "limits.applied",
            Self::LimitsOverrideEnded(_) => "limits.override-ended",
            Self::BackupCreated => "backup.created",
            Self::BackupRestored => "backup.restored",
        }
    }

    /// What the name leaves open: a reason, a purpose, an id. Never anything a stranger typed.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::SignInRefused(reason) | Self::ResetRefused(reason) | Self::LinkRefused(reason) => {
                Some(reason.as_str().to_owned())
            }
            Self::SignedIn(session) | Self::SignInConfirmed(session) | Self::SignedOut(session) => {
                Some(session.to_string())
            }
            Self::AccountChanged(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
                Some(names.join(","))
            }
            Self::LinkSent(purpose)
            | Self::LinkPrinted(purpose)
            | Self::LinkDelayed(purpose)
            | Self::LinkOpened(purpose)
            | Self::PasswordSet(purpose) => Some(purpose.as_str().to_owned()),
            Self::SessionDisplaced(session, reason) => Some(format!("{session} {}", reason.as_str())),
            Self::LinkWithheld(purpose, reason) => Some(format!("{purpose} {}", reason.as_str())),
            Self::NoticeSent(matter) | Self::LetterGivenUp(matter) | Self::LetterBounced(matter, None) => {
                Some((*matter).to_owned())
            }
            Self::NoticeWithheld(matter, reason) => Some(format!("{matter} {}", reason.as_str())),
            Self::LetterBounced(matter, Some(status)) => Some(format!("{matter} {status}")),
            Self::TokenAdded(name, id) | Self::TokenRevoked(name, id) => Some(format!("{name} {id}")),
            Self::PasswordClosed(campaign) => Some(campaign.to_string()),
            Self::CampaignBegan(kind, id) | Self::CampaignSucceeded(kind, id) | Self::CampaignEnded(kind, id) => {
                Some(format!("{kind} {id}"))
            }
            Self::KeyRotated(text)
            | Self::PepperRotated(text)
            | Self::PepperDropped(text)
            | Self::UpstreamTried(text)
            | Self::ConfigTakenUp(text)
            | Self::ConfigRefused(text)
            | Self::UpgradeDone(text)
            | Self::LimitReached(text)
            | Self::LimitsTakenUp(text)
            | Self::LimitsRefused(text)
            | Self::LimitsPromoted(text)
            | Self::LimitsReverted(text)
            | Self::LimitsBanned(text)
            | Self::LimitsUnbanned(text)
            | Self::LimitsExempted(text)
            | Self::LimitsExemptionEnded(text)
            | Self::LimitsApplied(text)
            | Self::LimitsOverrideEnded(text) => Some(text.clone()),
            Self::AccountCreated
            | Self::AccountDisabled
            | Self::AccountEnabled
            | Self::AccountRemoved
            | Self::PasswordImported
            | Self::SessionsEnded
            | Self::PasswordChanged
            | Self::WelcomeRequested
            | Self::ResetRequested
            | Self::UpgradeFailed
            | Self::UnlockRequested
            | Self::BrowserUnlocked
            | Self::BackupCreated
            | Self::BackupRestored => None,
        }
    }

    /// The opposite of [`Fact::name`] and [`Fact::detail`] together.
    pub fn parse(name: &str, detail: Option<&str>) -> Option<Self> {
        let plain = |fact| detail.is_none().then_some(fact);
        let reason = || detail.and_then(Reason::parse);
        let purpose = || detail.and_then(Purpose::parse);
        let session = || detail.and_then(SessionId::parse);
        let matter = || detail.and_then(Matter::name);
        let token = || {
            let (name, id) = detail?.split_once(' ')?;
            Some((ApiTokenName::parse(name).ok()?, ApiTokenId::parse(id)?))
        };
        let campaign = || {
            let (kind, id) = detail?.split_once(' ')?;
            Some((Kind::parse(kind)?, CampaignId::parse(id)?))
        };
        match name {
            "account.created" => plain(Self::AccountCreated),
            "account.disabled" => plain(Self::AccountDisabled),
            "account.enabled" => plain(Self::AccountEnabled),
            "account.removed" => plain(Self::AccountRemoved),
            "account.changed" => {
                let fields: Option<Vec<Field>> = detail?.split(',').map(Field::parse).collect();
                fields.map(Self::AccountChanged)
            }
            "password.imported" => plain(Self::PasswordImported),
            "sign-in.done" => session().map(Self::SignedIn),
            "sign-in.refused" => reason().map(Self::SignInRefused),
            "session.signed-out" => session().map(Self::SignedOut),
            "sign-in.confirmed" => session().map(Self::SignInConfirmed),
            "session.ended" => plain(Self::SessionsEnded),
            "session.displaced" => {
                let (session, reason) = detail?.split_once(' ')?;
                Some(Self::SessionDisplaced(
                    SessionId::parse(session)?,
                    Reason::parse(reason)?,
                ))
            }
            "welcome.requested" => plain(Self::WelcomeRequested),
            "reset.requested" => plain(Self::ResetRequested),
            "reset.refused" => reason().map(Self::ResetRefused),
            "link.sent" => purpose().map(Self::LinkSent),
            "link.withheld" => {
                let (purpose, reason) = detail?.split_once(' ')?;
                Some(Self::LinkWithheld(Purpose::parse(purpose)?, Reason::parse(reason)?))
            }
            "link.printed" => purpose().map(Self::LinkPrinted),
            "link.delayed" => purpose().map(Self::LinkDelayed),
            "link.opened" => purpose().map(Self::LinkOpened),
            "link.refused" => reason().map(Self::LinkRefused),
            "unlock.requested" => plain(Self::UnlockRequested),
            "browser.unlocked" => plain(Self::BrowserUnlocked),
            "password.set" => purpose().map(Self::PasswordSet),
            "password.changed" => plain(Self::PasswordChanged),
            "password.closed" => CampaignId::parse(detail?).map(Self::PasswordClosed),
            "notice.sent" => matter().map(Self::NoticeSent),
            "notice.withheld" => {
                let (matter, reason) = detail?.split_once(' ')?;
                Some(Self::NoticeWithheld(Matter::name(matter)?, Reason::parse(reason)?))
            }
            "letter.given-up" => matter().map(Self::LetterGivenUp),
            "letter.bounced" => match detail?.split_once(' ') {
                None => matter().map(|matter| Self::LetterBounced(matter, None)),
                Some((matter, status)) => Some(Self::LetterBounced(
                    Matter::name(matter)?,
                    Some(StatusCode::parse(status)?),
                )),
            },
            "token.added" => token().map(|(name, id)| Self::TokenAdded(name, id)),
            "token.revoked" => token().map(|(name, id)| Self::TokenRevoked(name, id)),
            "key.rotated" => Some(Self::KeyRotated(detail?.to_owned())),
            "pepper.rotated" => Some(Self::PepperRotated(detail?.to_owned())),
            "config.taken-up" => Some(Self::ConfigTakenUp(detail?.to_owned())),
            "config.refused" => Some(Self::ConfigRefused(detail?.to_owned())),
            "upgrade.done" => Some(Self::UpgradeDone(detail?.to_owned())),
            "upgrade.failed" => plain(Self::UpgradeFailed),
            "limits.reached" => Some(Self::LimitReached(detail?.to_owned())),
            "limits.taken-up" => Some(Self::LimitsTakenUp(detail?.to_owned())),
            "limits.refused" => Some(Self::LimitsRefused(detail?.to_owned())),
            "limits.promoted" => Some(Self::LimitsPromoted(detail?.to_owned())),
            "limits.reverted" => Some(Self::LimitsReverted(detail?.to_owned())),
            "upstream.tried" => Some(Self::UpstreamTried(detail?.to_owned())),
            "pepper.dropped" => Some(Self::PepperDropped(detail?.to_owned())),
            "campaign.began" => campaign().map(|(kind, id)| Self::CampaignBegan(kind, id)),
            "campaign.succeeded" => campaign().map(|(kind, id)| Self::CampaignSucceeded(kind, id)),
            "campaign.ended" => campaign().map(|(kind, id)| Self::CampaignEnded(kind, id)),
            "limits.banned" => Some(Self::LimitsBanned(detail?.to_owned())),
            "limits.unbanned" => Some(Self::LimitsUnbanned(detail?.to_owned())),
            "limits.exempted" => Some(Self::LimitsExempted(detail?.to_owned())),
            "limits.exemption-ended" => Some(Self::LimitsExemptionEnded(detail?.to_owned())),
            "limits.applied" => Some(Self::LimitsApplied(detail?.to_owned())),
            "limits.override-ended" => Some(Self::LimitsOverrideEnded(detail?.to_owned())),
            "backup.created" => plain(Self::BackupCreated),
            "backup.restored" => plain(Self::BackupRestored),
            _ => None,
        }
    }
}

/// What is written in the same transaction as the change that caused it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Facts to record.
    pub events: Vec<Event>,
    /// Letters to accept.
    pub letters: Vec<Letter>,
}

impl Consequences {
    /// One event and nothing else.
    pub fn event(event: Event) -> Self {
        Self {
            events: vec![event],
            letters: Vec::new(),
        }
    }

    /// Adds a letter.
    #[must_use]
    pub fn and_letter(mut self, id: Uuid, matter: Matter, at: Timestamp) -> Self {
        self.letters.push(Letter {
            id: super::outbox::LetterId::new(id),
            matter,
            created_at: at,
        });
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn and_event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One fact of each kind.
    pub(crate) fn every_fact() -> Vec<Fact> {
        let session = SessionId::new(Uuid::from_u128(7));
        let (token, name) = (
            ApiTokenId::new(Uuid::from_u128(8)),
            ApiTokenName::parse("ci-1.nightly").unwrap(),
        );
        vec![
            Fact::AccountCreated,
            Fact::AccountDisabled,
            Fact::AccountEnabled,
            Fact::AccountRemoved,
            Fact::AccountChanged(vec![Field::Email, Field::Role]),
            Fact::PasswordImported,
            Fact::SignInConfirmed(session),
            Fact::PasswordChanged,
            Fact::NoticeWithheld("new-device", Reason::NoEmail),
            Fact::SignedIn(session),
            Fact::SignInRefused(Reason::WrongPassword),
            Fact::SignedOut(session),
            Fact::SessionsEnded,
            Fact::SessionDisplaced(session, Reason::TooManySessions),
            Fact::WelcomeRequested,
            Fact::ResetRequested,
            Fact::ResetRefused(Reason::Throttled),
            Fact::LinkSent(Purpose::Welcome),
            Fact::LinkWithheld(Purpose::Reset, Reason::SharedEmail),
            Fact::LinkPrinted(Purpose::Welcome),
            Fact::LinkDelayed(Purpose::Welcome),
            Fact::LinkOpened(Purpose::Reset),
            Fact::LinkRefused(Reason::LinkReplaced),
            Fact::UnlockRequested,
            Fact::BrowserUnlocked,
            Fact::PasswordSet(Purpose::Welcome),
            Fact::NoticeSent("password-changed"),
            Fact::LetterGivenUp("reset"),
            Fact::LetterBounced("welcome", StatusCode::parse("5.1.1")),
            Fact::LetterBounced("new-device", None),
            Fact::TokenAdded(name.clone(), token),
            Fact::TokenRevoked(name, token),
            Fact::KeyRotated("kid".into()),
            Fact::PepperRotated("003392d3".into()),
            Fact::PepperDropped("003392d3".into()),
            Fact::UpstreamTried("http://127.0.0.1:5000".into()),
            Fact::ConfigTakenUp("command: branding.name,sessions.idle".into()),
            Fact::ConfigRefused("file: 2".into()),
            Fact::UpgradeDone("1.2.3".into()),
            Fact::UpgradeFailed,
            Fact::LimitReached("sign-in.spray".into()),
            Fact::PasswordClosed(CampaignId::parse("mtpa9wn5").unwrap()),
            Fact::CampaignBegan(Kind::Spraying, CampaignId::parse("mtpa9wn5").unwrap()),
            Fact::CampaignSucceeded(Kind::Guessing, CampaignId::parse("mtpa9wn5").unwrap()),
            Fact::CampaignEnded(Kind::MailBomb, CampaignId::parse("mtpa9wn5").unwrap()),
            Fact::LimitsTakenUp("file: policy: sign-in.client changed".into()),
            Fact::LimitsRefused("command: candidate: 1".into()),
            Fact::LimitsPromoted("sign-in.client changed, mine added".into()),
            Fact::LimitsReverted("mine removed".into()),
            Fact::LimitsBanned("network 203.0.113.0/24 until 2026-03-01T00:00:00Z by root: stuffing".into()),
            Fact::LimitsUnbanned("address 203.0.113.7 for ever by root".into()),
            Fact::LimitsExempted("10.0.0.0/8 for ever by root".into()),
            Fact::LimitsExemptionEnded("10.0.0.0/8 for ever by root".into()),
            Fact::LimitsApplied("preset strict until 2026-03-01T00:00:00Z by root".into()),
            Fact::LimitsOverrideEnded("preset strict until 2026-03-01T00:00:00Z by root".into()),
            Fact::BackupCreated,
            Fact::BackupRestored,
        ]
    }

    #[test]
    fn every_fact_reads_back_from_its_name_and_detail() {
        for fact in every_fact() {
            assert_eq!(
                Fact::parse(fact.name(), fact.detail().as_deref()),
                Some(fact.clone()),
                "{fact:?}"
            );
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Fact::parse("account.created", Some("more")), None);
        for detail in [None, Some(""), Some("password"), Some("email name")] {
            assert_eq!(Fact::parse("account.changed", detail), None, "{detail:?}");
        }
        assert_eq!(Fact::parse("sign-in.refused", None), None);
        assert_eq!(Fact::parse("link.withheld", Some("reset")), None);
        assert_eq!(Fact::parse("notice.sent", Some("something-else")), None);
        for detail in [None, Some("welcome 5.1"), Some("something 5.1.1"), Some("5.1.1")] {
            assert_eq!(Fact::parse("letter.bounced", detail), None, "{detail:?}");
        }
        assert_eq!(Fact::parse("account.changed", Some("email,shoes")), None);
        for detail in [
            None,
            Some("ci-1"),
            Some("Ci-1 0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01"),
            Some("ci-1 x"),
        ] {
            assert_eq!(Fact::parse("token.added", detail), None, "{detail:?}");
        }
        assert_eq!(Fact::parse("no.such.fact", None), None);
    }

    #[test]
    fn every_actor_reads_back_from_its_text() {
        let person = Actor::Person(AccountId::new(Uuid::from_u128(1)));
        for actor in [Actor::Stranger, person, Actor::Operator, Actor::Gateway] {
            assert_eq!(Actor::parse(&actor.to_string()), Some(actor));
        }
        assert_eq!(Actor::parse("account:me"), None);
    }
}
