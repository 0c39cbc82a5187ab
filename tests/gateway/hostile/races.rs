//! Many at once, where only one may win: links, and guesses that a reload does not forgive.

use std::sync::Arc;

use tokio::sync::Barrier;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, asked, quotas};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_use_one_link_at_once_set_one_password_and_it_works() {
    let house = Arc::new(House::open().await);
    for round in 0..asked("SEKISHO_RACES", 3) {
        let extension = format!("{}", 1000 + round);
        let email = house.invite(&extension, &[]).await;
        let link = house.mailbox.next_links(&email).await.in_office;
        let start = Arc::new(Barrier::new(20));
        let mut posts = Vec::new();
        for number in 0..20 {
            let (house, link, start) = (Arc::clone(&house), link.clone(), Arc::clone(&start));
            posts.push(tokio::spawn(async move {
                let password = format!("{number} quiet rivers under snow");
                let visitor = house.visitor();
                let page = visitor.follow(&link).await;
                start.wait().await;
                let fields = [("password", password.as_str()), ("confirmation", password.as_str())];
                let answer = visitor.send_form(&page, "/set-password", &fields).await;
                (answer.is_done(), answer.status, password)
            }));
        }
        let mut winners = Vec::new();
        for post in posts {
            let (done, status, password) = post.await.unwrap();
            assert!(status < 500, "{status}");
            if done {
                winners.push(password);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        for number in 0..20 {
            let password = format!("{number} quiet rivers under snow");
            if round > 0 && password != winners[0] {
                continue;
            }
            let answer = house.visitor().sign_in(&extension, &password).await;
            assert_eq!(
                answer.is_done(),
                password == winners[0],
                "round {round}, {password}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_frees_nobody_who_has_guessed_too_often() {
    let house = House::with(&quotas(&[("sign-in.client+account", "3 per 1h")])).await;
    house.welcome("101").await;
    let guess = async || house.visitor().sign_in("101", OTHER_PASSWORD).await.status;
    for _ in 0..3 {
        assert_eq!(guess().await, 401);
    }
    assert_eq!(guess().await, 429);
    house.gateway.configure("[branding]\nname = \"Another\"");
    house.gateway.cli(&["reload"]).await.succeeded();
    assert!(
        house.visitor().get("/login").await.text().contains("Another"),
        "it is in force"
    );
    assert_eq!(house.visitor().sign_in("101", PASSWORD).await.status, 429);
}
