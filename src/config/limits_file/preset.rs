//! The policies that come with the gateway. Their rules have the same names, so that what has been counted stays when one
//! takes the place of another.

use crate::config::limits::fixed;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::policy::{Action, KeyKind, LaneFilter, LimitRule, Policy, RuleName};

use Endpoint as At;
use KeyKind as By;

/// A policy to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// For trying things out, and for people who come through one address that nobody declared.
    Relaxed,
    /// What is in force where no policy is named.
    #[default]
    Standard,
    /// For a while of attack, and for gateways that few people use.
    Strict,
}

impl Preset {
    /// All of them, the widest first.
    pub const ALL: [Self; 3] = [Self::Relaxed, Self::Standard, Self::Strict];

    /// As it is written in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relaxed => "relaxed",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }

    /// The opposite of [`Preset::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }

    /// Its rules, and nobody exempt.
    pub fn policy(self) -> Policy {
        Policy {
            rules: RULES.iter().map(|template| template.rule(self)).collect(),
            exempt: Vec::new(),
        }
    }
}

/// One rule of all presets.
pub(super) struct Template {
    name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    endpoints: &'static [Endpoint],
    key: KeyKind,
    lane: LaneFilter,
    /// Relaxed, standard and strict.
    quotas: [&'static str; 3],
    actions: [Action; 3],
}

/// The rules, in the order of the file.
pub(super) const RULES: [Template; 14] = [
    Template::by_client(
        "sign-in.client",
        "Passwords tried from one client address (IPv6: one /64 network), to sign in or to confirm who is there. Only \
         wrong ones stay counted. Raise it where a whole office comes through one address that server.shared_addresses \
         cannot name.",
        &[At::SignIn, At::ChangePassword],
        ["300 per 15m", "30 per 15m", "20 per 15m"],
    ),
    Template::of_strangers(
        "sign-in.account",
        "Passwords that strangers try at one account from everywhere. Low enough to stop guessing from many addresses. \
         Browsers that have signed in to the account before do not draw on it, so that strangers cannot lock the owner \
         out at her own desk.",
        &[At::SignIn],
        By::Account,
        ["200 per 1h", "100 per 1h", "30 per 1h"],
    ),
    Template::of_strangers(
        "sign-in.client+account",
        "Passwords that strangers try at one account from one client address.",
        &[At::SignIn],
        By::ClientAccount,
        ["20 per 15m", "10 per 15m", "5 per 15m"],
    ),
    Template::by_device(
        "sign-in.device",
        "Passwords tried at one account in one browser that has signed in to it before.",
        &[At::SignIn],
        ["20 per 15m", "10 per 15m", "10 per 15m"],
    ),
    Template::by_device(
        "sign-in.session",
        "Passwords tried by somebody signed in, to change the password or to confirm who is there.",
        &[At::ChangePassword],
        ["20 per 15m", "10 per 15m", "5 per 15m"],
    ),
    Template::of_strangers(
        "sign-in.subnet",
        "Passwords that strangers try from one network (the /24 of IPv4, the /48 of IPv6): somebody with many addresses. \
         An office of five hundred behind one network, each of whom mistypes, stays below it.",
        &[At::SignIn],
        By::Subnet,
        ["2000 per 15m", "500 per 15m", "100 per 15m"],
    ),
    Template::of_strangers(
        "sign-in.password",
        "One password that strangers try at many accounts. It is known by a digest that lives for minutes, in memory \
         alone.",
        &[At::SignIn],
        By::Password,
        ["50 per 15m", "10 per 15m", "5 per 15m"],
    ),
    Template {
        actions: [Action::Notify, Action::Notify, Action::Slow],
        ..Template::of_strangers(
            "sign-in.global",
            "Passwords that strangers try in all: more than an office of five hundred mistypes in any hour. Beyond it \
         somebody is told. A rule that refuses here would let strangers keep everybody on a new device out.",
            &[At::SignIn],
            By::Global,
            ["10000 per 1h", "3000 per 1h", "1000 per 1h"],
        )
    },
    Template::by_client(
        "reset.client",
        "Requests for a new password from one client address.",
        &[At::ForgotPassword],
        ["100 per 1h", "10 per 1h", "5 per 1h"],
    ),
    Template::of_strangers(
        "reset.email",
        "Requests of strangers for a new password for one mail address, so that nobody's mailbox gets flooded.",
        &[At::ForgotPassword],
        By::Account,
        ["30 per 1h", "3 per 1h", "2 per 1h"],
    ),
    Template::by_device(
        "reset.device",
        "The same from one browser on which somebody has signed in, so that strangers close the address to strangers \
         alone.",
        &[At::ForgotPassword],
        ["30 per 1h", "3 per 1h", "2 per 1h"],
    ),
    Template::by_client(
        "ticket.client",
        "Links of letters opened from one client address.",
        &[At::SetPassword],
        ["600 per 15m", "60 per 15m", "30 per 15m"],
    ),
    Template::by_client(
        "token.client",
        "API tokens from one client address that were never made, or ended long ago. Beyond it tokens that are not \
         known are answered 429; those that are go on working.",
        &[At::ApiToken],
        ["600 per 15m", "60 per 15m", "30 per 15m"],
    ),
    Template::by_client(
        "pages.client",
        "Requests of any kind to the gateway's own pages from one client address. Requests to the web client are not \
         counted.",
        &[At::AnyRequest],
        ["6000 per 1m", "600 per 1m", "300 per 1m"],
    ),
];

impl Template {
    /// Whatever one client tries, whoever is known there.
    const fn by_client(
        name: &'static str,
        doc: &'static str,
        endpoints: &'static [Endpoint],
        quotas: [&'static str; 3],
    ) -> Self {
        Self::refusing(name, doc, endpoints, By::Client, LaneFilter::Any, quotas)
    }

    /// What strangers try.
    const fn of_strangers(
        name: &'static str,
        doc: &'static str,
        endpoints: &'static [Endpoint],
        key: KeyKind,
        quotas: [&'static str; 3],
    ) -> Self {
        Self::refusing(name, doc, endpoints, key, LaneFilter::Only(LaneKind::Strangers), quotas)
    }

    /// What is tried on one known device, or in one session.
    const fn by_device(
        name: &'static str,
        doc: &'static str,
        endpoints: &'static [Endpoint],
        quotas: [&'static str; 3],
    ) -> Self {
        Self::refusing(
            name,
            doc,
            endpoints,
            By::Device,
            LaneFilter::Only(LaneKind::Known),
            quotas,
        )
    }

    const fn refusing(
        name: &'static str,
        doc: &'static str,
        endpoints: &'static [Endpoint],
        key: KeyKind,
        lane: LaneFilter,
        quotas: [&'static str; 3],
    ) -> Self {
        Self {
            name,
            doc,
            endpoints,
            key,
            lane,
            quotas,
            actions: [Action::Refuse; 3],
        }
    }

    fn rule(&self, preset: Preset) -> LimitRule {
        let index = preset as usize;
        LimitRule {
            name: self.name(),
            endpoints: self.endpoints.to_vec(),
            key: self.key,
            lane: self.lane,
            quota: fixed(self.quotas[index]),
            in_flight: None,
            action: self.actions[index],
            enabled: true,
        }
    }

    #[expect(clippy::expect_used, reason = "only given the names above, which a test reads")]
    fn name(&self) -> RuleName {
        RuleName::parse(self.name).expect("a name of the presets")
    }
}
