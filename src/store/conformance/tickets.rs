//! Stories of tickets.

use tokio::task::JoinSet;

use super::*;
use crate::domain::account::LoginName;
use crate::domain::ticket::{TicketEnd, TicketState};
use crate::ports::{Changed, Issue};

stories! {
    a_ticket_is_found_as_it_was_issued_with_its_account,
    a_disabled_or_removed_account_is_issued_no_ticket,
    a_newer_ticket_replaces_the_older,
    redeeming_sets_the_password_and_ends_every_session,
    a_ticket_is_redeemed_once_whoever_races,
    a_dead_ticket_changes_nothing_and_says_why,
    a_ticket_of_a_disabled_account_is_unknown,
    the_other_live_tickets_end_with_a_redemption,
    sweeping_takes_what_has_expired,
    the_life_of_a_link_is_listed_and_opening_it_spends_nothing,
    a_link_stands_while_it_is_new_works_and_somebody_may_hold_it,
}

async fn a_link_stands_while_it_is_new_works_and_somebody_may_hold_it(ports: Ports) {
    let (account, other) = (ports.invited("101").await, ports.invited("102").await);
    let nobodys = LetterId::new(fresh_uuid());
    let stands = async |since, now, besides| {
        let stands = ports.tickets.stands(account.id, at(since), at(now), besides).await;
        stands.unwrap()
    };
    ports.ticket(&other, 10).await;
    assert!(!stands(0, 20, nobodys).await, "another's");
    let letter = welcome(account.id, at(10));
    ports.outbox.accept(letters(vec![letter.clone()])).await.unwrap();
    let carried = Ticket {
        way: Some(Way::Letter(letter.id)),
        ..fresh_ticket(account.id, at(10))
    };
    ports.tickets.issue(&carried).await.unwrap();
    assert!(stands(0, 20, nobodys).await, "its letter waits");
    assert!(!stands(10, 20, nobodys).await, "made too long ago");
    assert!(!stands(0, 110, nobodys).await, "expired");
    assert!(!stands(0, 20, letter.id).await, "its own letter is tried again");
    let refused = happened(Fact::LetterGivenUp("reset"), None, at(20));
    ports.outbox.given_up(letter.id, at(20), "550", refused).await.unwrap();
    assert!(!stands(0, 20, nobodys).await, "nobody was ever sent it");
    let printed = Ticket {
        way: Some(Way::Page),
        ..fresh_ticket(account.id, at(21))
    };
    ports.tickets.issue(&printed).await.unwrap();
    assert!(stands(0, 22, nobodys).await, "on paper");
    let swept = ports.ticket(&account, 23).await;
    assert!(stands(22, 24, nobodys).await, "its letter was swept");
    ports.redeem(&swept, "$new", 24).await;
    assert!(!stands(0, 25, nobodys).await, "used");
}

async fn the_life_of_a_link_is_listed_and_opening_it_spends_nothing(ports: Ports) {
    let (account, other) = (ports.invited("101").await, ports.invited("102").await);
    let elsewhere = ports.ticket(&other, 0).await;
    let older = ports.ticket(&account, 1).await;
    let page = Ticket {
        way: Some(Way::Page),
        ..fresh_ticket(account.id, at(5))
    };
    ports.tickets.issue(&page).await.unwrap();
    let opened = || happened(Fact::LinkOpened(Purpose::Reset), Some(account.id), at(6));
    for second in [6, 7] {
        ports.tickets.opened(&page.digest, at(second), opened()).await.unwrap();
    }
    ports.tickets.opened(&fresh_digest(), at(8), opened()).await.unwrap();
    assert_eq!(
        ports.facts().await,
        ["link.opened"; 2],
        "what is not there is not opened"
    );
    assert_eq!(ports.redeem(&page, "$new", 9).await, Redemption::Done);

    let listed = ports.tickets.list(Some(account.id), 9).await.unwrap();
    let lives: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one.ticket.way,
                one.ticket.ended,
                one.openings,
                one.opened_at,
                one.ended_at,
            )
        })
        .collect();
    assert_eq!(
        lives,
        [
            (Some(Way::Page), Some(TicketEnd::Used), 2, Some(at(7)), Some(at(9))),
            (older.way, Some(TicketEnd::Replaced), 0, None, Some(at(5))),
        ]
    );
    let everybody = ports.tickets.list(None, 9).await.unwrap();
    assert_eq!(everybody.len(), 3);
    assert_eq!(everybody[2].ticket, elsewhere);
    assert_eq!(ports.tickets.list(None, 1).await.unwrap().len(), 1);
}

