//! Budgets that belong to no policy: what the gateway's own letters and equal requests in a row draw on. How large they
//! are stands in the configuration.

use super::ledger::{Draw, Subject};
use super::policy::RuleName;
use super::quota::Quota;

/// Such a budget. No rule of a policy has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fixed {
    /// Equal reset requests in a row: a held Enter key.
    ResetAgain,
    /// What one client repeats for one address.
    ResetRepeat,
    /// Sessions that one client presents and nobody has.
    SessionClient,
    /// Wishes of one client for links that unlock a browser.
    UnlockClient,
    /// Wishes for one name that become letters.
    UnlockName,
    /// Letters with links to one account, but for those its own devices ask for.
    MailAccount,
    /// Letters to one account that one of its own devices asked for.
    MailDevice,
    /// Letters that one client caused.
    MailClient,
    /// Reset letters in all.
    MailDay,
}

impl Fixed {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ResetAgain,
        Self::ResetRepeat,
        Self::SessionClient,
        Self::UnlockClient,
        Self::UnlockName,
        Self::MailAccount,
        Self::MailDevice,
        Self::MailClient,
        Self::MailDay,
    ];

    /// The stable name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetAgain => "reset.again",
            Self::ResetRepeat => "reset.repeat",
            Self::SessionClient => "session.client",
            Self::UnlockClient => "unlock.client",
            Self::UnlockName => "unlock.name",
            Self::MailAccount => "mail.account",
            Self::MailDevice => "mail.device",
            Self::MailClient => "mail.client",
            Self::MailDay => "mail.day",
        }
    }

    /// The budget of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fixed| fixed.as_str() == name)
    }

    /// One draw on it.
    pub fn draw(self, subject: Subject, quota: Quota) -> Draw {
        Draw::new(RuleName::fixed(self), subject, quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_budgets_have_names_that_a_rule_could_have() {
        for fixed in Fixed::ALL {
            let name = RuleName::fixed(fixed);
            assert_eq!(RuleName::parse(name.as_str()), Some(name));
            assert_eq!(Fixed::parse(fixed.as_str()), Some(fixed));
        }
    }
}
