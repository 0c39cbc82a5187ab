//! `[access]`: who may see what of the web client.

use serde_json::json;

use super::keys::forms::{List, Text};
use super::keys::{Slot, Walker};
use crate::domain::policy::Policy;
use crate::domain::rule::Rule;

pub(super) fn walk(policy: &mut Policy, walker: &mut impl Walker) {
    walker.section(
        "access",
        "Who may see what of the web client. Whatever is not spoken of here needs a session.",
    );
    let mut rules = policy.rules().to_vec();
    walker.key(
        "rules",
        "Rules, of which the first that speaks of a request decides: \"WHO [METHODS] PATH [at HOSTS] [from NETWORKS]\", with \
         WHO one of public, signed-in, deny, groups NAMES. Examples: \"groups admins /admin/*\", \"deny /debug/*\", \
         \"public GET /api/status from 10.0.0.0/8\". A star is one segment or part of it, at the end everything below; \
         several names are separated by commas. Every way in which a web client might read a path is judged, and the \
         strictest judgement counts; a rule closes its path with and without a slash at the end. Try one out: sekisho explain --url URL --as EXTENSION.",
        &List { of: rule(), least: 0 },
        Slot::Default(&mut rules),
    );
    let mut public = policy.public().to_vec();
    walker.key(
        "public",
        "Paths that need no session, asked after the rules: \"/favicon.ico\" is exactly that path, \"/assets/*\" everything below. Whatever is \
         listed here is open to the whole world: list static files, never pages or an API.",
        &List {
            of: public_path(),
            least: 0,
        },
        Slot::Default(&mut public),
    );
    *policy = Policy::new(rules, public);
}

fn rule() -> Text<Rule> {
    Text {
        parse: |text| Rule::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: Rule::to_string,
        schema: json!({ "examples": ["groups admins /admin/*", "deny /debug/*"] }),
    }
}

fn public_path() -> Text<Rule> {
    Text {
        parse: |text| Rule::public(text).map_err(|why| format!("{text:?}: {why}")),
        print: |rule| rule.path().to_owned(),
        schema: json!({ "pattern": "^/", "examples": ["/favicon.ico", "/assets/*"] }),
    }
}
