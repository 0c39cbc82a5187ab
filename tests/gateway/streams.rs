//! Open streams and their sessions: a call outlives a new token, and nothing outlives the session or a new password.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, Person, SESSION, Visitor, eventually, soon};

const END_ONE: &str = "/.sekisho/account/sessions/end";
const END_OTHERS: &str = "/.sekisho/account/sessions/end-others";

/// One second is promised; the rest is for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

/// What a page of the web client holds open.
struct Open {
    call: WebSocketStream<TlsStream<TcpStream>>,
    events: Incoming,
}

impl Open {
    async fn by(visitor: &Visitor) -> Self {
        let call = visitor.websocket("/ws").await.unwrap();
        let asking = visitor
            .script(Method::GET, "/events")
            .without("accept")
            .header("accept", "text/event-stream");
        let mut events = asking.open().await.into_body();
        soon("the stream to open", events.frame()).await.unwrap().unwrap();
        Self { call, events }
    }

    /// Both directions of the one and the next event of the other.
    async fn goes_on(&mut self, house: &House, words: &str) {
        self.call.send(Message::text(words)).await.unwrap();
        let heard = soon("the echo", self.call.next()).await.unwrap().unwrap();
        assert_eq!(heard, Message::text(words));
        house.upstream.emit(words);
        let event = soon("the event", self.events.frame()).await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), Bytes::from(format!("data: {words}\n\n")));
    }

    /// Reads both to their ends; the close code of the WebSocket.
    async fn ended(mut self) -> Option<u16> {
        let code = ended(self.call);
        let over = async { while let Some(Ok(_)) = self.events.frame().await {} };
        soon("both streams to end", async { tokio::join!(code, over) }).await.0
    }
}

async fn ended(mut call: WebSocketStream<TlsStream<TcpStream>>) -> Option<u16> {
    while let Some(Ok(message)) = call.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| u16::from(frame.code));
        }
    }
    None
}

/// The person gives the password again once the sign-in is old, to end one other session.
async fn confirm(house: &House, person: &Person, visitor: &Visitor) {
    let other = house.signed_in(person).await.fetch("/.sekisho/account").await.json();
    eventually("the sign-in to be old", async || {
        let facts = visitor.fetch("/.sekisho/account").await.json();
        (facts["fresh"] == false).then_some(())
    })
    .await;
    let before = visitor.session();
    let act = json!({ "session": other["sessions"][0]["id"], "password": PASSWORD });
    let done = visitor.post_json(END_ONE, &act).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_ne!(visitor.session(), before, "a new token");
}

