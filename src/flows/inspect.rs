//! Looking over everybody for what an administrator should put in order: who cannot be reached, who has never come,
//! whose name could be taken for another, and which API token has ended or nobody uses.
//!
//! What is found is a value; the store is only read. How strong a hash is, the caller judges: flows know no hash.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

use super::World;
use crate::domain::account::{Account, AccountId, AccountState, Email};
use crate::domain::api_token::{ApiToken, ApiTokenState};
use crate::domain::bounce::{Bounce, DeadAddress};
use crate::domain::fault::Fault;
use crate::domain::password::PasswordHash;
use crate::domain::session::later;
use crate::domain::ticket::{Ticket, TicketState};
use crate::ports::{AccountListing, Accounts, ApiTokens, Bounces, Tickets};

/// Looks people over.
pub struct InspectAccounts {
    /// Who there is.
    pub accounts: Arc<dyn Accounts>,
    /// Which links there are.
    pub tickets: Arc<dyn Tickets>,
    /// Which mail came back.
    pub bounces: Arc<dyn Bounces>,
    /// Which programs may come.
    pub tokens: Arc<dyn ApiTokens>,
    /// Time and chance.
    pub world: World,
}

/// Something to put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub matter: Disorder,
    /// Whom it concerns: one account, or several that it is about together; none when it is about a token.
    pub accounts: Vec<Account>,
    /// What exactly: an address, a name, the parameters of a hash, a token.
    pub detail: String,
}

/// What may be out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Disorder {
    /// Several enabled accounts have one address.
    SharedEmail,
    /// An enabled account has no address.
    NoEmail,
    /// Mail to the address of an enabled account bounces for good.
    MailBounces,
    /// The password was taken away, and no other has been set yet.
    NewPasswordNeeded,
    /// Invited, and no link has ever been mailed.
    NeverActivated,
    /// The newest link has expired unused.
    LinkExpired,
    /// Nobody has signed in for a year.
    NotSeen,
    /// The password hash is easier to guess from than the configuration asks for.
    WeakHash,
    /// Names, numbers or addresses of different accounts look alike.
    LookAlike,
    /// A name or address has characters that look like plain ones and are others.
    OddSpelling,
    /// An API token has expired and was not revoked.
    TokenExpired,
    /// An API token that is in use expires soon.
    TokenExpiring,
    /// An API token that works has not been used for long.
    TokenUnused,
}

impl Disorder {
    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SharedEmail => "shared-email",
            Self::NoEmail => "no-email",
            Self::MailBounces => "mail-bounces",
            Self::NewPasswordNeeded => "new-password-needed",
            Self::NeverActivated => "never-activated",
            Self::LinkExpired => "link-expired",
            Self::NotSeen => "not-seen",
            Self::WeakHash => "weak-hash",
            Self::LookAlike => "look-alike",
            Self::OddSpelling => "odd-spelling",
            Self::TokenExpired => "token-expired",
            Self::TokenExpiring => "token-expiring",
            Self::TokenUnused => "token-unused",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::SharedEmail => {
                "give each its own address (sekisho account change EXTENSION --email ADDRESS), or disable the one nobody uses; until then none of them can use \"forgot \
                 password\" or sign in by address"
            }
            Self::NoEmail => {
                "add an address: sekisho account change EXTENSION --email ADDRESS; without one a forgotten password cannot \
                 be reset by mail"
            }
            Self::MailBounces => {
                "ask for the right address (sekisho account change EXTENSION --email ADDRESS), or have the mailbox mended and \
                 write again (sekisho account welcome EXTENSION, or \"forgot password\"); a link on paper until then: \
                 sekisho account welcome EXTENSION --print"
            }
            Self::NewPasswordNeeded => {
                "see that the person sets another one: by \"forgot password\" where the address is nobody else's, else with a \
                 link: sekisho account welcome EXTENSION --print; what was tried: sekisho limits campaigns"
            }
            Self::NeverActivated => {
                "invite them: sekisho account welcome EXTENSION, unless a letter waits already (sekisho mail progress)"
            }
            Self::LinkExpired => {
                "mail a new link: sekisho account welcome EXTENSION, or \"forgot password\" for a reset"
            }
            Self::NotSeen => "ask whether they still work here; if not: sekisho account disable EXTENSION",
            Self::WeakHash => {
                "nothing: it is replaced when the person signs in; who never does is a case for sekisho account disable EXTENSION"
            }
            Self::LookAlike => "make sure that they are different people and that each means to be called so",
            Self::OddSpelling => {
                "write it again in plain characters, and in the phone system it is imported from: sekisho account change \
                 EXTENSION --name NAME (or --email ADDRESS)"
            }
            Self::TokenExpired => {
                "take it back, which frees its name: sekisho token revoke NAME; if its program still runs, make another: \
                 sekisho token add"
            }
            Self::TokenExpiring => {
                "make another under another name (sekisho token add), give it to the program, and take this one back: \
                 sekisho token revoke NAME"
            }
            Self::TokenUnused => "ask whether its program still runs; if not: sekisho token revoke NAME",
        }
    }
}

