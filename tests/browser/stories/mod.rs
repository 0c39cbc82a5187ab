//! The stories, one file per kind.

mod accessibility;
mod keyboard;
mod looks;
mod refusals;
mod way_of_a_user;
mod without_javascript;
