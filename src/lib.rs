//! Sekisho (関所): an authentication gateway that owns sign-in in front of a web client it did not write.
//!
//! The name is that of the checkpoint on an old Japanese highway, where every traveller showed a pass. The gateway
//! checks the traveller, then hands on a signed pass: the assertion.
//!
//! # The map
//!
//! ```text
//! main -> cli -> app -> everything
//!         proxy -> web, flows, ports, domain,       web  -> flows, domain
//!                  telemetry
//!         flows -> ports, domain                    store, crypto, mail -> ports, domain, config
//!         config -> domain                          ports -> domain
//!         demo -> (nothing of ours but ports)       telemetry -> (tracing, metrics)
//! ```
//!
//! No arrow goes up. [`domain`] compiles with everything else deleted; [`proxy`] alone names Pingora, [`web`] alone
//! names HTML, [`store`] alone names SQL, [`crypto`] alone names Argon2 and keys. A test holds the map against the code.
//!
//! # The words
//!
//! | Word | Meaning |
//! |---|---|
//! | account | a person's record; its `generation` ends all sessions when raised |
//! | ticket | the single-use right to set a password, carried by a Welcome or reset link |
//! | doors | the in-office and out-of-office addresses that every link is built from |
//! | site, place | a web client behind the gateway; its name, its doors and the path on them where it begins |
//! | charter | what one configuration decides about requests; replaced as a whole |
//! | session, token, digest | the record; the bearer secret in the cookie; all that is stored of it |
//! | principal | who is asking |
//! | policy, permit | what the operator wrote; the proof that a request was let through |
//! | assertion | the signed statement to the upstream |
//! | quota, meter | how many per how long; the state of one bucket |
//! | letter, outbox | mail accepted and not yet sent |
//! | event | a recorded fact, with nothing secret in it |
//! | fault | something we depend on is not working; never shown to a stranger |
//!
//! # Three walks
//!
//! *A proxied request*: [`proxy::Gateway`] takes the [`proxy::Charter`] in force, refuses heads that can be read in two
//! ways, tells the client's address, answers our own paths through [`web::Portal`], chooses the site, asks
//! [`flows::Authenticate`] who it is, lets the site's [`domain::policy::Policy`] judge, and forwards only with the permit
//! that came of it. The assertion is set at the
//! last moment, where no client can nominate it away.
//!
//! *A sign-in*: [`web::Portal`] checks the origin and the form, [`flows::SignIn`] charges the limits, looks the name
//! up, computes exactly one hash whoever it is, and begins a session whose token exists only in the cookie.
//!
//! *A forgotten password*: [`flows::ForgotPassword`] accepts a letter and looks nobody up. Later
//! [`flows::DeliverLetters`] decides whether anybody is written to, and makes the link's token there.

pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod domain;
pub mod flows;
pub mod mail;
pub mod ports;
pub mod proxy;
pub mod store;
pub mod telemetry;
pub mod web;