/// Judges a stored hash: what is weak about it, or nothing.
pub type JudgeStrength<'a> = &'a (dyn Fn(&PasswordHash) -> Option<String> + Send + Sync);

/// Whoever has not signed in for so long is worth a question.
const NOT_SEEN: Duration = Duration::from_hours(365 * 24);

/// A token that nobody has used for so long, or since it was made, is worth one as well.
const UNUSED: Duration = Duration::from_hours(90 * 24);

/// A token that expires within this time wants to be replaced.
const EXPIRING: Duration = Duration::from_hours(14 * 24);

impl InspectAccounts {
    /// Everything out of order, by kind and then by extension number.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn run(&self, judge: JudgeStrength<'_>) -> Result<Vec<Finding>, Fault> {
        let everybody = Everybody {
            listings: self.accounts.list().await?,
            tickets: self.tickets.newest().await?,
            dead: self.bounces.dead_addresses().await?,
            weak: self
                .accounts
                .hashes()
                .await?
                .iter()
                .filter_map(|(id, hash)| Some((*id, judge(hash)?)))
                .collect(),
        };
        let now = self.world.now();
        let mut found = everybody.inspect(now);
        let mut tokens = self.tokens.list().await?;
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        let about = tokens.iter().filter_map(|token| look_at(token, now));
        found.extend(about);
        found.sort_by_key(|finding| finding.matter);
        Ok(found)
    }
}

fn look_at(token: &ApiToken, now: Timestamp) -> Option<Finding> {
    let last = token.used.map_or(token.created_at, |used| used.at);
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let (matter, detail) = match token.state_at(now) {
        ApiTokenState::Expired => (Disorder::TokenExpired, format!("on {}", day(token.expires_at))),
        ApiTokenState::Live if later(last, UNUSED) <= now => (Disorder::TokenUnused, format!("since {}", day(last))),
        ApiTokenState::Live if token.used.is_some() && token.expires_at <= later(now, EXPIRING) => {
            (Disorder::TokenExpiring, format!("on {}", day(token.expires_at)))
        }
        ApiTokenState::Revoked | ApiTokenState::Live => return None,
    };
    Some(Finding {
        matter,
        accounts: Vec::new(),
        detail: format!("{} {detail}", token.name),
    })
}

struct Everybody {
    listings: Vec<AccountListing>,
    tickets: Vec<Ticket>,
    dead: Vec<DeadAddress>,
    weak: HashMap<AccountId, String>,
}

impl Everybody {
    fn inspect(&self, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        self.shared_addresses(&mut found);
        self.look_alikes(&mut found);
        let dead: HashMap<&str, &Bounce> = self.dead.iter().map(|dead| (dead.key.as_str(), &dead.bounce)).collect();
        let tickets: HashMap<AccountId, &Ticket> = self.tickets.iter().map(|ticket| (ticket.account, ticket)).collect();
        for listing in self.enabled() {
            let account = &listing.account;
            let mut add = |matter, detail: String| {
                found.push(Finding {
                    matter,
                    accounts: vec![account.clone()],
                    detail,
                });
            };
            if account.email.is_none() {
                add(Disorder::NoEmail, String::new());
            }
            if let Some(bounce) = account.email.as_ref().and_then(|email| dead.get(email.key())) {
                add(Disorder::MailBounces, bounced(account, bounce));
            }
            let ticket = tickets.get(&account.id);
            match ticket.map(|ticket| (ticket.state_at(now), ticket)) {
                Some((TicketState::Expired, ticket)) => {
                    add(Disorder::LinkExpired, format!("{} link", ticket.purpose));
                }
                None if account.state == AccountState::Invited && !listing.needs_new_password() => {
                    add(Disorder::NeverActivated, String::new());
                }
                _ => {}
            }
            if listing.needs_new_password() {
                add(Disorder::NewPasswordNeeded, String::new());
            }
            if let Some(last) = not_seen_since(listing, now) {
                add(Disorder::NotSeen, format!("since {}", last.strftime("%Y-%m-%d")));
            }
            if let Some(weakness) = self.weak.get(&account.id) {
                add(Disorder::WeakHash, weakness.clone());
            }
            for odd in odd_spellings(account) {
                add(Disorder::OddSpelling, odd);
            }
        }
        found.sort_by(|one, other| (one.matter, extension_of(one)).cmp(&(other.matter, extension_of(other))));
        found
    }

