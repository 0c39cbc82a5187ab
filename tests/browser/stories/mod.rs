//! The stories, one file per kind.

mod accessibility;
mod account_page;
mod keyboard;
mod looks;
mod refusals;
mod single_page;
mod unlock;
mod way_of_a_user;
mod without_javascript;
