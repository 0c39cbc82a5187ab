//! Letters to people: what they say ([`letters`]), how they reach the mail server ([`smtp`]) and what comes back
//! ([`bounce`]).

mod access;
pub mod bounce;
mod clear_text;
pub mod letters;
mod mime;
mod relay;
mod return_path;
pub mod sheet;
pub mod smtp;
#[cfg(test)]
mod tests;

pub use access::check as check_access;
pub use return_path::ReturnPath;
