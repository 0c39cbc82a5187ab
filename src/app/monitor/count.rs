//! Which counters a fact raises. The words are the domain's own, so that metrics, events and log say the same.

use crate::domain::event::Fact;
use crate::domain::ticket::Purpose;
use crate::telemetry::metrics::FactMetrics;

/// Counts one fact.
pub fn count(metrics: &FactMetrics, fact: &Fact) {
    let FactMetrics {
        events,
        sign_ins,
        resets,
        links,
        links_refused,
        letters,
        sessions_begun,
        sessions_ended,
        ..
    } = metrics;
    events.count(&[fact.name()]);
    match fact {
        Fact::SignedIn(_) => {
            sign_ins.count(&["done", "none"]);
            sessions_begun.inc();
        }
        // Not each throttled attempt is recorded; the limits' decisions are all counted, see `observed`.
        Fact::SignInRefused(reason) if reason.as_str() != "throttled" => {
            sign_ins.count(&["refused", reason.as_str()]);
        }
        Fact::SignedOut(_) => sessions_ended.count(&["signed-out"]),
        Fact::SessionDisplaced(..) => sessions_ended.count(&["displaced"]),
        Fact::SessionsEnded => sessions_ended.count(&["ended"]),
        Fact::AccountDisabled => sessions_ended.count(&["account-disabled"]),
        Fact::AccountRemoved => sessions_ended.count(&["account-removed"]),
        Fact::PasswordClosed(_) => sessions_ended.count(&["password-closed"]),
        Fact::ResetRequested => resets.count(&["requested", "none"]),
        Fact::LinkSent(purpose) => {
            links.count(&[purpose.as_str(), "sent"]);
            letters.count(&[purpose.as_str(), "sent"]);
            if *purpose == Purpose::Reset {
                resets.count(&["sent", "none"]);
            }
        }
        Fact::LinkWithheld(purpose, reason) => {
            links.count(&[purpose.as_str(), "withheld"]);
            letters.count(&[purpose.as_str(), "withheld"]);
            if *purpose == Purpose::Reset {
                resets.count(&["withheld", reason.as_str()]);
            }
        }
        Fact::LinkDelayed(purpose) => links.count(&[purpose.as_str(), "delayed"]),
        Fact::LinkPrinted(purpose) => links.count(&[purpose.as_str(), "printed"]),
        Fact::LinkOpened(purpose) => links.count(&[purpose.as_str(), "opened"]),
        Fact::LinkRefused(reason) => links_refused.count(&[reason.as_str()]),
        Fact::PasswordSet(purpose) => {
            links.count(&[purpose.as_str(), "used"]);
            sessions_ended.count(&["password-set"]);
            if *purpose == Purpose::Reset {
                resets.count(&["done", "none"]);
            }
        }
        Fact::NoticeSent(matter) => letters.count(&[matter, "sent"]),
        Fact::NoticeWithheld(matter, _) => letters.count(&[matter, "withheld"]),
        Fact::LetterGivenUp(matter) => {
            letters.count(&[matter, "given-up"]);
            if *matter == Purpose::Reset.as_str() {
                resets.count(&["given-up", "none"]);
            }
        }
        Fact::LetterBounced(matter, _) => letters.count(&[matter, "bounced"]),
        Fact::SignInRefused(_)
        | Fact::ResetRefused(_)
        | Fact::UnlockRequested
        | Fact::BrowserUnlocked
        | Fact::AccountCreated
        | Fact::AccountEnabled
        | Fact::AccountChanged(_)
        | Fact::PasswordImported
        | Fact::SignInConfirmed(_)
        | Fact::WelcomeRequested
        | Fact::PasswordChanged
        | Fact::TokenAdded(..)
        | Fact::TokenRevoked(..)
        | Fact::KeyRotated(_)
        | Fact::PepperRotated(_)
        | Fact::PepperDropped(_)
        | Fact::UpstreamTried(_)
        | Fact::ConfigTakenUp(_)
        | Fact::ConfigRefused(_)
        | Fact::UpgradeDone(_)
        | Fact::UpgradeFailed
        | Fact::LimitReached(_)
        | Fact::CampaignBegan(..)
        | Fact::CampaignSucceeded(..)
        | Fact::CampaignEnded(..)
        | Fact::LimitsTakenUp(_)
        | Fact::LimitsRefused(_)
        | Fact::LimitsPromoted(_)
        | Fact::LimitsReverted(_)
        | Fact::LimitsBanned(_)
        | Fact::LimitsUnbanned(_)
        | Fact::LimitsExempted(_)
        | Fact::LimitsExemptionEnded(_)
        | Fact::LimitsApplied(_)
        | Fact::LimitsOverrideEnded(_)
        | Fact::BackupCreated
        | Fact::BackupRestored => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Reason;
    use crate::domain::event::tests::every_fact;
    use crate::domain::session::SessionId;

    fn rest(metrics: &FactMetrics) -> u64 {
        let one = |counter: Option<&prometheus_client::metrics::counter::Counter>| counter.unwrap().get();
        [&metrics.sign_ins, &metrics.resets, &metrics.links, &metrics.letters]
            .map(|labelled| one(labelled.get(&["other", "other"])))
            .iter()
            .sum::<u64>()
            + [&metrics.events, &metrics.links_refused, &metrics.sessions_ended]
                .map(|labelled| one(labelled.get(&["other"])))
                .iter()
                .sum::<u64>()
    }

    #[test]
    fn every_fact_is_counted_under_a_name_of_its_own() {
        for fact in every_fact() {
            let metrics = FactMetrics::default();
            count(&metrics, &fact);
            assert_eq!(rest(&metrics), 0, "{fact:?} has no place in the lists of labels");
            let counted = metrics.events.get(&[fact.name()]);
            assert_eq!(counted.unwrap().get(), 1, "{fact:?}");
        }
    }

    #[test]
    fn every_reason_that_the_flows_give_has_a_series() {
        let metrics = FactMetrics::default();
        for reason in [
            Reason::UnknownName,
            Reason::WrongPassword,
            Reason::Disabled,
            Reason::NeverActivated,
            Reason::Throttled,
            Reason::Banned,
        ] {
            count(&metrics, &Fact::SignInRefused(reason));
        }
        for reason in [
            Reason::SharedEmail,
            Reason::UnknownName,
            Reason::Disabled,
            Reason::NoEmail,
            Reason::OverBudget,
            Reason::LinkFresh,
            Reason::Banned,
        ] {
            count(&metrics, &Fact::LinkWithheld(Purpose::Reset, reason));
        }
        for reason in [
            Reason::LinkExpired,
            Reason::LinkUsed,
            Reason::LinkReplaced,
            Reason::LinkOvertaken,
        ] {
            count(&metrics, &Fact::LinkRefused(reason));
        }
        assert_eq!(rest(&metrics), 0);
        let throttled = metrics.sign_ins.get(&["throttled", "throttled"]);
        assert_eq!(throttled.unwrap().get(), 0, "the limits count these, each one");
    }

    #[test]
    fn a_reset_for_a_shared_address_raises_its_own_counter() {
        let metrics = FactMetrics::default();
        count(&metrics, &Fact::ResetRequested);
        count(&metrics, &Fact::LinkWithheld(Purpose::Reset, Reason::SharedEmail));
        count(&metrics, &Fact::SignedIn(SessionId::new(uuid::Uuid::nil())));
        let of = |values: &[&str]| metrics.resets.get(values).unwrap().get();
        assert_eq!(of(&["requested", "none"]), 1);
        assert_eq!(of(&["withheld", "shared-email"]), 1);
        assert_eq!(of(&["withheld", "unknown-name"]), 0);
    }
}
