//! Stories of sessions and of the log of changes.

use super::*;
use crate::ports::{Changed, SessionsToEnd};

stories! {
    giving_the_password_again_moves_the_sign_in_and_not_the_beginning,
    a_session_is_found_as_it_began_with_its_account,
    a_session_begins_only_for_an_active_account_of_its_generation,
    a_new_session_ends_the_one_it_replaces_whosever_it_was,
    a_session_ends_once,
    the_listing_is_newest_first,
    being_seen_moves_on_and_never_back,
    sweeping_takes_the_old_and_the_idle,
    changes_are_told_after_the_cursor_and_forgotten_by_age,
}

async fn a_session_is_found_as_it_began_with_its_account(ports: Ports) {
    let account = ports.active("101").await;
    let session = fresh_session(&account, at(2));
    let then = fact(Fact::SignedIn(session.id));
    assert!(ports.sessions.begin(&session, None, then).await.unwrap());
    let found = ports.sessions.find(&session.digest).await.unwrap();
    assert_eq!(found, Some((session, account)));
    assert_eq!(ports.sessions.find(&fresh_digest()).await.unwrap(), None);
    assert_eq!(ports.facts().await, ["sign-in.done"]);
}

async fn a_session_begins_only_for_an_active_account_of_its_generation(ports: Ports) {
    let (invited, disabled) = (ports.invited("101").await, ports.active("102").await);
    let moved_on = ports.active("103").await;
    let other = ports.active("104").await;
    let replaced = ports.sign_in(&other, 2).await;
    ports
        .accounts
        .disable(disabled.id, at(2), Consequences::default())
        .await
        .unwrap();
    let disabled = ports.accounts.find(disabled.id).await.unwrap().unwrap();
    ports
        .accounts
        .end_sessions(moved_on.id, at(2), Consequences::default())
        .await
        .unwrap();
    for account in [invited, disabled, moved_on, invitation("105", None, Role::User)] {
        let session = fresh_session(&account, at(3));
        let then = fact(Fact::SignedIn(session.id));
        let begun = ports.sessions.begin(&session, Some(replaced.digest), then).await;
        assert!(!begun.unwrap(), "{account:?}");
        assert!(ports.sessions.find(&session.digest).await.unwrap().is_none());
    }
    assert!(ports.facts().await.is_empty());
    assert!(
        ports.sessions.find(&replaced.digest).await.unwrap().is_some(),
        "nothing was replaced"
    );
    let list = ports.accounts.list().await.unwrap();
    let signed_in = list.iter().filter(|listing| listing.last_sign_in_at.is_some()).count();
    assert_eq!(signed_in, 1, "only the one who did");
}

async fn a_new_session_ends_the_one_it_replaces_whosever_it_was(ports: Ports) {
    let (first, second) = (ports.active("101").await, ports.active("102").await);
    let old = ports.sign_in(&first, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let new = fresh_session(&second, at(3));
    let begun = ports
        .sessions
        .begin(&new, Some(old.digest), Consequences::default())
        .await;
    assert!(begun.unwrap());
    assert!(ports.sessions.find(&old.digest).await.unwrap().is_none());
    let third = fresh_session(&second, at(4));
    let begun = ports
        .sessions
        .begin(&third, Some(fresh_digest()), Consequences::default())
        .await;
    assert!(begun.unwrap(), "nothing to replace is no obstacle");
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(old.digest)]);
}

async fn a_session_ends_once(ports: Ports) {
    let account = ports.active("101").await;
    let (one, two) = (ports.sign_in(&account, 2).await, ports.sign_in(&account, 3).await);
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    for which in [SessionsToEnd::ByDigest(one.digest), SessionsToEnd::ById(two.id)] {
        assert!(ports.sessions.end(which, fact(Fact::SessionsEnded)).await.unwrap());
        assert!(!ports.sessions.end(which, fact(Fact::SessionsEnded)).await.unwrap());
    }
    assert!(ports.sessions.list(None).await.unwrap().is_empty());
    assert_eq!(ports.facts().await, ["session.ended"; 2]);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(one.digest), Changed::Session(two.digest)]);
}