    fn enabled(&self) -> impl Iterator<Item = &AccountListing> {
        self.listings
            .iter()
            .filter(|listing| listing.account.state != AccountState::Disabled)
    }

    fn shared_addresses(&self, found: &mut Vec<Finding>) {
        let mut holders: HashMap<&str, Vec<&Account>> = HashMap::new();
        for account in self.enabled().map(|listing| &listing.account) {
            if let Some(email) = &account.email {
                holders.entry(email.key()).or_default().push(account);
            }
        }
        for (_, accounts) in holders.into_iter().filter(|(_, accounts)| accounts.len() > 1) {
            found.push(Finding {
                matter: Disorder::SharedEmail,
                detail: accounts[0].email.as_ref().map_or_else(String::new, ToString::to_string),
                accounts: accounts.into_iter().cloned().collect(),
            });
        }
    }

    /// Different texts with one skeleton (UTS 39, section 4). Two people of exactly the same name are no finding.
    fn look_alikes(&self, found: &mut Vec<Finding>) {
        for what in [Naming::Name, Naming::Extension, Naming::Email] {
            let mut alike: HashMap<String, Vec<(&Account, String)>> = HashMap::new();
            for account in self.enabled().map(|listing| &listing.account) {
                if let Some(text) = what.of(account) {
                    alike
                        .entry(skeleton(&text).collect())
                        .or_default()
                        .push((account, text));
                }
            }
            for same in alike
                .into_values()
                .filter(|same| same.iter().any(|(_, text)| *text != same[0].1))
            {
                let mut texts: Vec<&str> = same.iter().map(|(_, text)| text.as_str()).collect();
                texts.dedup();
                found.push(Finding {
                    matter: Disorder::LookAlike,
                    detail: format!("{}: {}", what.word(), texts.join(" / ")),
                    accounts: same.iter().map(|(account, _)| (*account).clone()).collect(),
                });
            }
        }
    }
}

/// What people tell accounts apart by.
#[derive(Clone, Copy)]
enum Naming {
    Name,
    Extension,
    Email,
}

impl Naming {
    fn of(self, account: &Account) -> Option<String> {
        match self {
            // Width and case are spelling, not another name.
            Self::Name => Some(account.name.nfkc().flat_map(char::to_lowercase).collect()),
            Self::Extension => Some(account.extension.as_str().to_owned()),
            Self::Email => account.email.as_ref().map(|email| email.key().to_owned()),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Extension => "extension",
            Self::Email => "email",
        }
    }
}

fn extension_of(finding: &Finding) -> Option<&str> {
    finding.accounts.first().map(|account| account.extension.as_str())
}

/// When the person was last here, when that is more than a year ago. Who has a password and never came counts from the
/// day it was set.
fn not_seen_since(listing: &AccountListing, now: Timestamp) -> Option<Timestamp> {
    let last = listing.last_sign_in_at.or(listing.password_set_at)?;
    (later(last, NOT_SEEN) < now).then_some(last)
}

/// The address, when mail to it bounced last, and what the remote server said.
fn bounced(account: &Account, bounce: &Bounce) -> String {
    let address = account.email.as_ref().map_or("", Email::as_typed);
    let mut text = format!("{address}, {}", bounce.at.strftime("%Y-%m-%d"));
    if let Some(status) = bounce.report.status {
        text = format!("{text}: {status}");
    }
    match &bounce.report.words {
        Some(words) => format!("{text}: {words}"),
        None => text,
    }
}

