//! `[access]`: who may see what of the web client.

use serde_json::json;

use super::keys::forms::{List, Text};
use super::keys::{Slot, Walker};
use crate::domain::policy::Policy;
use crate::domain::rule::Rule;
use crate::domain::scope::Scope;
use crate::domain::sharing::Sharing;

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
    let mut shared = policy.shared().to_vec();
    walker.key(
        "cross_origin",
        "Pages of other origins that may use a part of the web client: \"ORIGINS PATH [with preflight]\". Where the gateway \
         itself answers such a page (sign in first, forbidden, not available), it lets the page read the answer, and such a \
         page may open WebSockets. What the web client answers has its own CORS headers. \"with preflight\" also answers the \
         question that browsers ask before a request (OPTIONS) without a session. Example: \"https://app.example.com \
         /api/*\". There is no star for every origin.",
        &List {
            of: sharing(),
            least: 0,
        },
        Slot::Default(&mut shared),
    );
    let mut bearer = policy.bearer().to_vec();
    walker.key(
        "bearer",
        "Where programs come with tokens that the web client itself gave them: \"[METHODS] PATH [at HOSTS] [from NETWORKS]\". \
         A request there with one \"Authorization: Bearer\" needs no session and carries no statement of who is asking; \
         whether the token is good only the web client knows, so list nothing that does not check it. What the rules deny \
         stays denied. API tokens of the gateway (sekisho token) need no line here and are never passed on.",
        &List {
            of: scope(),
            least: 0,
        },
        Slot::Default(&mut bearer),
    );
    *policy = Policy::new(rules, public).sharing(shared).passing(bearer);
}

fn scope() -> Text<Scope> {
    Text {
        parse: |text| Scope::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: Scope::to_string,
        schema: json!({ "examples": ["/api/v1/*", "GET,POST /hooks/* from 10.0.0.0/8"] }),
    }
}

fn rule() -> Text<Rule> {
    Text {
        parse: |text| Rule::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: Rule::to_string,
        schema: json!({ "examples": ["groups admins /admin/*", "deny /debug/*"] }),
    }
}

fn sharing() -> Text<Sharing> {
    Text {
        parse: |text| Sharing::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: Sharing::to_string,
        schema: json!({ "examples": ["https://app.example.com /api/*", "https://app.example.com /api/* with preflight"] }),
    }
}

fn public_path() -> Text<Rule> {
    Text {
        parse: |text| Rule::public(text).map_err(|why| format!("{text:?}: {why}")),
        print: |rule| rule.path().to_owned(),
        schema: json!({ "pattern": "^/", "examples": ["/favicon.ico", "/assets/*"] }),
    }
}
