//! Stories of attacks, and of passwords that are taken away because of them.

use super::*;
use crate::domain::account::LoginName;
use crate::domain::campaigns::tests::attack;
use crate::domain::campaigns::{Campaign, CampaignId, Kind};
use crate::ports::{Change, Changed, Stored};

stories! {
    a_campaign_comes_back_as_it_was_stored_last,
    campaigns_are_listed_by_when_they_were_last_seen,
    campaigns_told_of_at_a_moment_are_found_however_long_they_last_and_whatever_came_since,
    what_follows_from_campaigns_is_stored_once_however_often_it_is_tried,
    campaigns_of_long_ago_are_swept_and_those_under_way_are_not,
    a_password_that_is_taken_away_opens_nothing_and_a_link_sets_another,
    a_password_set_since_is_left_alone,
    a_disabled_account_loses_its_password_and_stays_disabled,
}

fn campaign(second: i64) -> Campaign {
    attack(Kind::Spraying, second)
}

async fn campaigns_told_of_at_a_moment_are_found_however_long_they_last_and_whatever_came_since(ports: Ports) {
    let mut last = None;
    let mut told = |told_at: Option<&str>, second: i64| {
        let id = CampaignId::after(last, at(0));
        last = Some(id);
        Campaign {
            id,
            told_at: told_at.map(|told_at| told_at.parse().unwrap()),
            last_at: at(second),
            ..campaign(10)
        }
    };
    let listed = [
        told(Some("2027-01-31T05:59:59.9999Z"), 0),
        told(Some("2027-01-31T06:00:00Z"), 1),
        told(Some("2027-01-31T06:00:00.0009Z"), 999_999),
        told(Some("2027-01-31T06:00:00.001Z"), 0),
        told(Some("2027-01-31T06:00:00.12Z"), 0),
        told(Some("2027-01-31T06:00:00.1203Z"), 0),
        told(Some("2027-01-31T06:00:00.121Z"), 0),
        told(None, 0),
    ];
    put(&ports, &listed).await;
    for (moment, found) in [
        ("2027-01-31T06:00:00Z", &listed[1..3]),
        ("2027-01-31T06:00:00.0005Z", &listed[1..3]),
        ("2027-01-31T05:59:59.999Z", &listed[..1]),
        ("2027-01-31T06:00:00.12Z", &listed[4..6]),
        ("2027-01-31T06:00:00.002Z", &[]),
    ] {
        assert_eq!(told_at(&ports, moment, 9).await, found, "{moment}");
    }
    assert_eq!(told_at(&ports, "2027-01-31T06:00:00Z", 1).await, listed[1..2]);
}

fn read(stored: Vec<Stored>) -> Vec<Campaign> {
    stored.into_iter().map(Result::unwrap).collect()
}

async fn told_at(ports: &Ports, moment: &str, most: usize) -> Vec<Campaign> {
    let told = ports.campaigns.told_at(moment.parse().unwrap(), most);
    read(told.await.unwrap())
}

async fn living(ports: &Ports) -> Vec<Campaign> {
    read(ports.campaigns.living().await.unwrap())
}

async fn listed(ports: &Ports, since: Timestamp, most: usize) -> Vec<Campaign> {
    read(ports.campaigns.list(since, most).await.unwrap())
}

async fn what_follows_from_campaigns_is_stored_once_however_often_it_is_tried(ports: Ports) {
    let one = campaign(10);
    let matter = Matter::Campaign {
        to: crate::domain::account::Email::parse("security@example.com").unwrap(),
        campaign: one.id,
    };
    let then = fact(Fact::CampaignBegan(one.kind, one.id)).and_letter(Uuid::from_u128(5), matter, at(10));
    for _ in 0..2 {
        ports
            .campaigns
            .put(std::slice::from_ref(&one), then.clone())
            .await
            .unwrap();
    }
    assert_eq!(living(&ports).await, [one]);
    assert_eq!(ports.facts().await, ["campaign.began"]);
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
}

async fn put(ports: &Ports, campaigns: &[Campaign]) {
    ports.campaigns.put(campaigns, Consequences::default()).await.unwrap();
}