/// Texts that a person would type in another way than they are stored.
fn odd_spellings(account: &Account) -> Vec<String> {
    let mut odd = Vec::new();
    let shown = |text: &str| -> String { text.chars().flat_map(escaped).collect() };
    let plain = plain_spelling(&account.name);
    if plain != account.name || account.name.chars().any(is_unseen) {
        let mut text = format!("name: {}", shown(&account.name));
        // Worth saying where the eye sees a difference.
        if plain.nfc().ne(account.name.nfc()) {
            text = format!("{text}, plainly {plain}");
        }
        odd.push(text);
    }
    if let Some(typed) = account.email.as_ref().map(Email::as_typed)
        && (typed.nfkc().ne(typed.chars()) || typed.chars().any(is_unseen))
    {
        odd.push(format!("email: {}", shown(typed)));
    }
    odd
}

/// The name in the one form that a search finds: half-width katakana, full-width letters and digits, ligatures and
/// radicals become what they stand for (NFKC), and accents are one character with their letter (NFC). Everything else
/// stays as it is, though NFKC would change it: full-width blanks and signs, `①`, `㈱` and `℡` in Japanese names, `ª` in
/// Spanish ones, and characters that only compatibility tells from another one, since some people write theirs with just
/// that variant.
fn plain_spelling(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars().peekable();
    while let Some(first) = rest.next() {
        let kind = Spelling::of(first);
        let mut run = String::from(first);
        while let Some(next) =
            rest.next_if(|next| unicode_normalization::char::is_combining_mark(*next) || Spelling::of(*next) == kind)
        {
            run.push(next);
        }
        match kind {
            Spelling::Folds => plain.extend(run.nfkc()),
            Spelling::Stays => plain.push_str(&run),
            Spelling::Composes => plain.extend(run.nfc()),
        }
    }
    plain
}

/// What becomes of a character in a plain spelling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// It becomes what it stands for.
    Folds,
    /// It is one with the accent behind it.
    Composes,
    /// Nothing.
    Stays,
}

impl Spelling {
    const fn of(c: char) -> Self {
        match c {
            // Digits and letters of full width, half-width katakana, ligatures, radicals.
            '\u{ff10}'..='\u{ff19}'
            | '\u{ff21}'..='\u{ff3a}'
            | '\u{ff41}'..='\u{ff5a}'
            | '\u{ff61}'..='\u{ff9f}'
            | '\u{fb00}'..='\u{fb06}'
            | '\u{2f00}'..='\u{2fd5}' => Self::Folds,
            // Ideographs from the compatibility blocks.
            '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}' => Self::Stays,
            _ => Self::Composes,
        }
    }
}

/// Format characters and blanks that a text does not show.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{a0}')
}

