//! Signing out: the session ends on the server, and only at its person's own word.

use http::Method;

use crate::harness::{House, SESSION, soon};

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_on_the_server() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let (visitor, elsewhere) = (house.signed_in(&person).await, house.signed_in(&person).await);
    let old = visitor.session();
    let page = visitor.get("/logout").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(visitor.passes().await, "a GET only asks");
    let out = visitor.send_form(&page, "/logout", &[]).await;
    assert!(out.is_done(), "{out:?}");
    assert!(
        visitor.cookie(SESSION).is_none(),
        "the browser forgets the cookie: {out:?}"
    );
    visitor.set_cookie(SESSION, Some(&old));
    assert!(!visitor.passes().await, "and the server forgets the session");
    assert!(elsewhere.passes().await, "other browsers stay signed in");
    house.event("session.signed-out", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_signs_out_with_a_post() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let old = visitor.session();
    let out = visitor.post_json("/logout", &serde_json::json!({})).await;
    assert!(out.is_done(), "{out:?}");
    visitor.set_cookie(SESSION, Some(&old));
    assert!(!visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_sign_anybody_out() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let page = visitor.get("/logout").await;
    for (site, origin) in [
        (Some("cross-site"), "https://evil.example"),
        (None, "https://evil.example"),
        (None, "null"),
    ] {
        let mut form = visitor
            .filled_form(&page, "/logout", &[])
            .without("sec-fetch-site")
            .without("origin");
        if let Some(site) = site {
            form = form.header("sec-fetch-site", site);
        }
        let answer = form.header("origin", origin).send().await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let no_token = visitor
        .ask(Method::POST, "/logout")
        .header("origin", "https://in.test")
        .header("sec-fetch-site", "same-origin")
        .form(&[])
        .send()
        .await;
    assert_eq!(no_token.status, 403, "{no_token:?}");
    assert!(visitor.passes().await, "still signed in");
    assert!(
        visitor.send_form(&page, "/logout", &[]).await.is_done(),
        "the page's own form works"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_session_cookies_are_nobodys() {
    let house = House::open().await;
    let (one, other) = (house.welcome("101").await, house.welcome("102").await);
    let (one, other) = (
        house.signed_in(&one).await.session(),
        house.signed_in(&other).await.session(),
    );
    let ask = async |line: &str| {
        let visitor = house.visitor();
        visitor
            .script(Method::GET, "/x")
            .header("cookie", line)
            .send()
            .await
            .status
    };
    assert_eq!(ask(&format!("{SESSION}={one}")).await, 200);
    assert_eq!(
        ask(&format!("{SESSION}={one}; {SESSION}={one}")).await,
        200,
        "the same twice is one"
    );
    let before = house.upstream.count();
    assert_eq!(ask(&format!("{SESSION}={one}; {SESSION}={other}")).await, 401);
    assert_eq!(ask(&format!("{SESSION}={other}; {SESSION}={one}")).await, 401);
    assert_eq!(ask(&format!("{SESSION}={one}; a=1; {SESSION}=")).await, 401);
    assert_eq!(ask(&format!("{SESSION}=\"{one}\"")).await, 401);
    assert_eq!(house.upstream.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_closes_what_is_still_open() {
    use futures_util::{SinkExt, StreamExt};
    use http_body_util::BodyExt;
    use tokio_tungstenite::tungstenite::Message;

    let house = House::open().await;
    let person = house.welcome("101").await;
    let (visitor, elsewhere) = (house.signed_in(&person).await, house.signed_in(&person).await);
    let mut mine = visitor.websocket("/ws").await.unwrap();
    let mut theirs = elsewhere.websocket("/ws").await.unwrap();
    let mut events = visitor
        .script(Method::GET, "/events")
        .header("accept", "text/event-stream")
        .open()
        .await
        .into_body();
    soon("the stream to open", events.frame()).await.unwrap().unwrap();
    assert!(visitor.post_json("/logout", &serde_json::json!({})).await.is_done());
    let code = soon("the WebSocket to be closed", async {
        while let Some(Ok(message)) = mine.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| u16::from(frame.code));
            }
        }
        None
    })
    .await;
    assert_eq!(code, Some(4401), "a close code that a page can read");
    soon("the event stream to be closed", async {
        while let Some(Ok(_)) = events.frame().await {}
    })
    .await;
    theirs.send(Message::text("still here")).await.unwrap();
    let answer = soon("the other session's socket", theirs.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, Message::text("still here"));
}
