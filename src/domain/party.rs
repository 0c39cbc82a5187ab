//! Who a request is from: nobody known, a person, or a program.

use std::sync::Arc;

use super::passes::Passes;
use super::principal::Principal;
use super::service::Service;

/// The one who asks.
#[derive(Clone, Debug)]
pub enum Party {
    /// Nobody known.
    Nobody,
    /// A person, by a live session.
    Person(Arc<Principal>),
    /// A program, by a live API token.
    Service(Arc<Service>),
}

impl Party {
    /// Its groups; `None` is nobody's.
    pub fn groups(&self) -> Option<&[String]> {
        match self {
            Self::Nobody => None,
            Self::Person(principal) => Some(&principal.account.groups),
            Self::Service(service) => Some(&service.token.groups),
        }
    }

    /// The assertions that its requests may reuse; `None` is told nothing about.
    pub fn passes(&self) -> Option<&Passes> {
        match self {
            Self::Nobody => None,
            Self::Person(principal) => Some(principal.passes()),
            Self::Service(service) => Some(service.passes()),
        }
    }

    /// The person, when it is one.
    pub const fn person(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Person(principal) => Some(principal),
            Self::Nobody | Self::Service(_) => None,
        }
    }

    /// The program, when it is one.
    pub const fn service(&self) -> Option<&Arc<Service>> {
        match self {
            Self::Service(service) => Some(service),
            Self::Nobody | Self::Person(_) => None,
        }
    }

    /// Whether somebody is known.
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

impl From<Option<&Arc<Principal>>> for Party {
    fn from(principal: Option<&Arc<Principal>>) -> Self {
        principal.map_or(Self::Nobody, |principal| Self::Person(Arc::clone(principal)))
    }
}
