//! The sheet with a Welcome link, printed and handed over to somebody without a mailbox: QR codes and links for both
//! doors, as a page to print and as text for a terminal. It says what the Welcome letter says.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};

use super::letters::phrase;
use crate::config::{Branding, Routes};
use crate::domain::account::Account;
use crate::domain::doors::Doors;
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::token::TicketToken;

/// A sheet. It holds a live token, so it does not print itself.
pub struct Sheet {
    /// A whole HTML document that loads nothing.
    pub html: String,
    /// Lines for a terminal, with the codes in half blocks.
    pub text: String,
}

/// Who hands the sheet over: the house's name, its doors and its clock.
pub struct House<'a> {
    /// How it looks.
    pub branding: &'a Branding,
    /// What links are built from, alone.
    pub doors: &'a Doors,
    /// Where links lead.
    pub routes: &'a Routes,
    /// The time zone in which it tells the time.
    pub zone: &'a TimeZone,
}

/// One door on the sheet.
struct Way {
    name: &'static str,
    link: String,
    code: String,
    blocks: String,
}

/// Writes a sheet in the account's language.
///
/// # Errors
/// When an address is too long for a code, which no configured door is.
pub fn write(house: &House<'_>, account: &Account, token: &TicketToken, expires_at: Timestamp) -> Result<Sheet, Fault> {
    let words = Words::of(account.language);
    let path = format!("{}?ticket={}", house.routes.set_password, token.expose());
    let mut ways = vec![way(words.in_office, house.doors.in_office.link(&path))?];
    if house.doors.in_office != house.doors.out_of_office {
        ways.push(way(words.out_of_office, house.doors.out_of_office.link(&path))?);
    }
    let name = phrase::one_line(&account.name);
    let until = phrase::moment(account.language, expires_at, house.zone);
    let title = words.title.replace("{brand}", &phrase::one_line(&house.branding.name));
    let greeting = words.greeting.replace("{name}", &name);
    let care = words.care.replace("{until}", &until);
    let text = text(&title, &greeting, account, words, &ways, &care);
    let support = house.branding.support.as_deref().map(phrase::one_line);
    let facts = context! {
        lang => account.language.tag(),
        brand => phrase::one_line(&house.branding.name),
        accent => &house.branding.accent,
        title,
        greeting,
        extension_label => words.extension,
        extension => account.extension.as_str(),
        steps => words.steps.to_vec(),
        doors => ways.iter().map(Way::facts).collect::<Vec<_>>(),
        care,
        help => support.map(|support| words.help.replace("{support}", &support)),
    };
    Ok(Sheet {
        html: render(facts)?,
        text,
    })
}

fn render(facts: Value) -> Result<String, Fault> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    // Errors of the debug mode quote the values in scope, and a token is among them.
    templates.set_debug(false);
    templates
        .add_template("sheet.html", include_str!("sheet.html"))
        .and_then(|()| templates.get_template("sheet.html")?.render(facts))
        .map_err(|error| Fault::corrupt("could not write the sheet with the link", error))
}

impl Way {
    fn facts(&self) -> Value {
        context! { name => self.name, link => &self.link, code => &self.code }
    }
}

fn way(name: &'static str, link: String) -> Result<Way, Fault> {
    // A quarter of a folded or stained code may be lost.
    let code = QrCode::with_error_correction_level(&link, EcLevel::M)
        .map_err(|error| Fault::corrupt("the link does not fit into a QR code", error))?;
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    // Inside a page, a picture has no head of its own.
    let at = drawn.find("<svg").unwrap_or_default();
    // Most terminals are dark: the code stays dark on light whichever they are, since light is drawn.
    let blocks = code
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build();
    Ok(Way {
        name,
        code: drawn[at..].to_owned(),
        link,
        blocks,
    })
}

fn text(title: &str, greeting: &str, account: &Account, words: &Words, ways: &[Way], care: &str) -> String {
    let mut lines = vec![
        title.to_owned(),
        String::new(),
        format!("{greeting} {} {}", words.extension, account.extension),
        String::new(),
    ];
    for way in ways {
        lines.extend([way.name.to_owned(), way.blocks.clone(), way.link.clone(), String::new()]);
    }
    lines.push(care.to_owned());
    lines.push(String::new());
    lines.join("\n")
}

