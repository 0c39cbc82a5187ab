//! `[links]`: how long the links in letters work.

use std::time::Duration;

use super::keys::forms::Time;
use super::keys::{Slot, Walker};
use crate::domain::ticket::TicketLife;

pub(super) fn walk(links: &mut TicketLife, walker: &mut impl Walker) {
    walker.section(
        "links",
        "How long the links in letters work. Each works once, and only the newest of an account.",
    );
    walker.key(
        "welcome",
        "The link of a Welcome letter. Long enough for a weekend; whoever reads the letter first can use it.",
        &Time {
            least: Duration::from_secs(1),
            most: Duration::from_hours(30 * 24),
        },
        Slot::Default(&mut links.welcome),
    );
    walker.key(
        "reset",
        "The link for a forgotten password. Keep it short: mailboxes get read by others. In the first half of this time no \
         stranger's request takes its place.",
        &Time {
            least: Duration::from_secs(1),
            most: Duration::from_hours(24),
        },
        Slot::Default(&mut links.reset),
    );
}
