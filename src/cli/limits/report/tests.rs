//! The pages, as a browser without a network gets them.

use std::net::IpAddr;

use super::*;
use crate::domain::limits::policy::{KeyKind, RuleName};
use crate::domain::limits::replay::{Agreement, Guesses, People, RuleFigures, Worst};
use crate::domain::limits::tradeoff::{Point, standings};

use super::super::past::Told;
use super::super::sweep::Cell;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_817_600 + second).unwrap()
}

fn press(language: Language) -> Press {
    Press {
        words: Words::of(language),
        language,
        zone: TimeZone::UTC,
        now: at(100_000),
    }
}

fn replayed(refused: u64, stopped: u64) -> Replayed {
    let rule = |text: &str| RuleName::parse(text).unwrap();
    Replayed {
        attempts: 12_345,
        refused,
        unknown: 40,
        unknown_granted: 7,
        banned: 2,
        rules: [(
            rule("sign-in.client"),
            RuleFigures {
                refused,
                ..RuleFigures::default()
            },
        )]
        .into(),
        without: vec![rule("sign-in.password")],
        people: People {
            seen: 312,
            stopped,
            slowed: 0,
        },
        guesses: Guesses {
            total: 900,
            accounts: 20,
            most: 96,
            median: 2,
        },
        addresses: vec![Counted {
            address: IpAddr::from([192, 0, 2, 7]),
            refused,
        }],
        subnets: vec![Counted {
            address: IpAddr::from([192, 0, 2, 0]),
            refused,
        }],
        worst: Some(Worst {
            at: at(600),
            refused: 50,
        }),
        span: Some((at(0), at(86_400))),
        agreement: Agreement { same: 1, other: 0 },
        ..Replayed::default()
    }
}

fn outcome() -> Outcome {
    let side = |name: &str, replayed| Side {
        name: name.to_owned(),
        replayed,
    };
    Outcome::for_a_test(
        Some(replayed(100, 1)),
        side("standard", replayed(100, 1)),
        Some(side("<new> & \"tight\".toml", replayed(1500, 7))),
    )
}

fn is_alone(html: &str) {
    for outside in [
        "http://", "https://", "src=", "url(", "@import", "<script", "<link", "style=\"",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'; style-src 'sha256-"));
}

#[test]
fn a_report_stands_alone_and_says_both_sides_in_both_languages() {
    for language in Language::ALL {
        let html = press(language).replay(&outcome());
        is_alone(&html);
        assert!(html.contains("12,345") && html.contains("1,500") && html.contains("192.0.2.7"));
        assert!(html.contains("&lt;new&gt; &amp; &quot;tight&quot;.toml") && !html.contains("<new>"));
        insta::assert_snapshot!(format!("report_replay_{language}"), html);
    }
}

#[test]
fn an_order_that_is_not_understood_any_more_is_told_as_left_out() {
    let mut told = outcome();
    told.orders = vec![Told::left_out_for_a_test(at(0))];
    for (language, words) in [
        (
            Language::En,
            "not understood any more, and was left out: file tonight.toml.",
        ),
        (Language::Ja, "現在は解釈できないため除外しました: file tonight.toml"),
    ] {
        assert!(press(language).replay(&told).contains(words), "{words}");
    }
}

#[test]
fn a_sweep_is_drawn_with_its_knee() {
    let points: Vec<_> = [(3, 40, 300), (6, 2, 600), (12, 0, 4000), (12, 3, 5000)]
        .into_iter()
        .map(|(burst, stopped, guesses)| Point {
            quota: format!("{burst} per 15m").parse().unwrap(),
            stopped,
            guesses,
        })
        .collect();
    let cells = standings(&points)
        .into_iter()
        .zip(points)
        .map(|(standing, point)| Cell {
            point,
            standing,
            replayed: Replayed::default(),
        });
    let swept = Swept {
        policy: "standard".to_owned(),
        rule: RuleName::parse("sign-in.client+account").unwrap(),
        key: KeyKind::ClientAccount,
        current: "10 per 15m".parse().unwrap(),
        people: 312,
        cut: false,
        of_sign_ins: true,
        cells: cells.collect(),
    };
    for language in Language::ALL {
        let html = press(language).sweep(&swept);
        is_alone(&html);
        assert_eq!(html.matches("class=\"knee\"").count(), 1);
        insta::assert_snapshot!(format!("report_sweep_{language}"), html);
    }
}

#[test]
fn a_time_without_attempts_says_so() {
    let side = Side {
        name: "standard".to_owned(),
        replayed: Replayed::default(),
    };
    let html = press(Language::En).replay(&Outcome::for_a_test(None, side, None));
    assert!(html.contains("Nothing was tried in that time."));
}

#[test]
fn every_text_is_in_both_languages() {
    let (english, japanese) = (
        format!("{:?}", Words::of(Language::En)),
        format!("{:?}", Words::of(Language::Ja)),
    );
    assert_ne!(english, japanese);
    assert!(!japanese.contains("People"), "{japanese}");
}
