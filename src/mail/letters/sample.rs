//! Every letter with sample data: for previews, and to try a theme before anybody receives it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{LetterPress, TEMPLATES, Written};
use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, Role};
use crate::domain::campaigns::{Campaign, CampaignId, Success};
use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::ticket::{NEW_PASSWORD_LIFE, TicketLife};
use crate::domain::token::{TicketToken, UnlockToken};
use crate::domain::unlock;
use crate::ports::{Alert, Content, Entry, Reader};

/// The kinds of letters, as they are named in the outbox.
pub const KINDS: [&str; 9] = [
    "welcome",
    "reset",
    "password-changed",
    "new-device",
    "email-changed",
    "account-unlocked",
    "new-password",
    "campaign",
    "browser-unlock",
];

/// Letters that read otherwise to some people, beside [`KINDS`].
const VARIANTS: [&str; 4] = [
    "campaign-over",
    "email-changed-former",
    "email-changed-to-disabled",
    "email-changed-former-to-disabled",
];

/// What ends the name of a letter to somebody whose account is disabled.
const TO_DISABLED: &str = "-to-disabled";

/// A link that is seen to be none: these are the characters of a token, and no ticket has it.
const TOKEN: &str = "THIS-IS-A-PREVIEW--THE-LINK-DOES-NOT-WORK-0";

/// What a sample tells of: a sign-in by a browser that many use.
const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";

impl LetterPress {
    /// One letter of a kind to a person who does not exist.
    ///
    /// # Errors
    /// When there is no such kind, or a template asks for something it was not given.
    pub fn sample(&self, kind: &str, language: Language, life: TicketLife, at: Timestamp) -> Result<Written, Fault> {
        let unknown = || {
            Fault::corrupt(
                format!("could not write a sample of {kind:?}"),
                "there is no such letter",
            )
        };
        let (kind, state) = kind
            .strip_suffix(TO_DISABLED)
            .map_or((kind, AccountState::Active), |kind| (kind, AccountState::Disabled));
        let token = TicketToken::parse(TOKEN).ok_or_else(unknown)?;
        let unlocking = UnlockToken::parse(TOKEN).ok_or_else(unknown)?;
        let client = ClientAddr::new(std::net::Ipv4Addr::new(203, 0, 113, 7).into());
        let content = match kind {
            "welcome" => Content::Welcome {
                token: &token,
                life: life.welcome,
            },
            "reset" => Content::Reset {
                token: &token,
                life: life.reset,
            },
            "password-changed" => Content::PasswordChanged { at },
            "new-device" => Content::NewDevice {
                at,
                client,
                user_agent: USER_AGENT,
            },
            "email-changed" => Content::EmailChanged { at, current: true },
            "email-changed-former" => Content::EmailChanged { at, current: false },
            "account-unlocked" => Content::AccountUnlocked { at },
            "browser-unlock" => Content::BrowserUnlock {
                token: &unlocking,
                life: unlock::LIFE,
                at,
                client,
            },
            "new-password" => Content::NewPassword {
                token: &token,
                life: life.reset.max(NEW_PASSWORD_LIFE),
                at,
            },
            "campaign" | "campaign-over" => {
                let campaign = Campaign::sample(kind == "campaign", at);
                let others = [Campaign {
                    id: CampaignId::after(Some(campaign.id), at),
                    ..Campaign::sample(false, at)
                }];
                let alert = Alert {
                    others: if kind == "campaign" { &others } else { &[] },
                    entries: entries(language, &campaign),
                    campaign: &campaign,
                    closes: kind == "campaign",
                };
                return self.write(Reader::in_language(language), &Content::Campaign(&alert), None);
            }
            _ => return Err(unknown()),
        };
        let person = person(language, state).ok_or_else(unknown)?;
        self.write(&person, &content, None)
    }

    /// Everything that is wrong with the templates, a line each: what cannot be written, which links are lost, what
    /// has no subject.
    pub fn problems(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for (name, _) in TEMPLATES.iter().filter(|(name, _)| is_text(name)) {
            if !self.source(name).starts_with("Subject:") {
                found.insert(format!(
                    "letters/{name}: the first line must be `Subject: ` and what the letter is about"
                ));
            }
        }
        for kind in KINDS.into_iter().chain(VARIANTS) {
            for language in Language::ALL {
                match self.sample(kind, language, TicketLife::default(), Timestamp::UNIX_EPOCH) {
                    Ok(written) => found.extend(self.lost_links(kind, language, &written)),
                    Err(fault) => {
                        found.insert(fault.chain());
                    }
                }
            }
        }
        found
            .into_iter()
            .map(|problem| format!("branding.theme: {problem}"))
            .collect()
    }

    /// A letter that is there for its links must show both.
    fn lost_links(&self, kind: &str, language: Language, written: &Written) -> Vec<String> {
        let page = match kind {
            "welcome" | "reset" | "new-password" => self.set_password.as_str(),
            "browser-unlock" => unlock::PATH,
            _ => return Vec::new(),
        };
        let path = format!("{page}?ticket={TOKEN}");
        let links = [
            ("in_office", self.doors.in_office.link(&path)),
            ("out_of_office", self.doors.out_of_office.link(&path)),
        ];
        let parts = [("txt", &written.text), ("html", &written.html)];
        parts
            .into_iter()
            .flat_map(|(form, text)| {
                links
                    .iter()
                    .filter(|(_, link)| !text.contains(link.as_str()))
                    .map(move |(door, _)| {
                        let file = kind.replace('-', "_");
                        format!("letters/{file}.{language}.{form}: it does not show {door}")
                    })
            })
            .collect()
    }
}

fn entries(language: Language, campaign: &Campaign) -> Vec<Entry> {
    let name = match language {
        Language::En => "101 Yuki Tanaka",
        Language::Ja => "101 田中 由紀",
    };
    let entry = |success: &Success| Entry {
        person: name.to_owned(),
        at: success.at,
        client: success.client,
    };
    campaign.successes.iter().map(entry).collect()
}

/// Names of templates are our own, in lower case.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a name of another case is no template"
)]
fn is_text(name: &str) -> bool {
    name.ends_with(".txt")
}

fn person(language: Language, state: AccountState) -> Option<Account> {
    let at = Timestamp::UNIX_EPOCH;
    Some(Account {
        id: AccountId::new(uuid::Uuid::nil()),
        extension: Extension::parse("101").ok()?,
        name: match language {
            Language::En => "Yuki Tanaka",
            Language::Ja => "田中 由紀",
        }
        .to_owned(),
        email: Email::parse("yuki@example.com").ok(),
        role: Role::User,
        groups: Vec::new(),
        language,
        state,
        generation: 1,
        created_at: at,
        updated_at: at,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{branding, press_of};
    use super::*;

    #[test]
    fn every_kind_has_a_sample_whose_link_says_that_it_is_none() {
        let press = press_of(&branding());
        for kind in KINDS {
            for language in Language::ALL {
                let written = press
                    .sample(kind, language, TicketLife::default(), Timestamp::UNIX_EPOCH)
                    .unwrap();
                assert!(!written.subject.is_empty());
                let links = matches!(kind, "welcome" | "reset" | "new-password" | "browser-unlock");
                assert_eq!(written.text.contains(TOKEN), links, "{kind}");
                assert_eq!(written.html.contains(TOKEN), links, "{kind}");
            }
        }
        assert!(
            press
                .sample("farewell", Language::En, TicketLife::default(), Timestamp::UNIX_EPOCH)
                .is_err()
        );
        assert_eq!(press.problems(), [""; 0]);
    }
}
