//! Every letter, in both languages and both forms, as people receive it.

use std::time::Duration;

use jiff::tz::TimeZone;
use rstest::rstest;

use super::*;
use crate::config::{Branding, Routes};
use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, Role};
use crate::domain::client::ClientAddr;
use crate::domain::doors::Door;
use crate::domain::ticket::TicketLife;
use crate::domain::token::UnlockToken;

pub(in crate::mail) fn branding() -> Branding {
    Branding {
        name: "Sekisho".into(),
        logo: None,
        theme: None,
        accent: "#0f766e".into(),
        language: Language::En,
        support: Some("helpdesk@example.com".into()),
    }
}

pub(in crate::mail) fn press_of(branding: &Branding) -> LetterPress {
    let doors = Doors {
        in_office: Door::parse("https://phone.office.example:8443").unwrap(),
        out_of_office: Door::parse("https://phone.example.com").unwrap(),
    };
    let routes = Routes {
        login: "/login".into(),
        logout: "/logout".into(),
        set_password: "/set-password".into(),
        forgot_password: "/forgot-password".into(),
    };
    LetterPress::new(
        branding,
        doors,
        &routes,
        TimeZone::fixed(jiff::tz::offset(9)),
        &Templates::new(),
    )
    .unwrap()
}

pub(in crate::mail) fn account(language: Language) -> Account {
    let at = Timestamp::UNIX_EPOCH;
    Account {
        id: AccountId::new(uuid::Uuid::from_u128(1)),
        extension: Extension::parse("101").unwrap(),
        name: match language {
            Language::En => "Yuki Tanaka".into(),
            Language::Ja => "田中 由紀".into(),
        },
        email: Some(Email::parse("yuki@example.com").unwrap()),
        role: Role::User,
        groups: vec![],
        language,
        state: AccountState::Invited,
        generation: 1,
        created_at: at,
        updated_at: at,
    }
}

pub(in crate::mail) fn token() -> TicketToken {
    TicketToken::from_entropy([7; 32])
}

/// Writes one kind of letter, with the lives and the moment that the defaults give.
fn written(press: &LetterPress, account: &Account, kind: &str) -> Written {
    let (token, unlock) = (token(), UnlockToken::from_entropy([7; 32]));
    let at = "2027-01-15T08:00:00Z".parse().unwrap();
    let content = match kind {
        "welcome" => Content::Welcome {
            token: &token,
            life: Duration::from_hours(72),
        },
        "reset" => Content::Reset {
            token: &token,
            life: Duration::from_mins(30),
        },
        "new_device" => Content::NewDevice {
            at,
            client: ClientAddr::new("203.0.113.7".parse().unwrap()),
            user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
        },
        "email_changed" => Content::EmailChanged { at, current: true },
        "email_changed_former" => Content::EmailChanged { at, current: false },
        "account_unlocked" => Content::AccountUnlocked { at },
        "new_password" => Content::NewPassword {
            token: &token,
            life: Duration::from_hours(24),
            at,
        },
        "campaign" | "campaign_over" => {
            return press
                .sample(&kind.replace('_', "-"), account.language, TicketLife::default(), at)
                .unwrap();
        }
        "browser_unlock" => Content::BrowserUnlock {
            token: &unlock,
            life: Duration::from_hours(1),
            at,
            client: ClientAddr::new("203.0.113.7".parse().unwrap()),
        },
        _ => Content::PasswordChanged { at },
    };
    press.write(account, &content, None).unwrap()
}

#[rstest]
fn a_letter_reads_as_it_is_meant_to(
    #[values(
        "welcome",
        "reset",
        "password_changed",
        "new_device",
        "email_changed",
        "email_changed_former",
        "account_unlocked",
        "new_password",
        "campaign",
        "campaign_over",
        "browser_unlock"
    )]
    kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let letter = written(&press_of(&branding()), &account(language), kind);
    let text = format!("Subject: {}\n\n{}", letter.subject, letter.text);
    insta::assert_snapshot!(format!("{kind}.{language}.txt"), text);
    insta::assert_snapshot!(format!("{kind}.{language}.html"), letter.html);
}

#[rstest]
fn a_disabled_account_is_told_of_its_new_address_and_is_shown_no_door(
    #[values("email_changed", "email_changed_former")] kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let disabled = Account {
        state: AccountState::Disabled,
        ..account(language)
    };
    let letter = written(&press_of(&branding()), &disabled, kind);
    insta::assert_snapshot!(format!("{kind}_disabled.{language}.txt"), letter.text);
    assert!(
        !letter.text.contains("https://") && !letter.html.contains("href="),
        "{}",
        letter.html
    );
    let promise = ["Letters come to this address", "このアドレスにお送りします"];
    assert!(
        !promise.iter().any(|words| letter.html.contains(words)),
        "{}",
        letter.html
    );
}

#[rstest]
fn a_link_goes_through_both_doors_and_carries_the_token(
    #[values("welcome", "reset")] kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let letter = written(&press_of(&branding()), &account(language), kind);
    for door in ["https://phone.office.example:8443", "https://phone.example.com"] {
        let link = format!("{door}/set-password?ticket={}", token().expose());
        assert!(
            letter.text.lines().any(|line| line == link),
            "alone on its line: {link}"
        );
        assert!(letter.html.contains(&format!("href=\"{link}\"")), "{link}");
    }
}

