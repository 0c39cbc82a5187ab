//! Stories of what comes back about letters.

use super::*;
use crate::domain::bounce::{Action, DeadAddress, Ignored, Report, StatusCode};
use crate::domain::outbox::Batch;
use crate::ports::{LetterListing, LetterStatus, Noting};

stories! {
    a_failure_ends_a_letter_once_and_speaks_against_its_address,
    a_later_letter_that_is_taken_forgives_the_address,
    a_delay_is_kept_and_changes_nothing_else,
    what_merely_took_too_long_speaks_against_no_address,
    a_report_about_a_letter_that_never_left_is_not_kept,
    addresses_that_nobody_has_are_forgotten_in_time,
    messages_that_told_nothing_are_counted_by_reason,
}

const YUKI: &str = "Yuki@example.com";

impl Ports {
    /// Hands a letter over, for this address.
    async fn sent(&self, email: &str, second: i64) -> LetterId {
        let letter = welcome(AccountId::new(fresh_uuid()), at(second));
        self.outbox.accept(letters(vec![letter.clone()])).await.unwrap();
        let most = Batch { others: 9, paced: 9 };
        self.outbox
            .take(at(second), most, Duration::from_secs(1))
            .await
            .unwrap();
        let (to, event) = (
            Email::parse(email).unwrap(),
            happened(Fact::AccountCreated, None, at(second)),
        );
        self.outbox
            .delivered(letter.id, &to, at(second), "250 taken", event)
            .await
            .unwrap();
        letter.id
    }

    async fn noted(&self, letter: LetterId, report: &Report, second: i64) -> Noting {
        let event = happened(Fact::LetterBounced("welcome", report.status), None, at(second));
        self.bounces.note(letter, report, at(second), event).await.unwrap()
    }

    async fn kept(&self, letter: LetterId) -> LetterListing {
        let kept = self.bounces.letter(letter).await.unwrap().unwrap();
        let listed = self.outbox.list(99).await.unwrap();
        assert!(listed.contains(&kept), "the same as in the list");
        kept
    }

    async fn dead(&self) -> Vec<String> {
        let dead = self.bounces.dead_addresses().await.unwrap();
        dead.into_iter().map(|dead| dead.key).collect()
    }
}

fn report(action: Action, status: &str) -> Report {
    Report {
        action,
        status: StatusCode::parse(status),
        words: Some("550 no such user '\"\u{65e5}".to_owned()),
    }
}

async fn a_failure_ends_a_letter_once_and_speaks_against_its_address(ports: Ports) {
    let letter = ports.sent(YUKI, 1).await;
    let failed = report(Action::Failed, "5.1.1");
    assert_eq!(ports.noted(letter, &failed, 5).await, Noting::Done);
    let again = report(Action::Failed, "5.2.2");
    assert_eq!(ports.noted(letter, &again, 6).await, Noting::Unchanged);
    assert_eq!(
        ports.noted(letter, &report(Action::Delayed, "4.4.1"), 7).await,
        Noting::Unchanged
    );
    let kept = ports.kept(letter).await;
    assert_eq!(kept.status, LetterStatus::Bounced(at(5)));
    assert_eq!(kept.sent_to.as_ref().unwrap().as_typed(), YUKI);
    assert_eq!(kept.words.as_deref(), Some("250 taken"));
    let bounce = kept.bounce.unwrap();
    assert_eq!((&bounce.report, bounce.at), (&failed, at(5)));
    let key = "yuki@example.com".to_owned();
    assert_eq!(
        ports.bounces.dead_addresses().await.unwrap(),
        [DeadAddress { key, bounce }]
    );
    assert_eq!(ports.facts().await, ["account.created", "letter.bounced"], "once");
}

async fn a_later_letter_that_is_taken_forgives_the_address(ports: Ports) {
    let letter = ports.sent(YUKI, 1).await;
    ports.noted(letter, &report(Action::Failed, "5.1.1"), 5).await;
    ports.sent("sam@example.com", 6).await;
    assert_eq!(ports.dead().await, ["yuki@example.com"]);
    ports.sent("YUKI@example.com", 7).await;
    assert!(ports.dead().await.is_empty());
    assert_eq!(ports.kept(letter).await.status, LetterStatus::Bounced(at(5)));
}