/// What the sheet says in one language.
struct Words {
    title: &'static str,
    greeting: &'static str,
    extension: &'static str,
    steps: [&'static str; 3],
    in_office: &'static str,
    out_of_office: &'static str,
    care: &'static str,
    help: &'static str,
}

impl Words {
    const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &Self {
                title: "Welcome to {brand}: set your password",
                greeting: "For {name}.",
                extension: "Extension",
                steps: [
                    "Scan the code with your phone's camera, or type the link below it into a browser.",
                    "Choose a password and type it twice.",
                    "Sign in with your extension number and that password.",
                ],
                in_office: "In office",
                out_of_office: "Out of office",
                care: "Keep this sheet to yourself: whoever has it first can set your password. It works once, until {until}. Tear it up afterwards.",
                help: "Questions: {support}",
            },
            Language::Ja => &Self {
                title: "{brand} へようこそ: パスワードの設定",
                greeting: "{name} 様",
                extension: "内線番号",
                steps: [
                    "スマートフォンのカメラで QR コードを読み取るか、その下のリンクをブラウザーに入力してください。",
                    "パスワードを決めて、2 回入力してください。",
                    "内線番号とそのパスワードでサインインしてください。",
                ],
                in_office: "社内から",
                out_of_office: "社外から",
                care: "この用紙は他の人に渡さないでください。先に使った人がパスワードを設定できてしまいます。使えるのは一度だけ、{until} までです。使い終わったら破棄してください。",
                help: "お問い合わせ先: {support}",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::doors::Door;
    use crate::domain::session::tests::account;

    fn sheet(language: Language, in_office: &str, name: &str) -> Sheet {
        let (branding, routes) = (Branding::default(), Routes::default());
        let doors = Doors {
            in_office: Door::parse(in_office).unwrap(),
            out_of_office: Door::parse("https://out.example").unwrap(),
        };
        let house = House {
            branding: &branding,
            doors: &doors,
            routes: &routes,
            zone: &TimeZone::UTC,
        };
        let account = Account {
            language,
            name: name.to_owned(),
            ..account()
        };
        let until = "2027-01-15T08:00:00Z".parse().unwrap();
        write(&house, &account, &TicketToken::from_entropy([7; 32]), until)
            .ok()
            .unwrap()
    }

    #[test]
    fn a_sheet_has_a_code_and_a_link_for_each_door_and_loads_nothing() {
        let token = TicketToken::from_entropy([7; 32]);
        for (language, words) in [
            (Language::En, ["In office", "Out of office"]),
            (Language::Ja, ["社内から", "社外から"]),
        ] {
            let sheet = sheet(language, "https://in.example", "Yuki");
            for (door, word) in ["https://in.example", "https://out.example"].into_iter().zip(words) {
                let link = format!("{door}/set-password?ticket={}", token.expose());
                assert!(
                    sheet.text.contains(&link) && sheet.text.contains(word),
                    "{}",
                    sheet.text
                );
                assert!(sheet.html.contains(word), "{}", sheet.html);
            }
            assert_eq!(sheet.html.matches("<svg").count(), 2);
            assert!(sheet.text.contains('█') || sheet.text.contains('▀'));
            for loads in ["src=", "url(", "<script", "<link", "@import"] {
                assert!(!sheet.html.contains(loads), "{loads}");
            }
            assert!(sheet.html.contains("2027"));
        }
    }

    #[test]
    fn one_door_is_one_code() {
        let sheet = sheet(Language::En, "https://out.example", "Yuki");
        assert_eq!(sheet.html.matches("<svg").count(), 1);
    }

    #[test]
    fn a_name_writes_no_html() {
        let sheet = sheet(Language::En, "https://in.example", "<script>alert(1)</script>");
        assert!(!sheet.html.contains("<script"), "{}", sheet.html);
    }
}