fn escaped(c: char) -> Vec<char> {
    if is_unseen(c) || unicode_normalization::char::is_combining_mark(c) {
        c.escape_unicode().collect()
    } else {
        vec![c]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{Extension, Role};
    use crate::domain::bounce::{Action, Report, StatusCode};
    use crate::domain::language::Language;
    use crate::domain::session::tests::at;
    use crate::domain::ticket::{Purpose, TicketEnd};
    use crate::domain::token::TokenDigest;

    const DAY: i64 = 24 * 3600;

    fn listing(extension: &str, name: &str, email: Option<&str>) -> AccountListing {
        let extension = Extension::parse(extension).unwrap();
        let id = extension
            .as_str()
            .bytes()
            .fold(0_u128, |id, byte| id * 256 + u128::from(byte));
        AccountListing {
            account: Account {
                id: AccountId::new(Uuid::from_u128(id)),
                extension,
                name: name.to_owned(),
                email: email.map(|email| Email::parse(email).unwrap()),
                role: Role::User,
                groups: Vec::new(),
                language: Language::En,
                state: AccountState::Active,
                generation: 1,
                created_at: at(0),
                updated_at: at(0),
            },
            password_set_at: Some(at(0)),
            last_sign_in_at: Some(at(399 * DAY)),
        }
    }

    type Found = Vec<(&'static str, Vec<String>, String)>;

    fn found(listings: Vec<AccountListing>, tickets: Vec<Ticket>) -> Found {
        found_with(listings, tickets, Vec::new())
    }

    fn found_with(listings: Vec<AccountListing>, tickets: Vec<Ticket>, dead: Vec<DeadAddress>) -> Found {
        let everybody = Everybody {
            listings,
            tickets,
            dead,
            weak: HashMap::new(),
        };
        let extensions = |finding: &Finding| {
            let extensions = finding.accounts.iter().map(|account| account.extension.to_string());
            extensions.collect()
        };
        everybody
            .inspect(at(400 * DAY))
            .into_iter()
            .map(|finding| (finding.matter.as_str(), extensions(&finding), finding.detail))
            .collect()
    }

    #[test]
    fn people_in_order_are_no_finding() {
        let twins = vec![
            listing("101", "Sam Taylor", Some("a@example.com")),
            listing("102", "Sam Taylor", Some("b@example.com")),
            listing("103", "田中 ゆき", Some("ゆき@例え.jp")),
        ];
        assert_eq!(found(twins, vec![]), []);
    }

    #[test]
    fn names_in_other_than_their_plain_form_are_found_and_japanese_ones_are_plain() {
        let odd = |name: &str| {
            found(vec![listing("101", name, Some("a@example.com"))], vec![])
                .into_iter()
                .map(|(matter, _, detail)| {
                    assert_eq!(matter, "odd-spelling");
                    detail
                })
                .next()
        };
        for (name, detail) in [
            ("ﾔﾏﾀﾞ ﾀﾛｳ", "name: ﾔﾏﾀﾞ ﾀﾛｳ, plainly ヤマダ タロウ"),
            (
                "Ｙｕｋｉ　Ｔａｎａｋａ",
                "name: Ｙｕｋｉ　Ｔａｎａｋａ, plainly Yuki　Tanaka",
            ),
            ("会議室３", "name: 会議室３, plainly 会議室3"),
            ("Ｊｏｓｅ\u{301}", "name: Ｊｏｓｅ\\u{301}, plainly José"),
            ("か\u{3099}くや", "name: か\\u{3099}くや"),
            ("ﬁona", "name: ﬁona, plainly fiona"),
            ("山田\u{200b}太郎", "name: 山田\\u{200b}太郎"),
        ] {
            assert_eq!(odd(name).as_deref(), Some(detail), "{name}");
        }
        for name in [
            "山田　太郎",
            "山田 太郎",
            "髙橋 﨑子",
            "\u{fa19}谷 優",
            "ヤマダ・タロウ",
            "佐々木（営業）",
            "がくや ゔぃおら",
            "José Müller",
            "김민수",
            "會議室〆ヶ谷",
            "会議室Ⅱ",
            "㈱山田",
            "株式会社①",
            "代表℡",
            "Mª José García",
            "O´Brien",
            "Anna\u{2011}Lena",
            "คำรณ อำนาจ",
            "Room 2½",
        ] {
            assert_eq!(odd(name), None, "{name}");
        }
    }

    #[test]
    fn addresses_shared_or_missing_are_found_and_disabled_accounts_do_not_count() {
        let mut gone = listing("103", "C", Some("team@example.com"));
        gone.account.state = AccountState::Disabled;
        let listings = vec![
            listing("101", "A", Some("Team@example.com")),
            listing("102", "B", Some("team@EXAMPLE.com")),
            gone,
            listing("104", "D", None),
        ];
        assert_eq!(
            found(listings, vec![]),
            [
                (
                    "shared-email",
                    vec!["101".into(), "102".into()],
                    "Team@example.com".into()
                ),
                ("no-email", vec!["104".into()], String::new()),
            ]
        );
    }

    #[test]
    fn whose_mail_bounces_is_found_by_the_address_of_today() {
        let mut gone = listing("103", "C", Some("gone@example.com"));
        gone.account.state = AccountState::Disabled;
        let listings = vec![
            listing("101", "A", Some("Yuki@example.com")),
            listing("102", "B", Some("well@example.com")),
            gone,
        ];
        let dead = |key: &str, status: Option<&str>, words: Option<&str>| DeadAddress {
            key: key.to_owned(),
            bounce: Bounce {
                report: Report {
                    action: Action::Failed,
                    status: status.and_then(StatusCode::parse),
                    words: words.map(str::to_owned),
                },
                at: at(DAY),
            },
        };
        let addresses = vec![
            dead("former@example.com", None, None),
            dead("gone@example.com", None, None),
            dead("yuki@example.com", Some("5.1.1"), Some("550 no such user")),
        ];
        assert_eq!(
            found_with(listings, vec![], addresses),
            [(
                "mail-bounces",
                vec!["101".into()],
                "Yuki@example.com, 2027-01-16: 5.1.1: 550 no such user".into()
            )]
        );
    }

    #[test]
    fn who_never_came_is_found_by_what_became_of_the_link() {
        let invited = |extension| {
            let mut listing = listing(extension, extension, Some(&format!("p{extension}@example.com")));
            listing.account.state = AccountState::Invited;
            (listing.password_set_at, listing.last_sign_in_at) = (None, None);
            listing
        };
        let ticket = |listing: &AccountListing, expires: i64, ended| Ticket {
            digest: TokenDigest::from_bytes([1; 32]),
            account: listing.account.id,
            purpose: Purpose::Welcome,
            created_at: at(0),
            expires_at: at(expires),
            ended,
            way: None,
        };
        let (never, expired, live, used) = (invited("101"), invited("102"), invited("103"), invited("104"));
        let tickets = vec![
            ticket(&expired, DAY, None),
            ticket(&live, 401 * DAY, None),
            ticket(&used, DAY, Some(TicketEnd::Used)),
        ];
        assert_eq!(
            found(vec![never, expired, live, used], tickets),
            [
                ("never-activated", vec!["101".into()], String::new()),
                ("link-expired", vec!["102".into()], "welcome link".into()),
            ]
        );
    }

    #[test]
    fn who_has_not_come_for_a_year_is_found() {
        let mut away = listing("101", "A", Some("a@example.com"));
        away.last_sign_in_at = Some(at(30 * DAY));
        let mut never = listing("102", "B", Some("b@example.com"));
        never.last_sign_in_at = None;
        let found = found(vec![away, never], vec![]);
        let who: Vec<_> = found
            .iter()
            .map(|(matter, who, _)| (*matter, who[0].as_str()))
            .collect();
        assert_eq!(who, [("not-seen", "101"), ("not-seen", "102")]);
        assert!(found[0].2.starts_with("since "), "{found:?}");
    }

    #[test]
    fn names_that_look_alike_and_odd_spellings_are_found() {
        let listings = vec![
            listing("101", "Yuki Tanaka", Some("paypal@example.com")),
            listing("102", "Yuki T\u{430}naka", Some("p\u{430}ypal@example.com")),
            listing("1o1", "Jose\u{301}", Some("c@example.com")),
            listing("201", "Ev\u{200b}il", Some("d@example.com")),
        ];
        let found = found(listings, vec![]);
        let by = |matter| found.iter().filter(|(found, ..)| *found == matter).collect::<Vec<_>>();
        assert_eq!(by("look-alike").len(), 2, "{found:#?}");
        assert!(
            by("look-alike").iter().all(|(_, who, _)| *who == ["101", "102"]),
            "{found:#?}"
        );
        assert_eq!(by("odd-spelling").len(), 2, "{found:#?}");
        assert_eq!(by("odd-spelling")[0].2, "name: Jose\\u{301}");
    }

    #[test]
    fn a_token_that_has_ended_or_ends_or_lies_idle_is_worth_a_question() {
        use crate::domain::api_token::LastUse;
        use crate::domain::api_token::tests::token;
        use crate::domain::client::ClientAddr;
        use crate::domain::session::tests::at;

        const DAY: i64 = 86_400;
        let found = |expires: i64, used: Option<i64>, revoked: bool, now: i64| {
            let mut token = token("reports", &["/api/*"]);
            token.expires_at = at(expires * DAY);
            token.revoked_at = revoked.then_some(at(0));
            token.used = used.map(|day| LastUse {
                at: at(day * DAY),
                client: ClientAddr::new("192.0.2.7".parse().unwrap()),
            });
            look_at(&token, at(now * DAY)).map(|finding| (finding.matter, finding.detail))
        };
        assert_eq!(found(200, None, false, 89), None);
        let unused = found(200, None, false, 90).unwrap();
        assert_eq!(unused.0, Disorder::TokenUnused);
        assert!(unused.1.starts_with("reports since 20"), "{}", unused.1);
        assert_eq!(found(200, Some(80), false, 120), None);
        assert_eq!(found(200, Some(80), false, 170).unwrap().0, Disorder::TokenUnused);
        assert_eq!(found(200, Some(180), false, 185), None);
        assert_eq!(found(200, Some(180), false, 186).unwrap().0, Disorder::TokenExpiring);
        assert_eq!(found(200, Some(180), false, 200).unwrap().0, Disorder::TokenExpired);
        assert_eq!(found(200, Some(180), true, 200), None, "nothing is left to do");
    }
}
