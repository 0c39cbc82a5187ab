//! The languages every page and letter exists in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language the gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Every language, in the order pages offer them.
    pub const ALL: [Self; 2] = [Self::En, Self::Ja];

    /// The BCP 47 tag: `en` or `ja`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// What stands between two sentences.
    pub const fn between_sentences(self) -> &'static str {
        match self {
            Self::En => " ",
            Self::Ja => "",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// The text names no language the gateway speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the language must be `en` or `ja`")]
pub struct UnknownLanguage;

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|language| language.tag().eq_ignore_ascii_case(text.trim()))
            .ok_or(UnknownLanguage)
    }
}
