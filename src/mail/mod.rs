//! Letters to people: what they say ([`letters`]) and how they reach the mail server ([`smtp`]).

mod access;
mod clear_text;
pub mod letters;
mod mime;
mod relay;
pub mod sheet;
pub mod smtp;
#[cfg(test)]
mod tests;
