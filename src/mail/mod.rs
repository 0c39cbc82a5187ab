//! Letters to people: what they say ([`letters`]) and how they reach the mail server.

pub mod letters;
