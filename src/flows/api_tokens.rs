//! Making, listing and revoking API tokens: what an operator does.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::api_token::{ApiToken, ApiTokenId, ApiTokenName};
use crate::domain::bearer::BearerToken;
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::scope::Scope;
use crate::domain::session::later;
use crate::ports::{Adding, ApiTokens};

use super::World;
use super::accounts::sound_groups;

/// The operator's desk for tokens.
pub struct TokenOffice {
    /// The tokens.
    pub tokens: Arc<dyn ApiTokens>,
    /// Time and chance.
    pub world: World,
}

/// A token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    name: ApiTokenName,
    scopes: Vec<Scope>,
    groups: Vec<String>,
    life: Duration,
}

/// Why no such token is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewTokenProblem {
    /// None at all, or more than a token may have.
    #[error("a token is for 1 to {} scopes, such as \"GET /api/*\"", ApiToken::MAX_SCOPES)]
    Scopes,
    /// A group is empty, too long or has control characters.
    #[error("group: give 1 to 64 characters without control characters or commas")]
    Group,
    /// Shorter than a second, or longer than any token may live.
    #[error("a token lives for a second at least and for 366 days at most")]
    Life,
}

/// What became of a new token.
#[derive(Debug)]
pub enum Made {
    /// It is stored; this is the one time that its secret is there.
    Done(Box<ApiToken>, BearerToken),
    /// Another one that is not revoked has the name.
    NameTaken,
}

/// What became of the wish to revoke one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoking {
    /// It opens nothing any more.
    Done(Box<ApiToken>),
    /// It was revoked before.
    Already(Box<ApiToken>),
    /// There is none of that name or id.
    NotFound,
}

/// A token as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKey {
    /// By its name: the one that is not revoked, else the newest of those that are.
    Name(ApiTokenName),
    /// By its id.
    Id(ApiTokenId),
}

impl TokenKey {
    /// Reads a name or an id.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // No name is as long as an id.
        ApiTokenId::parse(text).map_or_else(|| ApiTokenName::parse(text).map(Self::Name), |id| Ok(Self::Id(id)))
    }
}

impl NewToken {
    /// Checks what is wanted.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        name: ApiTokenName,
        scopes: Vec<Scope>,
        groups: &[String],
        life: Duration,
    ) -> Result<Self, NewTokenProblem> {
        if scopes.is_empty() || scopes.len() > ApiToken::MAX_SCOPES {
            return Err(NewTokenProblem::Scopes);
        }
        if life < Duration::from_secs(1) || life > ApiToken::MAX_LIFE {
            return Err(NewTokenProblem::Life);
        }
        Ok(Self {
            name,
            scopes,
            groups: sound_groups(groups).map_err(|_| NewTokenProblem::Group)?,
            life,
        })
    }
}

impl TokenOffice {
    /// Makes one. Its secret is in the answer and nowhere else.
    pub async fn add(&self, new: NewToken) -> Result<Made, Fault> {
        let secret = BearerToken::from_entropy(self.world.token());
        let now = self.world.now();
        let token = ApiToken {
            id: ApiTokenId::new(self.world.uuid()),
            name: new.name,
            digest: secret.digest(),
            scopes: new.scopes,
            groups: new.groups,
            created_by: Actor::Operator,
            created_at: now,
            expires_at: later(now, new.life),
            revoked_at: None,
            used: None,
        };
        let fact = Fact::TokenAdded(token.name.clone(), token.id);
        let then = Consequences::event(self.world.event(Actor::Operator, None, None, fact));
        Ok(match self.tokens.add(&token, then).await? {
            Adding::Done => Made::Done(Box::new(token), secret),
            Adding::NameTaken => Made::NameTaken,
        })
    }

    /// All of them, newest first, those that ended of late included.
    pub async fn list(&self) -> Result<Vec<ApiToken>, Fault> {
        self.tokens.list().await
    }

    /// One of them.
    pub async fn find(&self, key: &TokenKey) -> Result<Option<ApiToken>, Fault> {
        let mut named = self.list().await?;
        named.retain(|token| match key {
            TokenKey::Name(name) => token.name == *name,
            TokenKey::Id(id) => token.id == *id,
        });
        let valid = named.iter().position(|token| token.revoked_at.is_none());
        Ok((!named.is_empty()).then(|| named.swap_remove(valid.unwrap_or(0))))
    }

    /// Revokes one. Its requests stop within a second, open streams included.
    pub async fn revoke(&self, key: &TokenKey) -> Result<Revoking, Fault> {
        let Some(token) = self.find(key).await? else {
            return Ok(Revoking::NotFound);
        };
        let token = Box::new(token);
        let fact = Fact::TokenRevoked(token.name.clone(), token.id);
        let event = self.world.event(Actor::Operator, None, None, fact);
        let (now, then) = (event.at, Consequences::event(event));
        Ok(if self.tokens.revoke(token.id, now, then).await? {
            Revoking::Done(token)
        } else {
            Revoking::Already(token)
        })
    }
}
