//! Limits: how many per how long, counted by whom. Pure: state in, decision and new state out.
//!
//! An attempt draws on several meters at once and is granted by all of them or by none. It is
//! reserved before any work is done and given back when it proves to be honest.

mod meter;
mod quota;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use meter::{Meter, Nanos};
pub use quota::{Quota, QuotaProblem};

/// Whose bucket an attempt draws on. Two kinds of attempt never share a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LimitKey {
    /// Sign-in attempts of one client.
    SignInClient(IpAddr),
    /// Sign-in attempts for one name, existing or invented.
    SignInName(NameDigest),
    /// Sign-in attempts of one client for one name.
    SignInClientName(IpAddr, NameDigest),
    /// Attempts to sign in to an account on a device that is known for it.
    SignInDevice(NameDigest),
    /// Attempts to give the password again in a session.
    SignInSession(NameDigest),
    /// Reset requests of one client.
    ResetClient(IpAddr),
    /// Reset requests of strangers for one address, existing or invented.
    ResetEmail(NameDigest),
    /// Reset requests for one address on one device where somebody has signed in.
    ResetDevice(NameDigest),
    /// Links presented by one client.
    TicketClient(IpAddr),
    /// Tokens of programs that open nothing, presented by one client. Apart from sign-ins: nobody guesses 256 bits, and a
    /// program with an old token must not keep the people at its address from signing in.
    TokenClient(IpAddr),
    /// Equal reset requests in a row: a held Enter key.
    ResetAgain(NameDigest),
    /// What one client repeats for one address.
    ResetRepeat(IpAddr, NameDigest),
    /// Letters with links to one account, but for those its own devices ask for.
    MailAccount(NameDigest),
    /// Letters to one account that one of its own devices asked for.
    MailDevice(NameDigest),
    /// Letters that one client caused.
    MailClient(IpAddr),
    /// Reset letters in all.
    MailDay,
}

impl LimitKey {
    /// The client, where nothing but the client is counted by.
    pub const fn client(&self) -> Option<IpAddr> {
        match self {
            Self::SignInClient(client)
            | Self::ResetClient(client)
            | Self::TicketClient(client)
            | Self::TokenClient(client)
            | Self::MailClient(client) => Some(*client),
            Self::SignInName(_)
            | Self::SignInClientName(..)
            | Self::SignInDevice(_)
            | Self::SignInSession(_)
            | Self::ResetEmail(_)
            | Self::ResetDevice(_)
            | Self::ResetAgain(_)
            | Self::ResetRepeat(..)
            | Self::MailAccount(_)
            | Self::MailDevice(_)
            | Self::MailDay => None,
        }
    }

    /// The names of all rules.
    pub const RULES: [&str; 16] = [
        "sign-in.client",
        "sign-in.account",
        "sign-in.client+account",
        "sign-in.device",
        "sign-in.session",
        "reset.client",
        "reset.email",
        "reset.device",
        "ticket.client",
        "token.client",
        "reset.again",
        "reset.repeat",
        "mail.account",
        "mail.device",
        "mail.client",
        "mail.day",
    ];

    /// The stable name of the rule in metrics and logs.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::SignInClient(_) => "sign-in.client",
            Self::SignInName(_) => "sign-in.account",
            Self::SignInClientName(..) => "sign-in.client+account",
            Self::SignInDevice(_) => "sign-in.device",
            Self::SignInSession(_) => "sign-in.session",
            Self::ResetClient(_) => "reset.client",
            Self::ResetEmail(_) => "reset.email",
            Self::ResetDevice(_) => "reset.device",
            Self::TicketClient(_) => "ticket.client",
            Self::TokenClient(_) => "token.client",
            Self::ResetAgain(_) => "reset.again",
            Self::ResetRepeat(..) => "reset.repeat",
            Self::MailAccount(_) => "mail.account",
            Self::MailDevice(_) => "mail.device",
            Self::MailClient(_) => "mail.client",
            Self::MailDay => "mail.day",
        }
    }
}

/// A name somebody typed, as a keyed digest: bounded in size, and no list of names in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NameDigest(pub u64, pub u64);

/// Whose buckets an attempt at a password draws on, apart from its client's. Strangers never draw on those of a known
/// device or of a session, so that they cannot lock anybody out who has signed in before (OWASP, device cookies).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Nobody the account has met: all of them share what may be tried for this name.
    Strangers(NameDigest),
    /// A device that is known for this account; the digest is over both.
    Device(NameDigest),
    /// A living session of the account.
    Session(NameDigest),
}