async fn a_delay_is_kept_and_changes_nothing_else(ports: Ports) {
    let letter = ports.sent(YUKI, 1).await;
    assert_eq!(
        ports.noted(letter, &report(Action::Delivered, "2.0.0"), 2).await,
        Noting::Unchanged
    );
    for second in [3, 4] {
        let late = report(Action::Delayed, "4.4.1");
        assert_eq!(ports.noted(letter, &late, second).await, Noting::Done);
        let kept = ports.kept(letter).await;
        assert_eq!(kept.status, LetterStatus::Delivered(at(1)));
        let bounce = kept.bounce.unwrap();
        assert_eq!((bounce.report, bounce.at), (late, at(second)));
    }
    assert!(ports.dead().await.is_empty());
    assert_eq!(ports.facts().await, ["account.created"]);
    assert_eq!(
        ports.noted(letter, &report(Action::Delivered, "2.0.0"), 5).await,
        Noting::Done
    );
    assert_eq!(ports.kept(letter).await.bounce, None);
    ports.noted(letter, &report(Action::Failed, "5.4.7"), 6).await;
    assert_eq!(ports.kept(letter).await.status, LetterStatus::Bounced(at(6)));
}

async fn what_merely_took_too_long_speaks_against_no_address(ports: Ports) {
    let letter = ports.sent(YUKI, 1).await;
    assert_eq!(
        ports.noted(letter, &report(Action::Failed, "4.4.7"), 5).await,
        Noting::Done
    );
    assert_eq!(ports.kept(letter).await.status, LetterStatus::Bounced(at(5)));
    assert!(ports.dead().await.is_empty());
}

async fn a_report_about_a_letter_that_never_left_is_not_kept(ports: Ports) {
    let failed = report(Action::Failed, "5.1.1");
    assert_eq!(
        ports.noted(LetterId::new(fresh_uuid()), &failed, 1).await,
        Noting::Unknown
    );
    let (waiting, withheld, given_up) = (
        welcome(AccountId::new(fresh_uuid()), at(1)),
        welcome(AccountId::new(fresh_uuid()), at(1)),
        welcome(AccountId::new(fresh_uuid()), at(1)),
    );
    let all = vec![waiting.clone(), withheld.clone(), given_up.clone()];
    ports.outbox.accept(letters(all)).await.unwrap();
    let event = || happened(Fact::AccountCreated, None, at(2));
    ports.outbox.withheld(withheld.id, at(2), event()).await.unwrap();
    ports.outbox.given_up(given_up.id, at(2), "550", event()).await.unwrap();
    assert_eq!(ports.noted(waiting.id, &failed, 3).await, Noting::NotYetSent);
    assert_eq!(ports.noted(withheld.id, &failed, 3).await, Noting::Unknown);
    assert_eq!(ports.noted(given_up.id, &failed, 3).await, Noting::Unknown);
    for letter in [waiting, withheld, given_up] {
        assert_eq!(ports.kept(letter.id).await.bounce, None);
    }
    assert!(!ports.facts().await.contains(&"letter.bounced"));
}

async fn addresses_that_nobody_has_are_forgotten_in_time(ports: Ports) {
    ports.invited_as("101", Some("held@example.com"), Role::User).await;
    for email in ["Held@example.com", "gone@example.com"] {
        let letter = ports.sent(email, 1).await;
        ports.noted(letter, &report(Action::Failed, "5.1.1"), 5).await;
    }
    ports.outbox.sweep(at(5)).await.unwrap();
    assert_eq!(ports.dead().await, ["gone@example.com", "held@example.com"]);
    assert_eq!(ports.outbox.sweep(at(6)).await.unwrap(), 2);
    assert_eq!(ports.dead().await, ["held@example.com"], "although its letter is gone");
}

async fn messages_that_told_nothing_are_counted_by_reason(ports: Ports) {
    assert!(ports.bounces.ignored().await.unwrap().is_empty());
    for why in [Ignored::Forged, Ignored::Untagged, Ignored::Forged] {
        ports.bounces.ignore(why).await.unwrap();
    }
    assert_eq!(
        ports.bounces.ignored().await.unwrap(),
        [(Ignored::Untagged, 1), (Ignored::Forged, 2)]
    );
}