async fn a_campaign_comes_back_as_it_was_stored_last(ports: Ports) {
    let mut one = campaign(10);
    let then = fact(Fact::CampaignBegan(one.kind, one.id));
    ports.campaigns.put(std::slice::from_ref(&one), then).await.unwrap();
    assert_eq!(ports.campaigns.find(one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(living(&ports).await, [one.clone()]);
    one.attempts += 1000;
    one.ended_at = Some(at(99));
    put(&ports, std::slice::from_ref(&one)).await;
    assert_eq!(ports.campaigns.find(one.id).await.unwrap(), Some(one));
    assert_eq!(living(&ports).await, []);
    let none = CampaignId::parse("1").unwrap();
    assert_eq!(ports.campaigns.find(none).await.unwrap(), None);
    assert_eq!(ports.facts().await, ["campaign.began"]);
}

async fn campaigns_are_listed_by_when_they_were_last_seen(ports: Ports) {
    let (old, new) = (campaign(10), campaign(5000));
    put(&ports, &[new.clone(), old.clone()]).await;
    assert_eq!(listed(&ports, at(0), 9).await, [new.clone(), old.clone()]);
    assert_eq!(listed(&ports, at(0), 1).await, std::slice::from_ref(&new));
    assert_eq!(listed(&ports, new.last_at, 9).await, [new]);
}

async fn campaigns_of_long_ago_are_swept_and_those_under_way_are_not(ports: Ports) {
    let (living, mut over) = (campaign(10), campaign(5000));
    over.ended_at = Some(at(6000));
    put(&ports, &[living.clone(), over.clone()]).await;
    assert_eq!(ports.campaigns.sweep(at(6000)).await.unwrap(), 0);
    assert_eq!(ports.campaigns.sweep(at(6001)).await.unwrap(), 1);
    assert_eq!(listed(&ports, at(0), 9).await, [living]);
}

async fn close(ports: &Ports, account: &Account, set_by: i64, second: i64) -> Change {
    let then = fact(Fact::PasswordClosed(CampaignId::parse("1").unwrap()));
    let closed = ports.accounts.close_password(account.id, at(set_by), at(second), then);
    closed.await.unwrap()
}

async fn a_password_that_is_taken_away_opens_nothing_and_a_link_sets_another(ports: Ports) {
    let account = ports.active_as("101", None, Role::Admin).await;
    let session = ports.sign_in(&account, 2).await;
    let ticket = ports.ticket(&account, 3).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    assert_eq!(close(&ports, &account, 4, 5).await, Change::Done);
    let (_, found) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert!(found.generation > session.generation && found.state == AccountState::Invited);
    assert_eq!(
        ports.redeem(&ticket, "$other", 6).await,
        Redemption::Refused(crate::domain::ticket::TicketState::Replaced)
    );
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert!(changes.contains(&Changed::Account(account.id)));
    let name = LoginName::Extension(account.extension.clone());
    let credential = ports.accounts.credential(&name).await.unwrap().unwrap();
    assert_eq!((credential.hash, credential.password_set_at), (None, Some(at(1))));
    let listing = &ports.accounts.list().await.unwrap()[0];
    assert!(listing.needs_new_password());
    // Once is enough.
    assert_eq!(close(&ports, &account, 4, 6).await, Change::Unchanged);
    let ticket = ports.ticket(&account, 7).await;
    let closed = async || ports.tickets.find(&ticket.digest).await.unwrap().unwrap().closed;
    assert_eq!(closed().await, Some(phc("$first")), "it is not to be set again");
    assert_eq!(ports.redeem(&ticket, "$new", 8).await, Redemption::Done);
    assert_eq!(closed().await, None);
    let listing = &ports.accounts.list().await.unwrap()[0];
    assert!(!listing.needs_new_password() && listing.account.state == AccountState::Active);
    assert_eq!(ports.facts().await, ["password.closed"]);
}

async fn a_password_set_since_is_left_alone(ports: Ports) {
    let account = ports.active("101").await;
    let ticket = ports.ticket(&account, 10).await;
    assert_eq!(ports.redeem(&ticket, "$new", 11).await, Redemption::Done);
    assert_eq!(close(&ports, &account, 10, 12).await, Change::Unchanged);
    assert_eq!(
        close(&ports, &invitation("102", None, Role::User), 10, 12).await,
        Change::NotFound
    );
    let invited = ports.invited("103").await;
    assert_eq!(close(&ports, &invited, 10, 12).await, Change::Unchanged);
    assert_eq!(ports.facts().await, [""; 0]);
}

async fn a_disabled_account_loses_its_password_and_stays_disabled(ports: Ports) {
    let account = ports.active("101").await;
    ports
        .accounts
        .disable(account.id, at(2), Consequences::default())
        .await
        .unwrap();
    assert_eq!(close(&ports, &account, 4, 5).await, Change::Done);
    let state = async || ports.accounts.find(account.id).await.unwrap().unwrap().state;
    assert_eq!(state().await, AccountState::Disabled);
    ports
        .accounts
        .enable(account.id, at(6), Consequences::default())
        .await
        .unwrap();
    assert_eq!(state().await, AccountState::Invited);
}