async fn the_listing_is_newest_first(ports: Ports) {
    let (first, second) = (ports.active("101").await, ports.active("102").await);
    let one = ports.sign_in(&first, 3).await;
    let two = ports.sign_in(&second, 5).await;
    let three = ports.sign_in(&first, 4).await;
    let ids = async |account| {
        let listed = ports.sessions.list(account).await.unwrap();
        listed.into_iter().map(|(session, _)| session.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None).await, [two.id, three.id, one.id]);
    assert_eq!(ids(Some(first.id)).await, [three.id, one.id]);
}

async fn being_seen_moves_on_and_never_back(ports: Ports) {
    let account = ports.active("101").await;
    let (one, two) = (ports.sign_in(&account, 2).await, ports.sign_in(&account, 2).await);
    let gone = SessionId::new(fresh_uuid());
    let seen = [(one.id, at(60)), (gone, at(61)), (two.id, at(62)), (two.id, at(50))];
    ports.sessions.touch(&seen).await.unwrap();
    ports.sessions.touch(&[(one.id, at(30))]).await.unwrap();
    ports.sessions.touch(&[]).await.unwrap();
    let last_seen = async |session: &Session| {
        let (found, _) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
        found.last_seen_at
    };
    assert_eq!((last_seen(&one).await, last_seen(&two).await), (at(60), at(62)));
}

async fn sweeping_takes_the_old_and_the_idle(ports: Ports) {
    let account = ports.active("101").await;
    let old = ports.sign_in(&account, 2).await;
    let idle = ports.sign_in(&account, 10).await;
    let busy = ports.sign_in(&account, 10).await;
    ports
        .sessions
        .touch(&[(old.id, at(100)), (busy.id, at(20))])
        .await
        .unwrap();
    assert_eq!(ports.sessions.sweep(at(10), at(20)).await.unwrap(), 2);
    assert!(ports.sessions.find(&busy.digest).await.unwrap().is_some());
    assert!(ports.sessions.find(&idle.digest).await.unwrap().is_none());
    assert_eq!(ports.sessions.sweep(at(10), at(20)).await.unwrap(), 0);
}

async fn changes_are_told_after_the_cursor_and_forgotten_by_age(ports: Ports) {
    let (none, start) = ports.sessions.changes_since(None).await.unwrap();
    assert!(none.is_empty());
    let (first, second) = (ports.invited("101").await, ports.invited("102").await);
    ports
        .accounts
        .disable(first.id, at(10), Consequences::default())
        .await
        .unwrap();
    ports
        .accounts
        .disable(second.id, at(20), Consequences::default())
        .await
        .unwrap();
    let (changes, middle) = ports.sessions.changes_since(Some(start)).await.unwrap();
    assert_eq!(changes, [Changed::Account(first.id), Changed::Account(second.id)]);
    assert_eq!(ports.sessions.changes_since(None).await.unwrap(), (vec![], middle));
    assert_eq!(
        ports.sessions.changes_since(Some(middle)).await.unwrap(),
        (vec![], middle)
    );

    ports.sessions.sweep_changes(at(20)).await.unwrap();
    let (left, _) = ports.sessions.changes_since(Some(start)).await.unwrap();
    assert_eq!(left, [Changed::Account(second.id)]);
    ports.sessions.sweep_changes(at(100)).await.unwrap();
    ports
        .accounts
        .enable(first.id, at(30), Consequences::default())
        .await
        .unwrap();
    let (changes, newest) = ports.sessions.changes_since(Some(middle)).await.unwrap();
    assert_eq!(
        changes,
        [Changed::Account(first.id)],
        "a cursor outlives what was forgotten"
    );
    assert!(newest > middle);
}

async fn giving_the_password_again_moves_the_sign_in_and_not_the_beginning(ports: Ports) {
    let account = ports.active("101").await;
    let session = ports.sign_in(&account, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let confirm = async |id| {
        let then = fact(Fact::SignInConfirmed(id));
        ports.sessions.confirm(id, at(9), then).await.unwrap()
    };
    assert!(confirm(session.id).await);
    assert!(!confirm(SessionId::new(fresh_uuid())).await);
    let (after, _) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    let expected = Session {
        authenticated_at: at(9),
        ..session.clone()
    };
    assert_eq!(after, expected);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(session.digest)]);
    assert_eq!(ports.facts().await, ["sign-in.confirmed"]);
}