/// How often a password may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInLimits {
    /// From one client, for any name.
    pub client: Quota,
    /// For one name, from anywhere but known devices.
    pub account: Quota,
    /// From one client for one name; from one known device or session, too.
    pub client_account: Quota,
}

impl SignInLimits {
    /// What an attempt of this client in this lane draws on.
    pub fn draws(&self, client: IpAddr, lane: Lane) -> Vec<Draw> {
        let of_client = (LimitKey::SignInClient(client), self.client);
        let draws = match lane {
            Lane::Strangers(name) => vec![
                of_client,
                (LimitKey::SignInName(name), self.account),
                (LimitKey::SignInClientName(client, name), self.client_account),
            ],
            Lane::Device(device) => vec![of_client, (LimitKey::SignInDevice(device), self.client_account)],
            Lane::Session(session) => vec![of_client, (LimitKey::SignInSession(session), self.client_account)],
        };
        draws.into_iter().map(|(key, quota)| Draw { key, quota }).collect()
    }
}

/// One draw on one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Whose bucket.
    pub key: LimitKey,
    /// How large it is and how fast it refills.
    pub quota: Quota,
}

/// What the limits say to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every meter granted; what was drawn may be given back.
    Granted(Reservation),
    /// A meter refused; none was drawn on.
    Refused {
        /// When all meters would grant, if nobody else drew.
        retry_after: Duration,
        /// The rule that refuses for longest.
        rule: &'static str,
    },
}

/// What a granted attempt has drawn. Giving it back makes exactly that room again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation(pub Vec<Draw>);

/// Judges an attempt that draws once on each of `meters`, all or nothing. On a grant the meters are moved on.
///
/// # Errors
/// The longest wait any meter asks for, and its index.
pub fn reserve(meters: &mut [(Meter, &Quota)], now: Nanos) -> Result<(), (Duration, usize)> {
    let mut refused: Option<(Duration, usize)> = None;
    for (index, (meter, quota)) in meters.iter().enumerate() {
        if let Err(wait) = meter.draw(quota, now)
            && refused.is_none_or(|(longest, _)| wait > longest)
        {
            refused = Some((wait, index));
        }
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    for (meter, quota) in meters {
        if let Ok(drawn) = meter.draw(quota, now) {
            *meter = drawn;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_rules_has_the_rule_of_every_key() {
        let (client, name) = (IpAddr::from([192, 0, 2, 1]), NameDigest(1, 1));
        let keys = [
            LimitKey::SignInClient(client),
            LimitKey::SignInName(name),
            LimitKey::SignInClientName(client, name),
            LimitKey::SignInDevice(name),
            LimitKey::SignInSession(name),
            LimitKey::ResetClient(client),
            LimitKey::ResetEmail(name),
            LimitKey::ResetDevice(name),
            LimitKey::TicketClient(client),
            LimitKey::TokenClient(client),
            LimitKey::ResetAgain(name),
            LimitKey::ResetRepeat(client, name),
            LimitKey::MailAccount(name),
            LimitKey::MailDevice(name),
            LimitKey::MailClient(client),
            LimitKey::MailDay,
        ];
        assert_eq!(keys.map(|key| key.rule()), LimitKey::RULES);
    }

    #[test]
    fn a_known_device_and_a_session_share_no_bucket_of_a_name_with_strangers() {
        let limits = SignInLimits {
            client: "50 per 15m".parse().unwrap(),
            account: "100 per 15m".parse().unwrap(),
            client_account: "10 per 15m".parse().unwrap(),
        };
        let (client, digest) = (IpAddr::from([192, 0, 2, 1]), NameDigest(1, 1));
        let strangers = limits.draws(client, Lane::Strangers(digest));
        for lane in [Lane::Device(digest), Lane::Session(digest)] {
            let draws = limits.draws(client, lane);
            let shared: Vec<_> = draws.iter().filter(|draw| strangers.contains(draw)).collect();
            assert_eq!(shared.len(), 1, "{shared:?}");
            assert_eq!(shared[0].key, LimitKey::SignInClient(client));
            assert_eq!(draws[1].quota, limits.client_account, "guesses stay bounded");
        }
    }

    #[test]
    fn an_attempt_is_granted_by_all_meters_or_draws_on_none() {
        let (one, five): (Quota, Quota) = ("1 per 1m".parse().unwrap(), "5 per 1m".parse().unwrap());
        let mut meters = [(Meter::default(), &five), (Meter::default(), &one)];
        assert_eq!(reserve(&mut meters, Nanos(0)), Ok(()));
        let before = meters;
        assert_eq!(reserve(&mut meters, Nanos(0)), Err((Duration::from_mins(1), 1)));
        assert_eq!(meters, before);
    }
}
