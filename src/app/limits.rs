//! The policy of the limits as the configuration describes it.

use std::sync::Arc;

use crate::config::Limits;
use crate::domain::limits::Quota;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::policy::{Action, KeyKind, LaneFilter, LimitRule, Policy, RuleName};
use crate::domain::limits::regime::Regime;

/// What is in force under this configuration.
pub(super) fn regime(limits: &Limits) -> Regime {
    Regime {
        active: Arc::new(built_in(limits)),
        candidate: None,
    }
}

/// The rules behind the keys of `[limits]`; none where limits are switched off.
pub(super) fn built_in(limits: &Limits) -> Policy {
    use Endpoint::{AnyRequest, ApiToken, ChangePassword, ForgotPassword, SetPassword, SignIn};
    use KeyKind::{Account, Client, ClientAccount, Device};
    let (strangers, known) = (LaneFilter::Only(LaneKind::Strangers), LaneFilter::Only(LaneKind::Known));
    let any = LaneFilter::Any;
    let rules: [(&str, &[Endpoint], KeyKind, LaneFilter, Quota); 11] = [
        (
            "sign-in.client",
            &[SignIn, ChangePassword],
            Client,
            any,
            limits.sign_in_client,
        ),
        ("sign-in.account", &[SignIn], Account, strangers, limits.sign_in_account),
        (
            "sign-in.client+account",
            &[SignIn],
            ClientAccount,
            strangers,
            limits.sign_in_client_account,
        ),
        (
            "sign-in.device",
            &[SignIn],
            Device,
            known,
            limits.sign_in_client_account,
        ),
        (
            "sign-in.session",
            &[ChangePassword],
            Device,
            known,
            limits.sign_in_client_account,
        ),
        ("reset.client", &[ForgotPassword], Client, any, limits.reset_client),
        ("reset.email", &[ForgotPassword], Account, strangers, limits.reset_email),
        ("reset.device", &[ForgotPassword], Device, known, limits.reset_email),
        ("ticket.client", &[SetPassword], Client, any, limits.ticket_client),
        ("token.client", &[ApiToken], Client, any, limits.token_client),
        ("pages.client", &[AnyRequest], Client, any, limits.pages_client),
    ];
    let rule = |(name, endpoints, key, lane, quota): (&str, &[Endpoint], _, _, _)| {
        Some(LimitRule {
            name: RuleName::parse(name)?,
            endpoints: endpoints.to_vec(),
            key,
            lane,
            quota,
            in_flight: None,
            action: Action::Refuse,
            enabled: limits.enabled,
        })
    };
    Policy {
        rules: rules.into_iter().filter_map(rule).collect(),
        exempt: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::NameDigest;
    use crate::domain::limits::attempt::Attempt;

    fn attempt(endpoint: Endpoint, device: Option<u64>) -> Attempt {
        Attempt {
            account: Some(NameDigest(1, 1)),
            device: device.map(|number| NameDigest(number, 2)),
            ..Attempt::new(endpoint, ClientAddr::new("192.0.2.1".parse().unwrap()))
        }
    }

    fn drawn(policy: &Policy, attempt: &Attempt) -> Vec<String> {
        let draws = policy.draws(attempt);
        draws.iter().map(|draw| draw.bucket.rule.to_string()).collect()
    }

    #[test]
    fn known_devices_and_sessions_share_no_bucket_of_an_account_with_strangers() {
        let policy = built_in(&Limits::default());
        assert_eq!(policy.rules.len(), 11);
        let stranger = attempt(Endpoint::SignIn, None);
        assert_eq!(
            drawn(&policy, &stranger),
            ["sign-in.client", "sign-in.account", "sign-in.client+account"]
        );
        let device = attempt(Endpoint::SignIn, Some(1));
        assert_eq!(drawn(&policy, &device), ["sign-in.client", "sign-in.device"]);
        let session = attempt(Endpoint::ChangePassword, Some(1));
        assert_eq!(drawn(&policy, &session), ["sign-in.client", "sign-in.session"]);
        let (stranger, device) = (policy.draws(&stranger), policy.draws(&device));
        let shared = device.iter().filter(|draw| stranger.contains(draw));
        assert_eq!(shared.count(), 1, "that of the client");
        assert_eq!(device[1].quota, Limits::default().sign_in_client_account);
    }

    #[test]
    fn limits_that_are_switched_off_draw_on_nothing() {
        let off = Limits {
            enabled: false,
            ..Limits::default()
        };
        for endpoint in Endpoint::ALL {
            assert!(drawn(&built_in(&off), &attempt(endpoint, None)).is_empty());
        }
    }
}
