//! What an operator does with accounts. No method here sets, shows or accepts a password.

use std::sync::Arc;

use crate::domain::account::{
    Account, AccountEdit, AccountId, AccountState, Email, EmailEdit, Extension, NameProblem, Role,
};
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::outbox::Matter;
use crate::domain::session::{Session, SessionId};
use crate::ports::{AccountListing, Accounts, Change, Creation, Sessions};

use super::World;

/// A person to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// The extension number.
    pub extension: Extension,
    /// The person's name.
    pub name: String,
    /// The address, when there is one.
    pub email: Option<Email>,
    /// What the person may do in the gateway.
    pub role: Role,
    /// Groups for the upstream.
    pub groups: Vec<String>,
    /// Language of letters.
    pub language: Language,
}

/// Why a new account was refused, field by field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewAccountProblem {
    /// The extension number cannot be read.
    #[error("extension number: {0}")]
    Extension(NameProblem),
    /// The address cannot be read.
    #[error("e-mail address: {0}")]
    Email(NameProblem),
    /// The name is empty, too long or has control characters.
    #[error("name: give 1 to 100 characters without control characters")]
    Name,
    /// A group is empty, too long or has control characters.
    #[error("group: give 1 to 64 characters without control characters or commas")]
    Group,
}

impl NewAccount {
    /// Reads the fields as somebody typed them.
    ///
    /// # Errors
    /// The first field that cannot be accepted.
    pub fn parse(
        extension: &str,
        name: &str,
        email: Option<&str>,
        role: Role,
        groups: &[String],
        language: Language,
    ) -> Result<Self, NewAccountProblem> {
        let name = sound_name(name)?;
        let groups = sound_groups(groups)?;
        Ok(Self {
            extension: Extension::parse(extension).map_err(NewAccountProblem::Extension)?,
            name,
            email: email.map(Email::parse).transpose().map_err(NewAccountProblem::Email)?,
            role,
            groups,
            language,
        })
    }
}

impl AccountEdit {
    /// Reads what somebody typed; what was not typed stays.
    ///
    /// # Errors
    /// The first field that cannot be accepted.
    pub fn parse(
        name: Option<&str>,
        email: Option<&str>,
        role: Option<Role>,
        groups: Option<&[String]>,
        language: Option<Language>,
    ) -> Result<Self, NewAccountProblem> {
        Ok(Self {
            name: name.map(sound_name).transpose()?,
            email: match email {
                Some(typed) => EmailEdit::Set(Email::parse(typed).map_err(NewAccountProblem::Email)?),
                None => EmailEdit::Keep,
            },
            role,
            groups: groups.map(sound_groups).transpose()?,
            language,
        })
    }
}

/// A person's name as somebody typed it.
pub(super) fn sound_name(name: &str) -> Result<String, NewAccountProblem> {
    let name = name.trim();
    if sound(name, 100) {
        Ok(name.to_owned())
    } else {
        Err(NewAccountProblem::Name)
    }
}

/// Groups as somebody typed them.
pub(super) fn sound_groups(groups: &[String]) -> Result<Vec<String>, NewAccountProblem> {
    let groups: Vec<String> = groups.iter().map(|group| group.trim().to_owned()).collect();
    if groups.iter().all(|group| sound(group, 64) && !group.contains(',')) {
        Ok(groups)
    } else {
        Err(NewAccountProblem::Group)
    }
}

fn sound(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

/// What became of an operator's act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// Done; the account as it was before.
    Done(Box<Account>),
    /// It was so already.
    Unchanged(Box<Account>),
    /// There is no such account.
    NotFound,
    /// Another account has this extension number.
    ExtensionTaken,
    /// It would leave no administrator who can sign in.
    LastAdministrator,
    /// The account has no address to write to.
    NoEmail(Box<Account>),
    /// The account has a password; the person can use "forgot password".
    AlreadyActive(Box<Account>),
    /// The account is disabled.
    Disabled(Box<Account>),
}

/// The operator's counter.
pub struct AccountOffice {
    /// People's records.
    pub accounts: Arc<dyn Accounts>,
    /// Their sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Time and chance.
    pub world: World,
}

impl AccountOffice {
    /// Adds a person as Invited. `welcome` also accepts the Welcome letter, in the same transaction, when there
    /// is an address to send it to.
    pub async fn add(&self, new: NewAccount, welcome: bool) -> Result<AccountChange, Fault> {
        let now = self.world.now();
        let id = AccountId::new(self.world.uuid());
        let account = Account {
            id,
            extension: new.extension,
            name: new.name,
            email: new.email,
            role: new.role,
            groups: new.groups,
            language: new.language,
            state: AccountState::Invited,
            generation: 1,
            created_at: now,
            updated_at: now,
        };
        let mut then = Consequences::event(self.event(id, Fact::AccountCreated));
        if welcome && account.email.is_some() {
            then = then.and_event(self.event(id, Fact::WelcomeRequested)).and_letter(
                self.world.uuid(),
                Matter::Welcome { account: id },
                now,
            );
        }
        Ok(match self.accounts.create(&account, then).await? {
            Creation::Done => AccountChange::Done(Box::new(account)),
            Creation::ExtensionTaken => AccountChange::ExtensionTaken,
        })
    }

