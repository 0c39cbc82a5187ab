//! What mail servers send back, in the forms they are known to use, and what else arrives at such an address.

use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::super::return_path::tests::returns;
use super::*;
use crate::domain::outbox::LetterId;

fn id() -> LetterId {
    LetterId::new(Uuid::from_u128(5))
}

fn tagged() -> String {
    returns().of(id()).unwrap().to_string()
}

/// The message with `TO` for the tagged address and CRLF for line ends, read.
fn read_text(text: &str) -> Reading {
    let text = text.replace("TO", &tagged()).replace('\n', "\r\n");
    read(text.as_bytes(), None, &returns())
}

fn reported(text: &str) -> (Action, Option<String>, Option<String>) {
    match read_text(text) {
        Reading::About(letter, report) => {
            assert_eq!(letter, id());
            let status = report.status.map(|status| status.to_string());
            (report.action, status, report.words)
        }
        Reading::Ignored(why) => panic!("{why:?}: {text}"),
    }
}

const POSTFIX: &str = "From MAILER-DAEMON Thu Jan  1 00:00:00 2026
Return-Path: <>
Delivered-To: TO
Date: Thu, 1 Jan 2026 00:00:00 +0000 (UTC)
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: TO
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"4F1.1/mx.example.com\"

This is a MIME-encapsulated message.

--4F1.1/mx.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

<p101@example.net>: host mx.example.net said: 550 5.1.1 no such user

--4F1.1/mx.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: 4F1
Arrival-Date: Thu, 1 Jan 2026 00:00:00 +0000 (UTC)

Final-Recipient: rfc822; p101@example.net
Original-Recipient: rfc822;p101@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 <p101@example.net>: Recipient address
    rejected: User unknown in virtual mailbox table

--4F1.1/mx.example.com
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <TO>
Subject: Set your password

Open this link
--4F1.1/mx.example.com--
";

#[test]
fn a_standard_report_tells_what_the_remote_server_said() {
    assert_eq!(
        reported(POSTFIX),
        (
            Action::Failed,
            Some("5.1.1".into()),
            Some(
                "550 5.1.1 <p101@example.net>: Recipient address rejected: User unknown in virtual mailbox table"
                    .into()
            )
        )
    );
    let late = POSTFIX
        .replace("Action: failed", "Action: delayed")
        .replace("Status: 5.1.1", "Status: 4.4.1");
    let (action, status, _) = reported(&late);
    assert_eq!((action, status.as_deref()), (Action::Delayed, Some("4.4.1")));
    for word in ["delivered", "relayed", "expanded"] {
        let arrived = POSTFIX.replace("Action: failed", &format!("Action: {word} (it went well)"));
        assert_eq!(reported(&arrived).0, Action::Delivered, "{word}");
    }
}

#[test]
fn of_several_recipients_the_worst_counts() {
    let both = POSTFIX.replace(
        "\nFinal-Recipient: rfc822; p101@example.net",
        "\nFinal-Recipient: rfc822; team@example.net\nAction: relayed\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; x@example.net",
    );
    assert_eq!(reported(&both).0, Action::Failed);
}

#[rstest]
#[case("Status: 5.1.1\n", "", Action::Failed, Some("5.1.1"))]
#[case("Action: failed\n", "", Action::Failed, Some("5.1.1"))]
#[case("Action: failed\nStatus: 5.1.1\n", "Status: 4.4.7\n", Action::Delayed, Some("4.4.7"))]
#[case("Status: 5.1.1\n", "Status: five\n", Action::Failed, Some("5.1.1"))]
#[case("Action: failed\n", "ACTION : Failed\n", Action::Failed, Some("5.1.1"))]
fn a_report_with_fields_missing_or_mangled_is_read_as_far_as_it_goes(
    #[case] from: &str,
    #[case] to: &str,
    #[case] action: Action,
    #[case] status: Option<&str>,
) {
    let (read, code, _) = reported(&POSTFIX.replace(from, to));
    assert_eq!((read, code.as_deref()), (action, status));
}

