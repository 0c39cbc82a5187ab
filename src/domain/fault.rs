//! [`Fault`]: something we depend on is not working. Decisions are values; faults are errors.

use std::error::Error;

type Source = Box<dyn Error + Send + Sync + 'static>;

/// A dependency is not working. Strangers never see one; the edge logs the chain once and answers
/// with a status that opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store, the mail server or another part could not be reached or did not answer in time.
    #[error("{what}")]
    Unavailable {
        /// What was tried, and on what.
        what: String,
        /// Why it failed.
        #[source]
        source: Option<Source>,
    },
    /// A bounded resource is full; trying again shortly is the remedy.
    #[error("{what}")]
    Overloaded {
        /// Which resource is full.
        what: String,
    },
    /// Something stored cannot be understood.
    #[error("{what}")]
    Corrupt {
        /// What was read, and from where.
        what: String,
        /// Why it cannot be understood.
        #[source]
        source: Option<Source>,
    },
}

impl Fault {
    /// Something could not be reached: `what` says what was tried and on what.
    pub fn unavailable(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Unavailable {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// A bounded resource is full.
    pub fn overloaded(what: impl Into<String>) -> Self {
        Self::Overloaded { what: what.into() }
    }

    /// Something stored makes no sense.
    pub fn corrupt(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Corrupt {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// The whole chain in one line, for the operator's log.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            source = cause.source();
        }
        line
    }
}
