//! The pages and the API, one file each, and the table that lists them.

mod account;
mod assets;
mod forgot_password;
mod health;
mod jwks;
mod language;
mod login;
mod logout;
mod session;
mod set_password;
mod signed_in;
mod unlock;

use crate::domain::unlock::PATH as UNLOCK_PATH;

use super::routes::{
    ACCOUNT_PATH, ASK_UNLOCK_PATH, Access, Action, JWKS_PATH, LANGUAGE_PATH, SESSION_PATH, SIGNED_IN_PATH, Table,
};
use super::settings::PortalRoutes;

/// Every route there is.
pub(super) fn table(routes: &PortalRoutes) -> Table {
    use Access::{Anyone, SignedIn};

    own_page(Table::default())
        .route("login.show", &routes.login, Anyone, Action::show(login::show))
        .route(
            "login.submit",
            &routes.login,
            Anyone,
            Action::submit(login::FIELDS, login::submit),
        )
        .route("logout.show", &routes.logout, Anyone, Action::show(logout::show))
        .route(
            "logout.submit",
            &routes.logout,
            Anyone,
            Action::submit(&[], logout::submit),
        )
        .route(
            "forgot-password.show",
            &routes.forgot_password,
            Anyone,
            Action::show(forgot_password::show),
        )
        .route(
            "forgot-password.submit",
            &routes.forgot_password,
            Anyone,
            Action::submit(forgot_password::FIELDS, forgot_password::submit),
        )
        .route(
            "set-password.show",
            &routes.set_password,
            Anyone,
            Action::show(set_password::show),
        )
        .route(
            "set-password.submit",
            &routes.set_password,
            Anyone,
            Action::submit(set_password::FIELDS, set_password::submit),
        )
        .route("session", SESSION_PATH, SignedIn, Action::show(session::show))
        .route("unlock.back", ASK_UNLOCK_PATH, Anyone, Action::show(unlock::back))
        .route(
            "unlock.ask",
            ASK_UNLOCK_PATH,
            Anyone,
            Action::submit(unlock::ASK_FIELDS, unlock::ask),
        )
        .route("unlock.show", UNLOCK_PATH, Anyone, Action::show(unlock::show))
        .route(
            "unlock.submit",
            UNLOCK_PATH,
            Anyone,
            Action::submit(unlock::FIELDS, unlock::submit),
        )
        .route(
            "session.use",
            SESSION_PATH,
            SignedIn,
            Action::submit(&[], session::keep),
        )
        .route("signed-in", SIGNED_IN_PATH, SignedIn, Action::show(signed_in::show))
        .route("language", LANGUAGE_PATH, Anyone, Action::show(language::show))
        .route(
            "health.live",
            "/.sekisho/health/live",
            Anyone,
            Action::show(health::live),
        )
        .route(
            "health.ready",
            "/.sekisho/health/ready",
            Anyone,
            Action::show(health::ready),
        )
        .route("assets", "/.sekisho/assets/{file}", Anyone, Action::show(assets::show))
        .route("jwks", JWKS_PATH, Anyone, Action::show(jwks::show))
}

/// The person's own page and its acts. A look at an act's address leads back to the page.
fn own_page(table: Table) -> Table {
    use Access::{Anyone, SignedIn};

    let below = |path: &str| format!("{ACCOUNT_PATH}{path}");
    let [end, end_others, end_all] = account::END_PATHS;
    let acts = [
        (
            "account.password",
            "/password",
            Action::submit(account::PASSWORD_FIELDS, account::password),
        ),
        ("account.end", end, Action::submit(account::END_FIELDS, account::end)),
        (
            "account.end-others",
            end_others,
            Action::submit(account::END_ALL_FIELDS, account::end_others),
        ),
        (
            "account.end-all",
            end_all,
            Action::submit(account::END_ALL_FIELDS, account::end_all),
        ),
        (
            "account.language",
            "/language",
            Action::submit(account::LANGUAGE_FIELDS, account::language),
        ),
    ];
    let page = table.route("account.show", ACCOUNT_PATH, SignedIn, Action::show(account::show));
    acts.into_iter().fold(page, |table, (name, path, act)| {
        table
            .route("account.back", &below(path), Anyone, Action::show(account::back))
            .route(name, &below(path), SignedIn, act)
    })
}