/// Waits until the gateway has looked at the sessions of all open streams, which it shows by ending one.
async fn streams_are_looked_at(house: &House, bystander: &Person) {
    let other = house.signed_in(bystander).await;
    let call = other.websocket("/ws").await.unwrap();
    assert!(other.post_json("/logout", &json!({})).await.is_done());
    assert_eq!(soon("the other call to end", ended(call)).await, Some(4401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_when_the_password_is_given_again_and_ends_with_its_session() {
    let house = House::with("[sessions]\nfresh_for = \"1s\"").await;
    let (person, bystander) = (house.welcome("101").await, house.welcome("102").await);
    let ends: [&[&str]; 3] = [
        &[],
        &["session", "end", "--account", "101"],
        &["account", "disable", "101"],
    ];
    for command in ends {
        let visitor = house.signed_in(&person).await;
        let mut open = Open::by(&visitor).await;
        confirm(&house, &person, &visitor).await;
        for words in ["once", "twice"] {
            streams_are_looked_at(&house, &bystander).await;
            open.goes_on(&house, words).await;
        }
        if command.is_empty() {
            assert!(visitor.post_json("/logout", &json!({})).await.is_done());
        } else {
            house.gateway.cli(command).await.succeeded();
        }
        let started = Instant::now();
        assert_eq!(open.ended().await, Some(4401), "{command:?}");
        assert!(started.elapsed() < PROMISED, "{command:?}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_every_stream_from_before_and_who_stays_signed_in_is_told_to_come_again() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let (here, there) = (house.signed_in(&person).await, house.signed_in(&person).await);
    // Somebody holds a copy of the cookie.
    let thief = house.visitor();
    thief.set_cookie(SESSION, Some(&here.session()));
    let (mine, stolen, theirs) = (Open::by(&here).await, Open::by(&thief).await, Open::by(&there).await);
    change_password(&here, [PASSWORD, OTHER_PASSWORD], json!({})).await;
    let started = Instant::now();
    let codes = tokio::join!(mine.ended(), stolen.ended(), theirs.ended());
    assert!(started.elapsed() < PROMISED, "{:?}", started.elapsed());
    assert_eq!(codes, (Some(1012), Some(1012), Some(4401)), "another session has ended");
    Open::by(&here).await.goes_on(&house, "again").await;

    // The other sessions may stay; their streams end all the same.
    let there = house.visitor();
    assert!(there.sign_in("101", OTHER_PASSWORD).await.is_done());
    let (mine, theirs) = (Open::by(&here).await, Open::by(&there).await);
    change_password(&here, [OTHER_PASSWORD, PASSWORD], json!({ "keep_others": "yes" })).await;
    assert_eq!(tokio::join!(mine.ended(), theirs.ended()), (Some(1012), Some(1012)));
    for visitor in [&here, &there] {
        Open::by(visitor).await.goes_on(&house, "still here").await;
    }
}

async fn change_password(visitor: &Visitor, [old, new]: [&str; 2], mut more: serde_json::Value) {
    let before = visitor.session();
    for (key, text) in [("old_password", old), ("password", new), ("confirmation", new)] {
        more[key] = text.into();
    }
    let changed = visitor.post_json("/.sekisho/account/password", &more).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(visitor.session(), before, "a new token");
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_all_other_sessions_ends_what_was_opened_with_a_copy_of_this_ones_cookie() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let (here, thief) = (house.signed_in(&person).await, house.visitor());
    thief.set_cookie(SESSION, Some(&here.session()));
    let (mine, stolen) = (Open::by(&here).await, Open::by(&thief).await);
    assert_eq!(here.post_json(END_OTHERS, &json!({})).await.status, 200);
    assert_eq!(tokio::join!(mine.ended(), stolen.ended()), (Some(1012), Some(1012)));
    Open::by(&here).await.goes_on(&house, "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_outlives_the_groups_it_was_let_through_with() {
    let house = House::with("[access]\nrules = [\"groups sales /*\"]").await;
    let bystander = house.welcome_with("102", &["--group", "sales"]).await;
    let person = house.welcome_with("101", &["--group", "sales"]).await;
    let visitor = house.signed_in(&person).await;
    let mut open = Open::by(&visitor).await;
    for change in [["--name", "Another"], ["--language", "ja"]] {
        house
            .gateway
            .cli(&["account", "change", "101", change[0], change[1]])
            .await
            .succeeded();
    }
    streams_are_looked_at(&house, &bystander).await;
    open.goes_on(&house, "who they are does not matter").await;
    house
        .gateway
        .cli(&["account", "change", "101", "--group", "it"])
        .await
        .succeeded();
    let started = Instant::now();
    assert_eq!(open.ended().await, Some(1012));
    assert!(started.elapsed() < PROMISED, "{:?}", started.elapsed());
    assert_eq!(visitor.fetch("/x").await.status, 403, "judged anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_postpones_no_limit_of_the_session() {
    let house = House::with("[sessions]\nfresh_for = \"1s\"\nidle = \"4s\"\nabsolute = \"4s\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let signed_in = Instant::now();
    let open = Open::by(&visitor).await;
    confirm(&house, &person, &visitor).await;
    assert_eq!(open.ended().await, Some(4401));
    assert!(signed_in.elapsed() < Duration::from_secs(4) + PROMISED);
    assert!(!visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_flight_is_answered_and_the_token_of_before_opens_no_lasting_stream() {
    let house = House::with("[sessions]\nfresh_for = \"1s\"").await;
    let person = house.welcome("101").await;
    let here = house.signed_in(&person).await;
    let before = house.visitor();
    before.set_cookie(SESSION, Some(&here.session()));
    let mut call = here.websocket("/ws").await.unwrap();
    confirm(&house, &person, &here).await;

    let fetches = (0..10).map(|n| before.script(Method::GET, &format!("/page/{n}")).send());
    for answer in futures_util::future::join_all(fetches).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.cookie(SESSION).is_none(), "{answer:?}");
    }
    before
        .post_json(END_OTHERS, &json!({ "password": PASSWORD }))
        .await
        .is_problem(401, "sign-in-required");
    let late = before.websocket("/ws").await.unwrap();
    assert_eq!(soon("the late stream to end", ended(late)).await, Some(4401));
    let refused = before.fetch("/x").await;
    refused.is_problem(401, "sign-in-required");
    assert_eq!(refused.json()["reason"], "unknown");
    assert!(refused.cookie(SESSION).is_none(), "{refused:?}");

    call.send(Message::text("still here")).await.unwrap();
    let heard = soon("the echo", call.next()).await.unwrap().unwrap();
    assert_eq!(heard, Message::text("still here"));
    assert!(here.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_keeps_its_place_among_the_connections_until_it_ends_and_the_log_tells_of_it_then() {
    let house = House::with("[server]\nmax_connections_per_client = 3").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.hang_up();
    let mut calls = Vec::new();
    for _ in 0..3 {
        let call = eventually("room for a call", async || visitor.websocket("/ws?room=7").await.ok());
        calls.push(call.await);
    }
    let said = || {
        let printed = house.gateway.printed();
        let mut lines = printed.lines().filter(|line| line.contains("sekisho::access"));
        lines.find(|line| line.contains("/ws")).map(str::to_owned)
    };
    assert!(visitor.connect(&[b"http/1.1"]).await.is_err(), "every place is taken");
    assert_eq!(said(), None, "they go on");
    let mut call = calls.remove(0);
    call.close(None).await.unwrap();
    ended(call).await;
    let line = eventually("the line of the call that is over", async || said()).await;
    for word in ["GET", "101", "milliseconds", "extension"] {
        assert!(line.contains(word) && !line.contains("room"), "{line}");
    }
    eventually("its place to be free", async || {
        visitor.connect(&[b"http/1.1"]).await.ok()
    })
    .await;
    for mut call in calls {
        call.send(Message::text("still here")).await.unwrap();
        let heard = soon("the echo", call.next()).await.unwrap().unwrap();
        assert_eq!(heard, Message::text("still here"));
    }
}
