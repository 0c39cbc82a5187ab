//! `[limits]`: how often may be tried.

use serde_json::json;

use super::Attacks;
use super::keys::forms::{Switch, parsed};
use super::keys::{Slot, Walker};
use crate::domain::limits::Quota;

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `false` switches all limits off, and says so in the log. Default `true`.
    pub enabled: bool,
    /// `sign_in_per_client`. Default `30 per 15m`.
    pub sign_in_client: Quota,
    /// `sign_in_per_account`. Default `100 per 1h`.
    pub sign_in_account: Quota,
    /// `sign_in_per_client_and_account`. Default `10 per 15m`.
    pub sign_in_client_account: Quota,
    /// `reset_per_client`. Default `10 per 1h`.
    pub reset_client: Quota,
    /// `reset_per_email`. Default `3 per 1h`.
    pub reset_email: Quota,
    /// `link_per_client`: links presented. Default `60 per 15m`.
    pub ticket_client: Quota,
    /// `token_per_client`. Default `60 per 15m`.
    pub token_client: Quota,
    /// `equal_resets`: equal reset requests, of which more are one. Default `1 per 1m`.
    pub reset_again: Quota,
    /// `mail_per_account`. Default `5 per 1h`.
    pub mail_account: Quota,
    /// `mail_per_client`. Default `10 per 1h`.
    pub mail_client: Quota,
    /// `mail_per_day`. Default `2000 per 1day`.
    pub mail_day: Quota,
    /// `pages_per_client`: any request to our own pages. Default `600 per 1m`.
    pub pages_client: Quota,
    /// What follows from attacks.
    pub attacks: Attacks,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            sign_in_client: fixed("30 per 15m"),
            sign_in_account: fixed("100 per 1h"),
            sign_in_client_account: fixed("10 per 15m"),
            reset_client: fixed("10 per 1h"),
            reset_email: fixed("3 per 1h"),
            ticket_client: fixed("60 per 15m"),
            token_client: fixed("60 per 15m"),
            reset_again: fixed("1 per 1m"),
            mail_account: fixed("5 per 1h"),
            mail_client: fixed("10 per 1h"),
            mail_day: fixed("2000 per 1day"),
            pages_client: fixed("600 per 1m"),
            attacks: Attacks::default(),
        }
    }
}

#[expect(clippy::expect_used, reason = "only given the texts above, which a test reads")]
pub(super) fn fixed(text: &str) -> Quota {
    text.parse().expect("a quota of the defaults")
}

impl Limits {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "limits",
            "How often may be tried. \"10 per 15m\" lets ten through at once and then one every 90 seconds. An attempt is \
             counted before it is judged, for names that exist and for names that do not.",
        );
        walker.key(
            "enabled",
            "false switches all limits off: passwords can then be guessed as fast as they can be hashed.",
            &Switch,
            Slot::Default(&mut self.enabled),
        );
        for (name, doc, quota) in [
            (
                "sign_in_per_client",
                "Sign-ins from one client address (IPv6: one /64 network). Raise it where a whole office comes through one \
                 address.",
                &mut self.sign_in_client,
            ),
            (
                "sign_in_per_account",
                "Sign-ins to one account from everywhere. Low enough to stop guessing from many addresses; not so low that \
                 strangers could lock somebody out easily.",
                &mut self.sign_in_account,
            ),
            (
                "sign_in_per_client_and_account",
                "Sign-ins to one account from one client address.",
                &mut self.sign_in_client_account,
            ),
            (
                "reset_per_client",
                "Requests for a new password from one client address.",
                &mut self.reset_client,
            ),
            (
                "reset_per_email",
                "Requests for a new password for one mail address, so that nobody's mailbox gets flooded. Browsers on which \
                 somebody has signed in are counted one by one, so that strangers close the address to strangers alone.",
                &mut self.reset_email,
            ),
            (
                "link_per_client",
                "Links of letters opened from one client address.",
                &mut self.ticket_client,
            ),
            (
                "token_per_client",
                "API tokens from one client address that were never made, or ended long ago. Beyond it tokens that are not \
                 known are answered 429; those that are go on working.",
                &mut self.token_client,
            ),
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
            (
                "pages_per_client",
                "Requests of any kind to the gateway's own pages from one client address. Requests to the web client are \
                 not counted.",
                &mut self.pages_client,
            ),
        ] {
            let form = parsed::<Quota>(json!({ "pattern": "^\\s*[0-9]+\\s* per .*[0-9]", "examples": ["10 per 15m"] }));
            walker.key(name, doc, &form, Slot::Default(quota));
        }
        self.attacks.walk(walker);
    }
}
