//! What was recorded as events, by this process or by a command, in the events' own words.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{Labelled, names, register};

/// Counters of facts. A value that is on no list is counted as `other`.
#[derive(Clone, Debug)]
pub struct FactMetrics {
    /// Events, by name.
    pub events: Labelled<Counter>,
    /// Sign-ins, by result and reason.
    pub sign_ins: Labelled<Counter>,
    /// Resets, by result and reason.
    pub resets: Labelled<Counter>,
    /// Links, by purpose and step.
    pub links: Labelled<Counter>,
    /// Links that no longer work, by reason.
    pub links_refused: Labelled<Counter>,
    /// Letters, by kind and result.
    pub letters: Labelled<Counter>,
    /// Sessions begun.
    pub sessions_begun: Counter,
    /// Acts that end sessions, by reason.
    pub sessions_ended: Labelled<Counter>,
    /// Sessions removed when their time was over.
    pub sessions_swept: Counter,
}

const EVENTS: [&str; 56] = [
    "account.created",
    "account.disabled",
    "account.enabled",
    "account.removed",
    "account.changed",
    "password.imported",
    "sign-in.done",
    "sign-in.refused",
    "session.signed-out",
    "session.displaced",
    "sign-in.confirmed",
    "session.ended",
    "welcome.requested",
    "reset.requested",
    "reset.refused",
    "link.sent",
    "link.withheld",
    "link.printed",
    "link.delayed",
    "link.opened",
    "link.refused",
    "unlock.requested",
    "browser.unlocked",
    "password.set",
    "password.changed",
    "password.closed",
    "notice.sent",
    "notice.withheld",
    "letter.given-up",
    "letter.bounced",
    "token.added",
    "token.revoked",
    "key.rotated",
    "pepper.rotated",
    "pepper.dropped",
    "upstream.tried",
    "backup.created",
    "backup.restored",
    "config.taken-up",
    "config.refused",
    "upgrade.done",
    "upgrade.failed",
    "limits.reached",
    "campaign.began",
    "campaign.succeeded",
    "campaign.ended",
    "limits.taken-up",
    "limits.refused",
    "limits.promoted",
    "limits.reverted",
    "limits.banned",
    "limits.unbanned",
    "limits.exempted",
    "limits.exemption-ended",
    "limits.applied",
    "limits.override-ended",
];

const SIGN_INS: [[&str; 2]; 7] = [
    ["done", "none"],
    ["refused", "unknown-name"],
    ["refused", "wrong-password"],
    ["refused", "disabled"],
    ["refused", "never-activated"],
    ["refused", "banned"],
    ["throttled", "throttled"],
];

const RESETS: [[&str; 2]; 13] = [
    ["requested", "none"],
    ["repeated", "none"],
    ["throttled", "throttled"],
    ["sent", "none"],
    ["withheld", "shared-email"],
    ["withheld", "unknown-name"],
    ["withheld", "disabled"],
    ["withheld", "no-email"],
    ["withheld", "over-budget"],
    ["withheld", "link-fresh"],
    ["withheld", "banned"],
    ["given-up", "none"],
    ["done", "none"],
];

const STEPS: [&str; 6] = ["sent", "withheld", "delayed", "printed", "opened", "used"];

const LETTERS: [&str; 9] = [
    "welcome",
    "reset",
    "password-changed",
    "new-device",
    "email-changed",
    "account-unlocked",
    "campaign",
    "new-password",
    "browser-unlock",
];

const RESULTS: [&str; 5] = ["sent", "deferred", "withheld", "given-up", "bounced"];

impl Default for FactMetrics {
    fn default() -> Self {
        let purposes = ["welcome", "reset"].into_iter();
        Self {
            events: Labelled::with_rest(&names::EVENTS, EVENTS.map(|name| [name])),
            sign_ins: Labelled::with_rest(&names::SIGN_INS, SIGN_INS),
            resets: Labelled::with_rest(&names::RESETS, RESETS),
            links: Labelled::with_rest(
                &names::LINKS,
                purposes.flat_map(|purpose| STEPS.map(|step| [purpose, step])),
            ),
            links_refused: Labelled::with_rest(
                &names::LINKS_REFUSED,
                [["link-expired"], ["link-used"], ["link-replaced"], ["link-overtaken"]],
            ),
            letters: Labelled::with_rest(
                &names::LETTERS,
                LETTERS
                    .into_iter()
                    .flat_map(|kind| RESULTS.map(|result| [kind, result])),
            ),
            sessions_begun: Counter::default(),
            sessions_ended: Labelled::with_rest(
                &names::SESSIONS_ENDED,
                [
                    ["signed-out"],
                    ["ended"],
                    ["displaced"],
                    ["password-set"],
                    ["password-closed"],
                    ["account-disabled"],
                    ["account-removed"],
                ],
            ),
            sessions_swept: Counter::default(),
        }
    }
}

impl FactMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, &names::EVENTS, self.events.clone());
        register(registry, &names::SIGN_INS, self.sign_ins.clone());
        register(registry, &names::RESETS, self.resets.clone());
        register(registry, &names::LINKS, self.links.clone());
        register(registry, &names::LINKS_REFUSED, self.links_refused.clone());
        register(registry, &names::LETTERS, self.letters.clone());
        register(registry, &names::SESSIONS_BEGUN, self.sessions_begun.clone());
        register(registry, &names::SESSIONS_ENDED, self.sessions_ended.clone());
        register(registry, &names::SESSIONS_SWEPT, self.sessions_swept.clone());
    }
}