#[test]
fn a_report_without_its_fields_is_read_by_its_words() {
    let bare = POSTFIX.replace("message/delivery-status", "application/octet-stream");
    assert_eq!(
        reported(&bare),
        (
            Action::Failed,
            Some("5.1.1".into()),
            Some("<p101@example.net>: host mx.example.net said: 550 5.1.1 no such user".into())
        )
    );
}

#[test]
fn a_report_cut_short_or_swollen_is_bounded() {
    let whole = POSTFIX.replace("TO", &tagged());
    for end in 0..whole.len() {
        let _ = read(&whole.as_bytes()[..end], None, &returns());
    }
    let swollen = format!("{POSTFIX}{}", "x".repeat(MOST_READ * 2));
    assert_eq!(reported(&swollen).0, Action::Failed);
    let endless = POSTFIX
        .replace("no such user", "x")
        .replace("User unknown", &"word ".repeat(40_000));
    let (.., words) = reported(&endless);
    assert!(words.unwrap().chars().count() <= 300);
}

const QMAIL: &str = "Return-Path: <>
Delivered-To: TO
From: MAILER-DAEMON@mx.example.net
To: TO
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.

<p101@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <TO>
Subject: Set your password

250 2.0.0 5.9.9 is no status of the report
";

const EXIM: &str = "X-Failed-Recipients: p101@example.net
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: TO
Subject: Mail delivery failed: returning message to sender

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  p101@example.net
    host mx.example.org [192.0.2.5]
    SMTP error from remote mail server after RCPT:
    550 unknown user

------ This is a copy of the message, including all the headers. ------
";

const SILENT: &str = "Return-Path: <>
From: \"Some Gateway\" <gateway@mx.example.net>
To: TO
Subject: could not be delivered

Sorry.
";

#[rstest]
#[case(QMAIL, Some("5.1.1"), "Sorry, no mailbox here by that name. (#5.1.1)")]
#[case(EXIM, Some("5.0.0"), "550 unknown user")]
#[case(SILENT, None, "could not be delivered")]
fn a_bounce_in_words_alone_is_told_by_its_address(
    #[case] text: &str,
    #[case] status: Option<&str>,
    #[case] words: &str,
) {
    assert_eq!(
        reported(text),
        (Action::Failed, status.map(str::to_owned), Some(words.to_owned()))
    );
}

#[test]
fn a_warning_in_words_alone_is_a_delay() {
    let warning = EXIM
        .replace(
            "Mail delivery failed: returning message to sender",
            "Warning: message 1aB-00-C delayed 24 hours",
        )
        .replace("550 unknown user", "451 4.4.1 connection timed out");
    let (action, status, _) = reported(&warning);
    assert_eq!((action, status.as_deref()), (Action::Delayed, Some("4.4.1")));
    let sendmail = QMAIL.replace("Hi. This is", "** THIS IS A WARNING MESSAGE ONLY **\nThis is");
    assert_eq!(reported(&sendmail).0, Action::Delayed);
}

const AWAY: &str = "Return-Path: <>
From: Yuki Tanaka <p101@example.net>
To: TO
Auto-Submitted: auto-replied
Subject: Out of office: 550 5.1.1

I am away until 5.1.1.
";

#[rstest]
#[case(AWAY)]
#[case(&AWAY.replace("Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All"))]
#[case(&AWAY.replace("Auto-Submitted: auto-replied", "Precedence: auto_reply"))]
#[case(&AWAY.replace("Auto-Submitted: auto-replied", "List-Id: <list.example.net>"))]
#[case(&AWAY.replace("Return-Path: <>", "Return-Path: <p101@example.net>").replace("Auto-Submitted: auto-replied\n", ""))]
#[case(&AWAY.replace("Return-Path: <>\n", "").replace("Auto-Submitted: auto-replied\n", ""))]
#[case(&POSTFIX.replace("report-type=delivery-status", "report-type=disposition-notification"))]
#[case(&POSTFIX.replace("report-type=delivery-status", "report-type=feedback-report"))]
fn an_answer_is_no_bounce(#[case] text: &str) {
    assert_eq!(read_text(text), Reading::Ignored(Ignored::Answer), "{text}");
}

