//! The gateway as its users meet it: the real binary before a real upstream and a real mail server, each story of
//! the product and each refusal beside its success.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code; a broken expectation is how it reports"
)]

mod harness;

mod access;
mod account_page;
mod api_tokens;
mod architecture;
mod backup;
mod bans;
mod bodies;
mod bounces;
mod campaigns;
mod cli;
mod clients;
mod config;
mod crash;
mod demo;
mod devices;
mod enumeration;
mod forgot_password;
mod forward_auth;
mod fuzz;
mod headers;
mod hostile;
mod letters;
mod limits;
mod limits_actions;
mod limits_lab;
mod limits_policy;
mod links;
mod listeners;
mod logs;
mod meters;
mod metrics;
mod outage;
mod passwords;
mod people;
mod proxying;
mod reload;
mod sign_in;
mod sign_out;
mod single_page;
mod sites;
mod stopping;
mod streams;
mod surface;
mod systemd;
mod unlock;
mod upgrade;
mod upstream_verify;
mod upstreams;
mod verifiers;
mod welcome;
