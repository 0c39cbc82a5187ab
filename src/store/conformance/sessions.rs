//! Stories of sessions and of the log of changes.

use super::*;
use crate::ports::{Changed, Renewal};

stories! {
    a_renewed_session_goes_on_under_its_new_token_alone,
    only_a_living_session_is_renewed_and_only_from_the_token_it_has,
    one_renewal_of_two_at_once_wins,
    one_session_too_many_ends_the_one_used_longest_ago,
    only_living_sessions_of_the_same_account_take_up_room,
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
    assert!(ports.sessions.begin(&session, None, &ROOMY, then).await.unwrap());
    let found = ports.sessions.find(&session.digest).await.unwrap();
    assert_eq!(found, Some((session.clone(), account)));
    assert_eq!(ports.sessions.find_by_id(session.id).await.unwrap(), found);
    let nobodys = SessionId::new(fresh_uuid());
    assert_eq!(ports.sessions.find_by_id(nobodys).await.unwrap(), None);
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
        let begun = ports
            .sessions
            .begin(&session, Some(replaced.digest), &room(1), then)
            .await;
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
        .begin(&new, Some(old.digest), &ROOMY, Consequences::default())
        .await;
    assert!(begun.unwrap());
    assert!(ports.sessions.find(&old.digest).await.unwrap().is_none());
    let third = fresh_session(&second, at(4));
    let begun = ports
        .sessions
        .begin(&third, Some(fresh_digest()), &ROOMY, Consequences::default())
        .await;
    assert!(begun.unwrap(), "nothing to replace is no obstacle");
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(old.digest)]);
}