#[test]
fn the_address_may_stand_in_any_field_that_names_recipients_or_be_told() {
    for name in RECIPIENT_FIELDS {
        let text = QMAIL
            .replace("Delivered-To: TO\n", "")
            .replace("To: TO", &format!("{name}: \"Bounces\" <other@example.net>, <TO>"));
        assert_eq!(reported(&text).0, Action::Failed, "{name}");
    }
    let silent = QMAIL.replace("Delivered-To: TO\n", "").replace("To: TO\n", "");
    assert_eq!(read_text(&silent), Reading::Ignored(Ignored::Untagged));
    let told = tagged().to_uppercase();
    let read = read(silent.as_bytes(), Some(&told), &returns());
    assert!(matches!(read, Reading::About(letter, _) if letter == id()), "{read:?}");
}

#[test]
fn a_forged_tag_is_told_from_none() {
    let forged = tagged().replace('+', "+a");
    let text = POSTFIX.replace("TO", &forged);
    assert_eq!(
        read(text.as_bytes(), None, &returns()),
        Reading::Ignored(Ignored::Forged)
    );
    assert_eq!(read(b"", None, &returns()), Reading::Ignored(Ignored::Untagged));
    assert_eq!(
        read(b"", Some(&tagged()), &returns()),
        Reading::Ignored(Ignored::Answer)
    );
}

#[test]
fn no_link_and_no_tag_lives_on_in_the_words_that_are_kept() {
    let ticket = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
    let quoting = POSTFIX.replace(
        "User unknown",
        &format!("blocked https://in.example.com/set-password?ticket={ticket} of TO \x1b[2J\u{202e}"),
    );
    let (.., words) = reported(&quoting);
    let words = words.unwrap();
    assert!(
        words.contains("blocked https://in.example.com/set-password?ticket=…"),
        "{words}"
    );
    assert!(!words.contains(&ticket[..TELLING]), "{words}");
    assert!(!words.contains(&tagged()), "{words}");
    assert!(!words.contains(['\x1b', '\u{202e}']), "{words}");
}

#[rstest]
#[case("550 5.1.1 no", Some("5.1.1"))]
#[case("said: 550-5.7.26 unauthenticated", Some("5.7.26"))]
#[case("(#5.1.1)", Some("5.1.1"))]
#[case("[5.2.2].", Some("5.2.2"))]
#[case("from 192.0.2.5 port 25", None)]
#[case("500 people, 5 days", Some("5.0.0"))]
#[case("452 too many", Some("4.0.0"))]
#[case("2.1.5 fine", None)]
#[case("on 4. 1. 2026", None)]
fn a_status_is_found_in_words(#[case] line: &str, #[case] status: Option<&str>) {
    let found = status_in(line).map(|status| status.to_string());
    assert_eq!(found.as_deref(), status, "{line}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..2000), told in any::<bool>()) {
        let tagged = tagged();
        let _ = read(&bytes, told.then_some(tagged.as_str()), &returns());
    }

    #[test]
    fn no_mangled_report_panics_the_reader(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..60, prop::collection::vec(any::<u8>(), 0..12)), 1..8),
        which in 0_usize..4,
    ) {
        let text = [POSTFIX, QMAIL, EXIM, AWAY][which].replace("TO", &tagged());
        let mut bytes = text.into_bytes();
        for (at, removed, put) in cuts {
            let from = at.index(bytes.len() + 1);
            let to = (from + removed).min(bytes.len());
            bytes.splice(from..to, put);
        }
        if let Reading::About(letter, report) = read(&bytes, Some(&tagged()), &returns()) {
            prop_assert_eq!(letter, id());
            let words = report.words.unwrap_or_default();
            prop_assert!(words.chars().count() <= 300 && !words.contains(char::is_control));
        }
    }

    #[test]
    fn nobody_is_reported_without_a_tag(bytes in "[ -~\r\n]{0,600}") {
        prop_assert!(matches!(read(bytes.as_bytes(), None, &returns()), Reading::Ignored(_)));
    }
}
