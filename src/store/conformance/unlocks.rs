//! Stories of unlocks.

use tokio::task::JoinSet;

use super::*;
use crate::domain::unlock::Unlock;

stories! {
    an_unlock_is_found_as_it_was_issued,
    a_newer_unlock_ends_the_older_and_no_other_accounts,
    an_unlock_is_used_once_whoever_races,
    an_expired_unlock_is_of_no_use,
    an_account_was_sent_an_unlock_while_its_letter_may_arrive,
    a_removed_account_takes_its_unlocks_along,
    sweeping_takes_unlocks_that_have_expired,
}

fn fresh_unlock(account: &Account, second: i64) -> Unlock {
    Unlock {
        digest: fresh_digest(),
        account: account.id,
        letter: LetterId::new(fresh_uuid()),
        sent_to: Email::parse("Yuki@Example.com").unwrap(),
        created_at: at(second),
        expires_at: at(second + 100),
        ended_at: None,
    }
}

async fn issued(ports: &Ports, account: &Account, second: i64) -> Unlock {
    let unlock = fresh_unlock(account, second);
    assert!(ports.unlocks.issue(&unlock).await.unwrap());
    unlock
}

async fn used(ports: &Ports, unlock: &Unlock, second: i64) -> bool {
    let then = fact(Fact::BrowserUnlocked);
    ports.unlocks.use_up(&unlock.digest, at(second), then).await.unwrap()
}

async fn an_unlock_is_found_as_it_was_issued(ports: Ports) {
    let account = ports.active("101").await;
    let unlock = issued(&ports, &account, 1).await;
    assert_eq!(ports.unlocks.find(&unlock.digest).await.unwrap(), Some(unlock));
    assert_eq!(ports.unlocks.find(&fresh_digest()).await.unwrap(), None);
}

async fn a_newer_unlock_ends_the_older_and_no_other_accounts(ports: Ports) {
    let (account, other) = (ports.active("101").await, ports.active("102").await);
    let (older, others) = (issued(&ports, &account, 1).await, issued(&ports, &other, 1).await);
    let newer = issued(&ports, &account, 5).await;
    assert!(!used(&ports, &older, 6).await);
    let ended = ports.unlocks.find(&older.digest).await.unwrap().unwrap();
    assert_eq!(ended.ended_at, Some(at(5)));
    assert!(used(&ports, &newer, 6).await && used(&ports, &others, 6).await);
}

async fn an_unlock_is_used_once_whoever_races(ports: Ports) {
    let account = ports.active("101").await;
    let unlock = issued(&ports, &account, 1).await;
    let mut racers = JoinSet::new();
    for _ in 0..16 {
        let (unlocks, digest) = (Arc::clone(&ports.unlocks), unlock.digest);
        let then = fact(Fact::BrowserUnlocked);
        racers.spawn(async move { unlocks.use_up(&digest, at(2), then).await.unwrap() });
    }
    let winners = racers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
    let recorded = ports.facts().await;
    let unlocked = recorded.iter().filter(|name| **name == "browser.unlocked").count();
    assert_eq!(unlocked, 1, "what came to nothing is not recorded");
}

async fn an_expired_unlock_is_of_no_use(ports: Ports) {
    let account = ports.active("101").await;
    let (early, late) = (issued(&ports, &account, 1).await, fresh_unlock(&account, 2));
    assert!(!used(&ports, &early, 101).await);
    assert!(!used(&ports, &late, 3).await, "never issued");
    let other = issued(&ports, &account, 3).await;
    assert!(used(&ports, &other, 102).await);
}

async fn an_account_was_sent_an_unlock_while_its_letter_may_arrive(ports: Ports) {
    let account = ports.active("101").await;
    let nobodys = LetterId::new(fresh_uuid());
    let sent = async |since, besides| {
        let sent = ports.unlocks.sent_since(account.id, at(since), besides).await;
        sent.unwrap()
    };
    assert!(!sent(0, nobodys).await);
    let letter = welcome(account.id, at(10));
    ports.outbox.accept(letters(vec![letter.clone()])).await.unwrap();
    let carried = Unlock {
        letter: letter.id,
        ..fresh_unlock(&account, 10)
    };
    assert!(ports.unlocks.issue(&carried).await.unwrap());
    assert!(sent(9, nobodys).await, "its letter waits");
    assert!(!sent(10, nobodys).await, "long ago");
    assert!(!sent(9, letter.id).await, "its own letter is tried again");
    assert!(used(&ports, &carried, 11).await);
    assert!(sent(9, nobodys).await, "that it was used sends no second one");
    let gone = happened(Fact::LetterGivenUp("browser-unlock"), None, at(20));
    ports.outbox.given_up(letter.id, at(20), "550", gone).await.unwrap();
    assert!(!sent(9, nobodys).await, "nobody was ever sent it");
}

async fn a_removed_account_takes_its_unlocks_along(ports: Ports) {
    let account = ports.active("101").await;
    let unlock = issued(&ports, &account, 1).await;
    let removed = ports.accounts.remove(account.id, at(2), Consequences::default()).await;
    assert_eq!(removed.unwrap(), crate::ports::Change::Done);
    assert_eq!(ports.unlocks.find(&unlock.digest).await.unwrap(), None);
    assert!(!ports.unlocks.issue(&fresh_unlock(&account, 3)).await.unwrap());
}

async fn sweeping_takes_unlocks_that_have_expired(ports: Ports) {
    let (account, other) = (ports.active("101").await, ports.active("102").await);
    issued(&ports, &account, 1).await;
    let kept = issued(&ports, &other, 2).await;
    assert_eq!(ports.unlocks.sweep(at(102)).await.unwrap(), 1);
    assert!(ports.unlocks.find(&kept.digest).await.unwrap().is_some());
}
