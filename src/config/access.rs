//! `[access]`: what of the web client may be seen without signing in.

use serde_json::json;

use super::keys::forms::{List, Text};
use super::keys::{Slot, Walker};
use crate::domain::policy::{Policy, Rule};

pub(super) fn walk(policy: &mut Policy, walker: &mut impl Walker) {
    walker.section(
        "access",
        "What of the web client may be seen without signing in. Everything else needs a session.",
    );
    let mut rules = policy.rules().to_vec();
    walker.key(
        "public",
        "Paths that need no session: \"/favicon.ico\" is exactly that path, \"/assets/*\" everything below. Whatever is \
         listed here is open to the whole world: list static files, never pages or an API.",
        &List { of: rule(), least: 0 },
        Slot::Default(&mut rules),
    );
    *policy = Policy::new(rules);
}

fn rule() -> Text<Rule> {
    Text {
        parse: |text| Rule::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: Rule::to_string,
        schema: json!({ "pattern": "^/", "examples": ["/favicon.ico", "/assets/*"] }),
    }
}
