//! [`Mapping`]: what an operator says about the words of another system's log.

use std::collections::BTreeMap;

use super::LogFormat;

/// Keys and what they stand for, as typed: `client=ip`, `succeeded=200,302`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(BTreeMap<&'static str, String>);

/// Why a mapping was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingProblem {
    /// No `=`.
    #[error("{0:?} is not KEY=VALUE")]
    NoPair(String),
    /// Not a key of this format.
    #[error("{key:?} is no key for this format; there are {}", .known.join(", "))]
    Unknown {
        /// As typed.
        key: String,
        /// What there is.
        known: &'static [&'static str],
    },
    /// The same key twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// This format has nothing to map.
    #[error("this format has no keys to map")]
    Nothing,
    /// A status is a number.
    #[error("{key}={value}: not a list of statuses such as 200,302")]
    Statuses {
        /// The key.
        key: &'static str,
        /// As typed.
        value: String,
    },
}

/// Columns of a CSV file, and the words for outcomes.
pub(super) const COLUMNS: [&str; 9] = [
    "time",
    "client",
    "account",
    "outcome",
    "endpoint",
    "lane",
    "succeeded",
    "failed",
    "refused",
];

/// The path of the login page, and statuses.
pub(super) const STATUSES: [&str; 5] = ["path", "succeeded", "failed", "refused", "not-tried"];

impl Mapping {
    /// From what was typed, for this format.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse<T: AsRef<str>>(format: LogFormat, typed: &[T]) -> Result<Self, MappingProblem> {
        let known: &[&str] = match format {
            LogFormat::Csv => &COLUMNS,
            LogFormat::Nginx => &STATUSES,
            LogFormat::Authelia if typed.is_empty() => &[],
            LogFormat::Authelia => return Err(MappingProblem::Nothing),
        };
        let mut mapping = BTreeMap::new();
        for pair in typed.iter().map(AsRef::as_ref) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| MappingProblem::NoPair(pair.to_owned()))?;
            let key = known
                .iter()
                .copied()
                .find(|known| *known == key.trim())
                .ok_or_else(|| MappingProblem::Unknown {
                    key: key.to_owned(),
                    known,
                })?;
            if mapping.insert(key, value.trim().to_owned()).is_some() {
                return Err(MappingProblem::Twice(key));
            }
        }
        let mapping = Self(mapping);
        if format == LogFormat::Nginx {
            for key in STATUSES.into_iter().skip(1) {
                mapping.statuses(key)?;
            }
        }
        Ok(mapping)
    }

    /// What this key stands for, or itself.
    pub(super) fn word<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }

    /// What was typed for it.
    pub(super) fn typed(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The statuses that were typed for this key.
    pub(super) fn statuses(&self, key: &'static str) -> Result<Vec<u16>, MappingProblem> {
        let Some(typed) = self.typed(key) else {
            return Ok(Vec::new());
        };
        let parsed: Result<Vec<u16>, _> = typed.split(',').map(|status| status.trim().parse()).collect();
        parsed.map_err(|_| MappingProblem::Statuses {
            key,
            value: typed.to_owned(),
        })
    }
}