async fn a_ticket_is_found_as_it_was_issued_with_its_account(ports: Ports) {
    let account = ports.invited("101").await;
    for purpose in [Purpose::Welcome, Purpose::Reset] {
        let ticket = Ticket {
            purpose,
            ..fresh_ticket(account.id, at(1))
        };
        assert_eq!(ports.tickets.issue(&ticket).await.unwrap(), Issue::Done);
        let found = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
        assert_eq!((found.ticket, &found.account), (ticket, &account));
    }
    assert!(ports.tickets.find(&fresh_digest()).await.unwrap().is_none());
}

async fn a_disabled_or_removed_account_is_issued_no_ticket(ports: Ports) {
    let account = ports.invited("101").await;
    ports
        .accounts
        .disable(account.id, at(1), Consequences::default())
        .await
        .unwrap();
    let ticket = fresh_ticket(account.id, at(2));
    assert_eq!(ports.tickets.issue(&ticket).await.unwrap(), Issue::NoAccount);
    ports
        .accounts
        .remove(account.id, at(3), Consequences::default())
        .await
        .unwrap();
    assert_eq!(ports.tickets.issue(&ticket).await.unwrap(), Issue::NoAccount);
    assert!(ports.tickets.find(&ticket.digest).await.unwrap().is_none());
}

async fn a_newer_ticket_replaces_the_older(ports: Ports) {
    let (account, other) = (ports.invited("101").await, ports.invited("102").await);
    let elsewhere = ports.ticket(&other, 0).await;
    let older = ports.ticket(&account, 0).await;
    let newer = ports.ticket(&account, 10).await;
    let refused = Redemption::Refused(TicketState::Replaced);
    assert_eq!(ports.redeem(&older, "$older", 11).await, refused);
    assert_eq!(ports.redeem(&newer, "$newer", 11).await, Redemption::Done);
    assert_eq!(ports.redeem(&elsewhere, "$other", 11).await, Redemption::Done);
}

async fn redeeming_sets_the_password_and_ends_every_session(ports: Ports) {
    let before = ports.active("101").await;
    let session = ports.sign_in(&before, 2).await;
    let ticket = ports.ticket(&before, 3).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let then = Consequences::event(happened(Fact::PasswordSet(Purpose::Reset), Some(before.id), at(4)));
    let then = then.and_letter(fresh_uuid(), Matter::PasswordChanged { account: before.id }, at(4));
    let redeemed = ports.tickets.redeem(&ticket.digest, &phc("$new"), at(4), then).await;
    assert_eq!(redeemed.unwrap(), Redemption::Done);

    let name = LoginName::Extension(before.extension.clone());
    let credential = ports.accounts.credential(&name).await.unwrap().unwrap();
    assert_eq!(credential.hash, Some(phc("$new")));
    let expected = Account {
        generation: before.generation + 1,
        updated_at: at(4),
        ..before.clone()
    };
    assert_eq!(credential.account, expected);
    let (kept, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert!(kept.generation < after.generation);
    assert_eq!(ports.accounts.list().await.unwrap()[0].password_set_at, Some(at(4)));
    assert_eq!(ports.facts().await, ["password.set"]);
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Account(before.id)]);
}

