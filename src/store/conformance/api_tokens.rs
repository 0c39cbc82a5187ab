//! Stories of API tokens.

use super::*;
use crate::domain::api_token::{ApiToken, ApiTokenId, ApiTokenName, LastUse};
use crate::domain::client::ClientAddr;
use crate::domain::scope::Scope;
use crate::ports::{Adding, Changed};

stories! {
    a_token_comes_back_as_it_was_stored,
    a_name_belongs_to_one_token_until_that_is_revoked,
    a_token_is_revoked_once_and_running_servers_hear_of_it,
    the_last_use_never_moves_back_and_is_no_news,
    ended_tokens_are_swept_by_the_day_they_ended,
}

pub(super) fn fresh_token(name: &str, second: i64) -> ApiToken {
    let scope = |text| Scope::parse(text).unwrap();
    ApiToken {
        id: ApiTokenId::new(fresh_uuid()),
        name: ApiTokenName::parse(name).unwrap(),
        digest: fresh_digest(),
        scopes: vec![
            scope("GET,POST /api/*"),
            scope("/hooks/x at in.test from 10.0.0.0/8,2001:db8::/32"),
        ],
        groups: vec!["sales".into(), "a \"b\", c".into()],
        created_by: Actor::Operator,
        created_at: at(second),
        expires_at: at(second + 100),
        revoked_at: None,
        used: None,
    }
}

async fn add(ports: &Ports, token: &ApiToken) -> Adding {
    let then = fact(Fact::TokenAdded(token.name.clone(), token.id));
    ports.tokens.add(token, then).await.unwrap()
}

async fn revoke(ports: &Ports, token: &ApiToken, second: i64) -> bool {
    let then = fact(Fact::TokenRevoked(token.name.clone(), token.id));
    ports.tokens.revoke(token.id, at(second), then).await.unwrap()
}

async fn a_token_comes_back_as_it_was_stored(ports: Ports) {
    let (one, two) = (fresh_token("one", 1), fresh_token("two", 2));
    for token in [&one, &two] {
        assert_eq!(add(&ports, token).await, Adding::Done);
    }
    assert_eq!(ports.tokens.list().await.unwrap(), [two.clone(), one.clone()]);
    assert_eq!(ports.tokens.find(&one.digest).await.unwrap(), Some(one));
    assert_eq!(ports.tokens.find(&fresh_digest()).await.unwrap(), None);
}

async fn a_name_belongs_to_one_token_until_that_is_revoked(ports: Ports) {
    let (first, second) = (fresh_token("reports", 1), fresh_token("reports", 2));
    assert_eq!(add(&ports, &first).await, Adding::Done);
    assert_eq!(add(&ports, &second).await, Adding::NameTaken);
    assert_eq!(
        ports.facts().await,
        ["token.added"],
        "nothing is recorded of what was not done"
    );
    assert_eq!(ports.tokens.list().await.unwrap().len(), 1);
    assert!(revoke(&ports, &first, 3).await);
    assert_eq!(add(&ports, &second).await, Adding::Done);
}

async fn a_token_is_revoked_once_and_running_servers_hear_of_it(ports: Ports) {
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let token = fresh_token("reports", 1);
    add(&ports, &token).await;
    assert!(revoke(&ports, &token, 7).await);
    assert!(!revoke(&ports, &token, 8).await);
    assert!(!revoke(&ports, &fresh_token("none", 1), 8).await);
    let found = ports.tokens.find(&token.digest).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(7)));
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Token(token.id), Changed::Token(token.id)]);
    assert_eq!(ports.facts().await, ["token.added", "token.revoked"]);
}

async fn the_last_use_never_moves_back_and_is_no_news(ports: Ports) {
    let token = fresh_token("reports", 1);
    add(&ports, &token).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let used = |second, address: &str| LastUse {
        at: at(second),
        client: ClientAddr::new(address.parse().unwrap()),
    };
    let late = used(20, "2001:db8::1");
    ports.tokens.used(&[]).await.unwrap();
    for uses in [
        vec![(token.id, late), (ApiTokenId::new(fresh_uuid()), late)],
        vec![(token.id, used(10, "192.0.2.1"))],
    ] {
        ports.tokens.used(&uses).await.unwrap();
    }
    let found = ports.tokens.find(&token.digest).await.unwrap().unwrap();
    assert_eq!(found.used, Some(late));
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, []);
}

async fn ended_tokens_are_swept_by_the_day_they_ended(ports: Ports) {
    let (expired, revoked, live) = (fresh_token("a", 0), fresh_token("b", 0), fresh_token("c", 500));
    for token in [&expired, &revoked, &live] {
        add(&ports, token).await;
    }
    revoke(&ports, &revoked, 50).await;
    assert_eq!(ports.tokens.sweep(at(50)).await.unwrap(), 0);
    assert_eq!(ports.tokens.sweep(at(51)).await.unwrap(), 1);
    assert_eq!(ports.tokens.sweep(at(100)).await.unwrap(), 0);
    assert_eq!(ports.tokens.sweep(at(101)).await.unwrap(), 1);
    assert_eq!(ports.tokens.list().await.unwrap(), [live]);
}
