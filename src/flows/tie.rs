//! What an open stream ends with: the session of a person, or the API token of a program.

use crate::domain::fault::Fault;
use crate::domain::token::TokenDigest;

use super::authenticate::{Authenticate, Bond, Refusal, Severed};
use super::authenticate_service::AuthenticateService;

/// What an open stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The session of a person.
    Person(Bond),
    /// The API token it was opened with.
    Service(TokenDigest),
}

impl Tie {
    /// Why the stream must end, as far as that is known without asking anybody.
    pub fn outlived(&self, people: &Authenticate) -> Option<Severed> {
        match self {
            Self::Person(bond) if people.outlived(bond) => Some(Severed::Over(Refusal::Expired)),
            Self::Person(_) | Self::Service(_) => None,
        }
    }

    /// Why the stream must end; `None` while it may stay open. Being open does not count as use.
    pub async fn severed(
        &self,
        people: &Authenticate,
        services: &AuthenticateService,
    ) -> Result<Option<Severed>, Fault> {
        match self {
            Self::Person(bond) => people.severed(bond).await,
            Self::Service(token) => Ok(services.severed(token).await?.map(Severed::Over)),
        }
    }
}