#[rstest]
fn a_link_that_unlocks_goes_through_both_doors_to_a_page_of_its_own(
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let letter = written(&press_of(&branding()), &account(language), "browser_unlock");
    for door in ["https://phone.office.example:8443", "https://phone.example.com"] {
        let token = UnlockToken::from_entropy([7; 32]).expose();
        let link = format!("{door}/.sekisho/unlock?ticket={token}");
        assert!(
            letter.text.lines().any(|line| line == link),
            "alone on its line: {link}"
        );
        assert!(letter.html.contains(&format!("href=\"{link}\"")), "{link}");
    }
}

#[rstest]
fn a_notice_carries_no_token(
    #[values("password_changed", "new_device", "email_changed", "account_unlocked")] kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let letter = written(&press_of(&branding()), &account(language), kind);
    for part in [&letter.text, &letter.html] {
        assert!(!part.contains("ticket"));
        assert!(part.contains("https://phone.office.example:8443/login"));
        assert!(part.contains("https://phone.example.com/login"));
    }
}

#[rstest]
#[case(Language::En, include_str!("../../web/text/en.ftl"))]
#[case(Language::Ja, include_str!("../../web/text/ja.ftl"))]
fn a_letter_names_the_way_to_a_new_password_as_the_page_does(
    #[case] language: Language,
    #[case] page: &str,
    #[values("password_changed", "new_device", "account_unlocked")] kind: &str,
) {
    let mut lines = page.lines();
    let words = lines.find_map(|line| line.strip_prefix("login-forgot = ")).unwrap();
    let letter = written(&press_of(&branding()), &account(language), kind);
    for part in [&letter.text, &letter.html] {
        assert!(part.contains(words), "{words}: {part}");
    }
}

#[rstest]
fn a_name_is_text_and_never_markup_or_a_new_line(
    #[values(
        "welcome",
        "reset",
        "password_changed",
        "new_device",
        "email_changed",
        "email_changed_former",
        "account_unlocked",
        "browser_unlock"
    )]
    kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let mut person = account(language);
    person.name = "<b>Yuki</b> & \"Co\"\r\nBcc: thief@example.com".into();
    let press = press_of(&Branding {
        name: "A<i>B\r\nX-Forged: 1".into(),
        support: Some("<script>alert(1)</script>".into()),
        ..branding()
    });
    let letter = written(&press, &person, kind);
    assert!(
        letter
            .html
            .contains("&lt;b&gt;Yuki&lt;&#x2f;b&gt; &amp; &quot;Co&quot;"),
        "{}",
        letter.html
    );
    for markup in ["<b>", "<i>", "<script>"] {
        assert!(!letter.html.contains(markup), "{markup}");
    }
    assert!(
        letter.text.contains("<b>Yuki</b> & \"Co\" Bcc: thief@example.com"),
        "the text is not escaped"
    );
    assert!(
        letter
            .text
            .lines()
            .all(|line| !line.starts_with("Bcc") && !line.starts_with("X-Forged"))
    );
    assert!(letter.subject.contains("A<i>B X-Forged: 1") && !letter.subject.contains(['\r', '\n']));
}

#[rstest]
fn a_letter_without_support_address_names_none(
    #[values(
        "welcome",
        "reset",
        "password_changed",
        "new_device",
        "email_changed",
        "email_changed_former",
        "account_unlocked",
        "browser_unlock"
    )]
    kind: &str,
    #[values(Language::En, Language::Ja)] language: Language,
) {
    let press = press_of(&Branding {
        support: None,
        ..branding()
    });
    let letter = written(&press, &account(language), kind);
    for part in [&letter.text, &letter.html] {
        for trace in [
            "helpdesk",
            ">none<",
            ": none",
            "Questions?",
            "Get in touch",
            "ご不明な点",
            "ご連絡ください:",
        ] {
            assert!(!part.contains(trace), "{trace}: {part}");
        }
    }
}

#[test]
fn a_person_without_a_name_is_addressed_by_extension() {
    let mut person = account(Language::En);
    person.name = " ".into();
    let letter = written(&press_of(&branding()), &person, "reset");
    assert!(letter.text.starts_with("Hello 101,\n"), "{}", letter.text);
}

#[rstest]
#[case(Some("wiki"), "https://wiki.example/", "https://wiki.office.example/")]
#[case(Some("main"), "https://phone", "https://phone")]
#[case(Some("gone"), "https://phone", "https://phone")]
#[case(None, "https://phone", "https://phone")]
fn links_lead_to_the_site_that_was_asked_and_to_the_main_one_when_it_is_gone(
    #[case] site: Option<&str>,
    #[case] out_of_office: &str,
    #[case] in_office: &str,
) {
    let door = |text| Door::parse(text).unwrap();
    let wiki = Doors {
        in_office: door("https://wiki.office.example"),
        out_of_office: door("https://wiki.example"),
    };
    let name = |text| SiteName::parse(text).unwrap();
    let press = press_of(&branding()).with_sites([(name("wiki"), wiki)].into());
    let (token, life) = (token(), Duration::from_mins(30));
    let content = Content::Reset { token: &token, life };
    let letter = press.write(&account(Language::En), &content, site.map(name).as_ref());
    let text = letter.unwrap().text;
    let links: Vec<&str> = text
        .split_whitespace()
        .filter(|word| word.contains("ticket="))
        .collect();
    assert_eq!(links.len(), 2, "{text}");
    for start in [out_of_office, in_office] {
        assert!(links.iter().any(|link| link.starts_with(start)), "{text}");
    }
    assert_eq!(
        links.iter().any(|link| link.contains("wiki")),
        site == Some("wiki"),
        "{text}"
    );
}
