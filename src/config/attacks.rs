//! `[limits]`, what follows when an attack gets somewhere: who is told, and what becomes of the account.

use serde_json::json;

use super::keys::forms::{List, OneOf, Text};
use super::keys::{Slot, Walker};
use crate::domain::account::Email;

/// What follows from attacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attacks {
    /// `alert_to`: who is written to. Default: none, and everybody with the role admin is.
    pub alert_to: Vec<Email>,
    /// `compromised`: what becomes of an account that an attack got into. Default `notify`.
    pub compromised: Compromised,
}

/// What becomes of an account that an attack got into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compromised {
    /// The administrators are told.
    #[default]
    Notify,
    /// Its password opens nothing any more as well, its sessions end, and its person is mailed a link to set another.
    NewPassword,
}

impl Attacks {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.key(
            "alert_to",
            "Who is written to when a sign-in works that belongs to an attack: at most one letter an hour about each attack. \
             Without it, everybody with the role admin who has an address. See docs/limits.md.",
            &List {
                of: Text {
                    parse: |text| Email::parse(text).map_err(|why| format!("{text:?}: {why}")),
                    print: |email: &Email| email.as_typed().to_owned(),
                    schema: json!({ "format": "email" }),
                },
                least: 0,
            },
            Slot::Default(&mut self.alert_to),
        );
        walker.key(
            "compromised",
            "What becomes of an account that an attack got into: \"notify\" tells the administrators and leaves it as it is. \
             \"new-password\" also ends its sessions and takes its password away, and mails its person a link to set \
             another, where the address is nobody else's.",
            &OneOf(vec![
                ("notify", Compromised::Notify),
                ("new-password", Compromised::NewPassword),
            ]),
            Slot::Default(&mut self.compromised),
        );
    }
}