async fn a_ticket_is_redeemed_once_whoever_races(ports: Ports) {
    let account = ports.invited("101").await;
    let ticket = ports.ticket(&account, 0).await;
    let mut race = JoinSet::new();
    for runner in 0..20 {
        let tickets = Arc::clone(&ports.tickets);
        race.spawn(async move {
            let then = fact(Fact::PasswordSet(Purpose::Reset));
            let hash = phc(&format!("$runner-{runner}"));
            let outcome = tickets.redeem(&ticket.digest, &hash, at(1), then).await.unwrap();
            (hash, outcome)
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = race
        .join_all()
        .await
        .into_iter()
        .partition(|(_, outcome)| *outcome == Redemption::Done);
    assert_eq!(won.len(), 1);
    let used = Redemption::Refused(TicketState::Used);
    assert!(lost.iter().all(|(_, outcome)| *outcome == used), "{lost:?}");
    let name = LoginName::Extension(account.extension.clone());
    let credential = ports.accounts.credential(&name).await.unwrap().unwrap();
    assert_eq!(
        credential.hash.as_ref(),
        Some(&won[0].0),
        "the winner's password is the one that works"
    );
    assert_eq!(credential.account.generation, account.generation + 1);
    assert_eq!(
        ports.facts().await,
        ["password.set"],
        "only the winner has consequences"
    );
}

async fn a_dead_ticket_changes_nothing_and_says_why(ports: Ports) {
    let account = ports.invited("101").await;
    let ticket = ports.ticket(&account, 0).await;
    let redeem = async |ticket: &Ticket, second| {
        let then = fact(Fact::PasswordSet(Purpose::Reset));
        let redeemed = ports
            .tickets
            .redeem(&ticket.digest, &phc("$late"), at(second), then)
            .await;
        redeemed.unwrap()
    };
    let expired = Redemption::Refused(TicketState::Expired);
    assert_eq!(redeem(&ticket, 100).await, expired, "exactly at its expiry");
    assert_eq!(redeem(&fresh_ticket(account.id, at(0)), 1).await, Redemption::Unknown);
    assert!(ports.facts().await.is_empty());
    assert_eq!(ports.accounts.find(account.id).await.unwrap(), Some(account.clone()));
    assert_eq!(redeem(&ticket, 99).await, Redemption::Done);
    assert_eq!(redeem(&ticket, 99).await, Redemption::Refused(TicketState::Used));
    assert_eq!(redeem(&ticket, 200).await, Redemption::Refused(TicketState::Used));
    assert_eq!(ports.facts().await, ["password.set"]);
}

async fn a_ticket_of_a_disabled_account_is_unknown(ports: Ports) {
    let account = ports.invited("101").await;
    let ticket = ports.ticket(&account, 0).await;
    ports
        .accounts
        .disable(account.id, at(1), Consequences::default())
        .await
        .unwrap();
    assert_eq!(ports.redeem(&ticket, "$new", 2).await, Redemption::Unknown);
    ports
        .accounts
        .enable(account.id, at(3), Consequences::default())
        .await
        .unwrap();
    let replaced = Redemption::Refused(TicketState::Replaced);
    assert_eq!(
        ports.redeem(&ticket, "$new", 4).await,
        replaced,
        "it does not come back to life"
    );
    let name = LoginName::Extension(account.extension.clone());
    assert_eq!(ports.accounts.credential(&name).await.unwrap().unwrap().hash, None);
}

async fn the_other_live_tickets_end_with_a_redemption(ports: Ports) {
    let account = ports.invited("101").await;
    // Made on a machine whose clock is ahead, so that the next one did not yet see it as live ... or expired.
    let ahead = Ticket {
        expires_at: at(1000),
        ..fresh_ticket(account.id, at(500))
    };
    ports.tickets.issue(&ahead).await.unwrap();
    let expired = fresh_ticket(account.id, at(-500));
    ports.tickets.issue(&expired).await.unwrap();
    let live = ports.ticket(&account, 0).await;
    assert_eq!(ports.redeem(&live, "$new", 1).await, Redemption::Done);
    assert_eq!(
        ports.redeem(&ahead, "$other", 2).await,
        Redemption::Refused(TicketState::Replaced)
    );
    assert_eq!(
        ports.redeem(&expired, "$other", 2).await,
        Redemption::Refused(TicketState::Expired)
    );
}

async fn sweeping_takes_what_has_expired(ports: Ports) {
    let (first, second) = (ports.invited("101").await, ports.invited("102").await);
    let gone = ports.ticket(&first, 0).await;
    let kept = ports.ticket(&second, 1).await;
    assert_eq!(ports.tickets.sweep(at(101)).await.unwrap(), 1);
    assert!(ports.tickets.find(&gone.digest).await.unwrap().is_none());
    assert!(ports.tickets.find(&kept.digest).await.unwrap().is_some());
}
