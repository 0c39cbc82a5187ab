//! `[limits]`: how often may be tried.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::Attacks;
use super::keys::forms::{Switch, Time, parsed, path};
use super::keys::{Slot, Walker};
use crate::domain::limits::Quota;

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `false` switches all limits off, and says so in the log. Default `true`.
    pub enabled: bool,
    /// `policy`: the policy file. Default none: the preset `standard`.
    pub policy: Option<PathBuf>,
    /// `candidate`: a policy file on trial. Default none.
    pub candidate: Option<PathBuf>,
    /// `equal_resets`: equal reset requests, of which more are one. Default `1 per 1m`.
    pub reset_again: Quota,
    /// `mail_per_account`. Default `5 per 1h`.
    pub mail_account: Quota,
    /// `mail_per_client`. Default `10 per 1h`.
    pub mail_client: Quota,
    /// `mail_per_day`. Default `2000 per 1day`.
    pub mail_day: Quota,
    /// What follows from attacks.
    pub attacks: Attacks,
    /// `keep_attempts`: how long what was tried is kept. Default `90d`.
    pub keep_attempts: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            policy: None,
            candidate: None,
            reset_again: fixed("1 per 1m"),
            mail_account: fixed("5 per 1h"),
            mail_client: fixed("10 per 1h"),
            mail_day: fixed("2000 per 1day"),
            attacks: Attacks::default(),
            keep_attempts: Duration::from_hours(90 * 24),
        }
    }
}

/// Keys that have become rules.
const MOVED: [(&str, &str); 8] = [
    ("sign_in_per_client", "the rule sign-in.client"),
    ("sign_in_per_account", "the rule sign-in.account"),
    (
        "sign_in_per_client_and_account",
        "the rule sign-in.client+account (with sign-in.device and sign-in.session)",
    ),
    ("reset_per_client", "the rule reset.client"),
    ("reset_per_email", "the rule reset.email (with reset.device)"),
    ("link_per_client", "the rule ticket.client"),
    ("token_per_client", "the rule token.client"),
    ("pages_per_client", "the rule pages.client"),
];

#[expect(clippy::expect_used, reason = "only given texts of the source, which tests read")]
pub(super) fn fixed(text: &str) -> Quota {
    text.parse().expect("a quota of the defaults")
}

impl Limits {
    /// Finds the policy files where `file`, which names them, lies.
    pub(super) fn lie_beside(&mut self, file: &Path) {
        let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let Some(directory) = whole.parent() else { return };
        for path in [&mut self.policy, &mut self.candidate].into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }

    /// Whether both name the same policies.
    pub fn names_the_files_of(&self, other: &Self) -> bool {
        (&self.policy, &self.candidate) == (&other.policy, &other.candidate)
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "limits",
            "How often may be tried: by a policy in a file of its own, and for letters by the keys below. \"10 per 15m\" lets \
             ten through at once and then one every 90 seconds.",
        );
        walker.key(
            "enabled",
            "false switches all limits off: passwords can then be guessed as fast as they can be hashed.",
            &Switch,
            Slot::Default(&mut self.enabled),
        );
        self.walk_policies(walker);
        for (name, doc, quota) in [
            (
                "equal_resets",
                "Equal requests for a new password in a row that are worth a letter each; more get the same answer and no \
                 letter. A held Enter key sends one.",
                &mut self.reset_again,
            ),
            (
                "mail_per_account",
                "Letters with links to one account. Beyond it a reset sends nothing, and a Welcome waits for its turn; \
                 an event and the log say so. What the account's own browsers ask for is counted apart.",
                &mut self.mail_account,
            ),
            (
                "mail_per_client",
                "Letters that reset requests of one client address cause. As often one client may repeat a request for \
                 one mail address, of which equal_resets makes one letter.",
                &mut self.mail_client,
            ),
            (
                "mail_per_day",
                "Reset letters in all, so that nobody spends your mail server's good name; a reset beyond it sends nothing. \
                 Welcomes do not count here: they leave at mail.rate.",
                &mut self.mail_day,
            ),
        ] {
            let form = parsed::<Quota>(json!({ "pattern": "^\\s*[0-9]+\\s* per .*[0-9]", "examples": ["10 per 15m"] }));
            walker.key(name, doc, &form, Slot::Default(quota));
        }
        walker.key(
            "keep_attempts",
            "How long it is kept what was tried, when, from which address and how it ended, for trying policies on it \
             (sekisho limits replay). Names and devices are kept as keyed digests, and of passwords nothing. \"0s\" keeps \
             nothing. At most five million attempts stay.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(731 * 24),
            },
            Slot::Default(&mut self.keep_attempts),
        );
        self.attacks.walk(walker);
    }

    /// The files that say what the keys of this section once said.
    fn walk_policies(&mut self, walker: &mut impl Walker) {
        walker.key(
            "policy",
            "The policy file: who may try what how often, in a file that another person may own, relative to this one. Begin \
             with a copy of config/limits.toml (sekisho limits example), which explains every rule. Without the key that is \
             the policy in force, the preset \"standard\".",
            &path(),
            Slot::Optional(&mut self.policy, "limits.toml".into()),
        );
        walker.key(
            "candidate",
            "A second policy file that is tried out beside the first, relative to this one: it judges every attempt and \
             stops none. Where there is no such file, nothing is on trial. sekisho limits promote puts it in force.",
            &path(),
            Slot::Optional(&mut self.candidate, "limits.candidate.toml".into()),
        );
        let same = self.policy.is_some() && self.policy == self.candidate;
        walker.check(&["limits.candidate", "limits.policy"], || {
            if same {
                return Err("it is the policy in force; name another file".to_owned());
            }
            Ok(())
        });
        for (name, rules) in MOVED {
            let instead =
                format!("it is now {rules} of the policy file; write its quota there, and the file into limits.policy");
            walker.moved(name, &instead);
        }
    }
}