    /// Accepts a Welcome letter for somebody who has no password yet; an earlier link dies when it goes out.
    pub async fn welcome(&self, extension: &Extension) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let id = account.id;
        match (account.state, &account.email) {
            (AccountState::Disabled, _) => return Ok(AccountChange::Disabled(Box::new(account))),
            (AccountState::Active, _) => return Ok(AccountChange::AlreadyActive(Box::new(account))),
            (AccountState::Invited, None) => return Ok(AccountChange::NoEmail(Box::new(account))),
            (AccountState::Invited, Some(_)) => {}
        }
        let then = Consequences::event(self.event(id, Fact::WelcomeRequested)).and_letter(
            self.world.uuid(),
            Matter::Welcome { account: id },
            self.world.now(),
        );
        Ok(outcome(account, self.accounts.record(id, then).await?))
    }

    /// Disables: sessions and links die, the record stays.
    pub async fn disable(&self, extension: &Extension) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let then = Consequences::event(self.event(account.id, Fact::AccountDisabled));
        let change = self.accounts.disable(account.id, self.world.now(), then).await?;
        Ok(outcome(account, change))
    }

    /// Changes what the edit mentions. A change of the address is told to the former and to the new one.
    pub async fn change(&self, extension: &Extension, edit: &AccountEdit) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let (id, now) = (account.id, self.world.now());
        let (after, changed) = edit.apply(&account, now);
        let mut then = Consequences::event(self.event(id, Fact::AccountChanged(changed)));
        if after.email != account.email {
            for to in [&account.email, &after.email].into_iter().flatten() {
                let matter = Matter::EmailChanged {
                    account: id,
                    to: to.clone(),
                    reader: Some((&account).into()),
                };
                then = then.and_letter(self.world.uuid(), matter, now);
            }
        }
        let change = self.accounts.update(id, edit, now, then).await?;
        Ok(outcome(account, change))
    }

    /// Enables a disabled account again, and tells its person.
    pub async fn enable(&self, extension: &Extension) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let then = Consequences::event(self.event(account.id, Fact::AccountEnabled)).and_letter(
            self.world.uuid(),
            Matter::AccountUnlocked { account: account.id },
            self.world.now(),
        );
        let change = self.accounts.enable(account.id, self.world.now(), then).await?;
        Ok(outcome(account, change))
    }

    /// Removes the record for ever; a later account with the same number is somebody else to every upstream.
    pub async fn remove(&self, extension: &Extension) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let then = Consequences::event(self.event(account.id, Fact::AccountRemoved));
        let change = self.accounts.remove(account.id, self.world.now(), then).await?;
        Ok(outcome(account, change))
    }

    /// Ends every session of the account.
    pub async fn end_sessions(&self, extension: &Extension) -> Result<AccountChange, Fault> {
        let Some(account) = self.accounts.find_by_extension(extension).await? else {
            return Ok(AccountChange::NotFound);
        };
        let then = Consequences::event(self.event(account.id, Fact::SessionsEnded));
        let change = self.accounts.end_sessions(account.id, self.world.now(), then).await?;
        Ok(outcome(account, change))
    }

    /// Ends one session. `false` when there is none of that id.
    pub async fn end_session(&self, id: SessionId) -> Result<bool, Fault> {
        let known = self.sessions.list(None).await?;
        let owner = known
            .iter()
            .find(|(session, _)| session.id == id)
            .map(|(_, account)| account.id);
        let event = self.world.event(Actor::Operator, None, owner, Fact::SessionsEnded);
        self.sessions.end(id, Consequences::event(event)).await
    }

    /// Everybody.
    pub async fn list(&self) -> Result<Vec<AccountListing>, Fault> {
        self.accounts.list().await
    }

    /// One account.
    pub async fn find(&self, extension: &Extension) -> Result<Option<Account>, Fault> {
        self.accounts.find_by_extension(extension).await
    }

    /// Stored sessions, of one account or of all.
    pub async fn sessions(&self, account: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault> {
        self.sessions.list(account).await
    }

    fn event(&self, account: AccountId, fact: Fact) -> crate::domain::event::Event {
        self.world.event(Actor::Operator, None, Some(account), fact)
    }
}

fn outcome(account: Account, change: Change) -> AccountChange {
    match change {
        Change::Done => AccountChange::Done(Box::new(account)),
        Change::Unchanged => AccountChange::Unchanged(Box::new(account)),
        Change::NotFound => AccountChange::NotFound,
        Change::LastAdministrator => AccountChange::LastAdministrator,
    }
}