async fn a_session_ends_once(ports: Ports) {
    let account = ports.active("101").await;
    let (one, two) = (ports.sign_in(&account, 2).await, ports.sign_in(&account, 3).await);
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    for id in [one.id, two.id] {
        assert!(ports.sessions.end(id, fact(Fact::SessionsEnded)).await.unwrap());
        assert!(!ports.sessions.end(id, fact(Fact::SessionsEnded)).await.unwrap());
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

fn renewal(session: &Session) -> Renewal {
    Renewal {
        account: session.account,
        session: session.id,
        old: session.digest,
        new: fresh_digest(),
    }
}

async fn renew(ports: &Ports, renewal: &Renewal, second: i64) -> bool {
    let then = fact(Fact::SignInConfirmed(renewal.session));
    ports.sessions.renew(renewal, at(second), then).await.unwrap()
}

async fn a_renewed_session_goes_on_under_its_new_token_alone(ports: Ports) {
    let account = ports.active("101").await;
    let session = ports.sign_in(&account, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let renewal = renewal(&session);
    assert!(renew(&ports, &renewal, 9).await);
    let expected = Session {
        digest: renewal.new,
        authenticated_at: at(9),
        last_seen_at: at(9),
        ..session.clone()
    };
    let found = Some((expected, account));
    assert_eq!(ports.sessions.find(&renewal.new).await.unwrap(), found);
    assert_eq!(ports.sessions.find_by_id(session.id).await.unwrap(), found);
    assert_eq!(ports.sessions.find(&session.digest).await.unwrap(), None);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(session.digest)]);
    assert_eq!(ports.facts().await, ["sign-in.confirmed"]);
    assert!(ports.sessions.end(session.id, Consequences::default()).await.unwrap());
    assert_eq!(ports.sessions.find(&renewal.new).await.unwrap(), None);
}

async fn only_a_living_session_is_renewed_and_only_from_the_token_it_has(ports: Ports) {
    let (account, other) = (ports.active("101").await, ports.active("102").await);
    let session = ports.sign_in(&account, 2).await;
    let sound = renewal(&session);
    let unsound = [
        Renewal {
            account: other.id,
            ..sound.clone()
        },
        Renewal {
            session: SessionId::new(fresh_uuid()),
            ..sound.clone()
        },
        Renewal {
            old: fresh_digest(),
            ..sound.clone()
        },
    ];
    for renewal in &unsound {
        assert!(!renew(&ports, renewal, 3).await, "{renewal:?}");
    }
    assert!(renew(&ports, &sound, 4).await);
    assert!(!renew(&ports, &sound, 5).await, "it has another token by now");
    let again = Renewal {
        old: sound.new,
        new: fresh_digest(),
        ..sound
    };
    ports
        .accounts
        .end_sessions(account.id, at(6), Consequences::default())
        .await
        .unwrap();
    assert!(!renew(&ports, &again, 7).await, "ended");
    let theirs = renewal(&ports.sign_in(&other, 8).await);
    ports
        .accounts
        .disable(other.id, at(9), Consequences::default())
        .await
        .unwrap();
    assert!(!renew(&ports, &theirs, 10).await, "disabled");
    assert_eq!(ports.facts().await, ["sign-in.confirmed"], "nothing else was recorded");
}

async fn one_renewal_of_two_at_once_wins(ports: Ports) {
    let account = ports.active("101").await;
    for second in 2..22 {
        let session = ports.sign_in(&account, second).await;
        let (one, other) = (renewal(&session), renewal(&session));
        let won = tokio::join!(renew(&ports, &one, 50), renew(&ports, &other, 50));
        assert!(won.0 != won.1, "{won:?}");
        let (winner, loser) = if won.0 { (one, other) } else { (other, one) };
        assert!(ports.sessions.find(&winner.new).await.unwrap().is_some());
        assert!(ports.sessions.find(&loser.new).await.unwrap().is_none());
    }
}

async fn one_session_too_many_ends_the_one_used_longest_ago(ports: Ports) {
    let account = ports.active("101").await;
    let (one, two, three) = (
        ports.sign_in(&account, 2).await,
        ports.sign_in(&account, 3).await,
        ports.sign_in(&account, 4).await,
    );
    ports.sessions.touch(&[(one.id, at(30))]).await.unwrap();
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let begin = async |most, replaces, second| {
        let session = fresh_session(&account, at(second));
        let then = fact(Fact::SignedIn(session.id));
        assert!(
            ports
                .sessions
                .begin(&session, replaces, &room(most), then)
                .await
                .unwrap()
        );
        session
    };
    let ids = async || {
        let listed = ports.sessions.list(Some(account.id)).await.unwrap();
        listed.into_iter().map(|(session, _)| session.id).collect::<Vec<_>>()
    };
    let four = begin(3, None, 40).await;
    assert_eq!(
        ids().await,
        [four.id, three.id, one.id],
        "the first has been used since"
    );
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(two.digest)]);
    assert_eq!(ports.facts().await, ["session.displaced", "sign-in.done"]);
    let five = begin(3, Some(four.digest), 41).await;
    assert_eq!(
        ids().await,
        [five.id, three.id, one.id],
        "what is replaced takes up no room"
    );
    let six = begin(1, None, 42).await;
    assert_eq!(ids().await, [six.id], "the operator has lowered the bound");
    let events = ports.events.list(EventFilter::newest(1000)).await.unwrap();
    let made_room = |session: &Session| Fact::SessionDisplaced(session.id, Reason::TooManySessions);
    let told: Vec<_> = events.into_iter().map(|event| event.fact).collect();
    for session in [&one, &two, &three, &five] {
        assert_eq!(told.iter().filter(|fact| **fact == made_room(session)).count(), 1);
    }
}

async fn only_living_sessions_of_the_same_account_take_up_room(ports: Ports) {
    let (account, other) = (ports.active("101").await, ports.active("102").await);
    let theirs = ports.sign_in(&other, 2).await;
    let mine = ports.sign_in(&account, 3).await;
    let dead = ports.sign_in(&account, 4).await;
    ports
        .accounts
        .end_other_sessions(account.id, mine.id, at(5), Consequences::default())
        .await
        .unwrap();
    let account = ports.accounts.find(account.id).await.unwrap().unwrap();
    let new = fresh_session(&account, at(6));
    let begun = ports
        .sessions
        .begin(&new, None, &room(2), Consequences::default())
        .await;
    assert!(begun.unwrap());
    for session in [theirs, mine, dead, new] {
        assert!(ports.sessions.find(&session.digest).await.unwrap().is_some());
    }
    assert!(ports.facts().await.is_empty());
}
