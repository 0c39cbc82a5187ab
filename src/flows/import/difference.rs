//! What an import would change: the people there are against the people of the file, as a value.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::sheet::{RefusedLine, Row, RowProblem, Sheet};
use crate::domain::account::{Account, AccountEdit, AccountId, AccountState, EmailEdit, Extension, Field, Role};
use crate::domain::language::Language;
use crate::ports::{AccountListing, AccountRecord};

/// What the operator wants besides the rows themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whoever is not in the file is disabled.
    pub sync: bool,
    /// Whoever of the file is invited and has no link so far gets a Welcome letter.
    pub welcome: bool,
    /// The language of new people whose row names none.
    pub language: Language,
}

/// What an import would change.
#[derive(Debug)]
pub struct Difference {
    /// People nobody knew.
    pub new: Vec<Person>,
    /// People whose record changes.
    pub changed: Vec<Person>,
    /// People who are missing in the file and will be disabled, in the order of their numbers.
    pub disabled: Vec<Account>,
    /// Administrators who are missing too, and stay: nobody else could sign in as one.
    pub kept: Vec<Account>,
    /// How many rows say what is stored already.
    pub unchanged: usize,
    /// Lines that are not taken.
    pub refused: Vec<RefusedLine>,
    /// Who gets a Welcome letter.
    pub welcome: Vec<AccountId>,
    /// How many of the file are disabled; an import enables nobody.
    pub still_disabled: usize,
    /// How many hashes are not used, because the person has set a password here.
    pub hashes_unused: usize,
    /// How many addresses several enabled accounts would share.
    pub shared_addresses: usize,
    /// How many people are enabled now.
    pub enabled: usize,
}

/// Somebody new or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The line of the file.
    pub line: usize,
    /// What is stored now, and what will be.
    pub record: AccountRecord,
    /// What differs; everything does of somebody new.
    pub fields: Vec<Field>,
}

/// What is known before the rows are looked at.
pub struct Known<'a> {
    /// Everybody.
    pub listings: &'a [AccountListing],
    /// Whose Welcome letter waits or has been delivered, and who has a link on paper that works.
    pub written_to: &'a HashSet<AccountId>,
    /// The time of the import.
    pub now: Timestamp,
}

impl Difference {
    /// Compares. `fresh` gives ids to new people.
    pub fn between(known: &Known<'_>, sheet: Sheet, wish: Wish, fresh: impl FnMut() -> AccountId) -> Self {
        let missing = if wish.sync { missing(known, &sheet) } else { Vec::new() };
        let named: HashSet<Extension> = sheet.rows.iter().map(|row| row.extension.clone()).collect();
        let mut difference = Self {
            new: Vec::new(),
            changed: Vec::new(),
            disabled: missing,
            kept: Vec::new(),
            unchanged: 0,
            refused: sheet.refused,
            welcome: Vec::new(),
            still_disabled: 0,
            hashes_unused: 0,
            shared_addresses: 0,
            enabled: known
                .listings
                .iter()
                .filter(|listing| is_enabled(&listing.account))
                .count(),
        };
        difference.compare(known, sheet.rows, wish, fresh);
        difference.keep_an_administrator(known);
        difference.refused.sort_by_key(|refused| refused.line);
        let after = difference.after(known);
        difference.shared_addresses = shared_addresses(after.values().map(|record| &record.after));
        if wish.welcome {
            difference.welcome = welcome(&difference, known, &named, &after);
        }
        difference
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.changed.is_empty() && self.disabled.is_empty() && self.welcome.is_empty()
    }

    /// How many records would be stored.
    pub fn count(&self) -> usize {
        self.new.len() + self.changed.len() + self.disabled.len()
    }

    /// With people missing, whether somebody might be missing only because their line could not be read: then nobody
    /// can be disabled with a good conscience.
    pub fn is_uncertain(&self) -> bool {
        !self.disabled.is_empty() && self.refused.iter().any(|refused| refused.extension.is_none())
    }

    /// Whether so many would be disabled that the file is rather incomplete: more than three, and more than a quarter.
    pub fn disables_many(&self) -> bool {
        self.disabled.len() > 3 && self.disabled.len() * 4 > self.enabled
    }

    fn compare(&mut self, known: &Known<'_>, rows: Vec<Row>, wish: Wish, mut fresh: impl FnMut() -> AccountId) {
        let by_extension: HashMap<_, _> = known
            .listings
            .iter()
            .map(|listing| (&listing.account.extension, listing))
            .collect();
        for row in rows {
            let (line, extension) = (row.line, row.extension.clone());
            match by_extension.get(&extension) {
                Some(listing) => self.revise(listing, row, known.now),
                None => match newcomer(row, wish.language, fresh(), known.now) {
                    Some(record) => self.new.push(Person {
                        line,
                        record,
                        fields: Vec::new(),
                    }),
                    None => self.refused.push(RefusedLine {
                        line,
                        extension: Some(extension),
                        reason: RowProblem::Name,
                    }),
                },
            }
        }
    }

    fn revise(&mut self, listing: &AccountListing, row: Row, now: Timestamp) {
        let before = &listing.account;
        self.still_disabled += usize::from(before.state == AccountState::Disabled);
        let language = row.language.unwrap_or(before.language);
        let edit = AccountEdit {
            name: row.name.map(|name| name.in_language(language)),
            email: row.email,
            role: row.role,
            groups: row.groups,
            language: row.language,
        };
        let (mut after, fields) = edit.apply(before, now);
        // A password that somebody has set is theirs: no file takes its place.
        let open = before.state == AccountState::Invited && listing.password_set_at.is_none();
        self.hashes_unused += usize::from(row.hash.is_some() && !open);
        let hash = row.hash.filter(|_| open);
        if fields.is_empty() && hash.is_none() {
            self.unchanged += 1;
            return;
        }
        if hash.is_some() {
            after.state = AccountState::Active;
            after.generation += 1;
        }
        after.updated_at = now;
        self.changed.push(Person {
            line: row.line,
            record: AccountRecord {
                before: Some(before.clone()),
                after,
                hash,
            },
            fields,
        });
    }

    /// Spares missing administrators, and refuses to take the role from others, where nobody would be left.
    fn keep_an_administrator(&mut self, known: &Known<'_>) {
        let had: HashSet<AccountId> = known
            .listings
            .iter()
            .filter(|listing| can_administrate(&listing.account, listing.password_set_at.is_some()))
            .map(|listing| listing.account.id)
            .collect();
        if had.is_empty() || self.leaves_an_administrator(known) {
            return;
        }
        let (kept, disabled) = std::mem::take(&mut self.disabled)
            .into_iter()
            .partition(|account: &Account| had.contains(&account.id));
        (self.kept, self.disabled) = (kept, disabled);
        if !self.kept.is_empty() {
            return;
        }
        let refused = &mut self.refused;
        self.changed.retain(|person| {
            let demoted = had.contains(&person.record.after.id) && person.fields.contains(&Field::Role);
            if demoted {
                refused.push(RefusedLine {
                    line: person.line,
                    extension: Some(person.record.after.extension.clone()),
                    reason: RowProblem::LastAdministrator,
                });
            }
            !demoted
        });
    }

    fn leaves_an_administrator(&self, known: &Known<'_>) -> bool {
        let passwords: HashSet<AccountId> = known
            .listings
            .iter()
            .filter(|listing| listing.password_set_at.is_some())
            .map(|listing| listing.account.id)
            .collect();
        self.after(known).values().any(|record| {
            let has_password = record.hash.is_some() || passwords.contains(&record.after.id);
            can_administrate(&record.after, has_password)
        })
    }

    /// Everybody who would be enabled, as they would be.
    fn after(&self, known: &Known<'_>) -> HashMap<AccountId, AccountRecord> {
        let as_is = known.listings.iter().map(|listing| AccountRecord {
            before: Some(listing.account.clone()),
            after: listing.account.clone(),
            hash: None,
        });
        let touched = self.new.iter().chain(&self.changed).map(|person| person.record.clone());
        let mut after: HashMap<_, _> = as_is.chain(touched).map(|record| (record.after.id, record)).collect();
        for account in &self.disabled {
            after.remove(&account.id);
        }
        after.retain(|_, record| is_enabled(&record.after));
        after
    }
}

/// Enabled people whose number no line names, in the order of their numbers.
fn missing(known: &Known<'_>, sheet: &Sheet) -> Vec<Account> {
    let rows = sheet.rows.iter().map(|row| &row.extension);
    let refused = sheet.refused.iter().filter_map(|refused| refused.extension.as_ref());
    let present: HashSet<_> = rows.chain(refused).collect();
    let missing = known.listings.iter().map(|listing| &listing.account);
    missing
        .filter(|account| is_enabled(account) && !present.contains(&account.extension))
        .cloned()
        .collect()
}

/// `None` when the row has no name.
fn newcomer(row: Row, language: Language, id: AccountId, now: Timestamp) -> Option<AccountRecord> {
    let language = row.language.unwrap_or(language);
    Some(AccountRecord {
        before: None,
        after: Account {
            id,
            extension: row.extension,
            name: row.name?.in_language(language),
            email: match row.email {
                EmailEdit::Set(email) => Some(email),
                EmailEdit::Keep | EmailEdit::Remove => None,
            },
            role: row.role.unwrap_or(Role::User),
            groups: row.groups.unwrap_or_default(),
            language,
            state: match row.hash {
                Some(_) => AccountState::Active,
                None => AccountState::Invited,
            },
            generation: 1,
            created_at: now,
            updated_at: now,
        },
        hash: row.hash,
    })
}

/// Invited people of the file, known or new, with an address nobody has written to yet, in the order of their
/// numbers. Others who are invited are none of this import's business: somebody added them without a letter on purpose.
fn welcome(
    difference: &Difference,
    known: &Known<'_>,
    named: &HashSet<Extension>,
    after: &HashMap<AccountId, AccountRecord>,
) -> Vec<AccountId> {
    let moved: HashSet<AccountId> = difference
        .changed
        .iter()
        .filter(|person| person.fields.contains(&Field::Email))
        .map(|person| person.record.after.id)
        .collect();
    let mut people: Vec<&Account> = after
        .values()
        .map(|record| &record.after)
        .filter(|account| {
            account.state == AccountState::Invited
                && account.email.is_some()
                && named.contains(&account.extension)
                && (!known.written_to.contains(&account.id) || moved.contains(&account.id))
        })
        .collect();
    people.sort_by(|one, other| one.extension.cmp(&other.extension));
    people.into_iter().map(|account| account.id).collect()
}

fn shared_addresses<'a>(accounts: impl Iterator<Item = &'a Account>) -> usize {
    let mut holders: HashMap<&str, usize> = HashMap::new();
    for email in accounts.filter_map(|account| account.email.as_ref()) {
        *holders.entry(email.key()).or_default() += 1;
    }
    holders.values().filter(|count| **count > 1).count()
}

fn is_enabled(account: &Account) -> bool {
    account.state != AccountState::Disabled
}

fn can_administrate(account: &Account, has_password: bool) -> bool {
    account.role == Role::Admin && account.state == AccountState::Active && has_password
}

#[cfg(test)]
mod tests {
    use super::super::sheet::tests::sheet;
    use super::*;
    use crate::domain::account::Email;
    use crate::domain::session::tests::at;
    use uuid::Uuid;

    fn listing(extension: &str, role: Role, state: AccountState) -> AccountListing {
        let password = (state != AccountState::Invited).then(|| at(1));
        AccountListing {
            account: Account {
                id: AccountId::new(Uuid::from_u128(extension.parse().unwrap())),
                extension: Extension::parse(extension).unwrap(),
                name: format!("Person {extension}"),
                email: Some(Email::parse(&format!("p{extension}@example.com")).unwrap()),
                role,
                groups: vec!["sales".into()],
                language: Language::Ja,
                state,
                generation: 1,
                created_at: at(0),
                updated_at: at(0),
            },
            password_set_at: password,
            last_sign_in_at: None,
        }
    }

    fn compare(listings: &[AccountListing], text: &str, sync: bool) -> Difference {
        compare_with(listings, text, sync, &HashSet::new())
    }

    fn compare_with(
        listings: &[AccountListing],
        text: &str,
        sync: bool,
        written_to: &HashSet<AccountId>,
    ) -> Difference {
        let known = Known {
            listings,
            written_to,
            now: at(9),
        };
        let wish = Wish {
            sync,
            welcome: true,
            language: Language::En,
        };
        let mut next = 1000;
        Difference::between(&known, sheet(text), wish, || {
            next += 1;
            AccountId::new(Uuid::from_u128(next))
        })
    }

    fn numbers<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> Vec<&'a str> {
        accounts.into_iter().map(|account| account.extension.as_str()).collect()
    }

    #[test]
    fn people_are_new_changed_missing_or_as_they_were() {
        let known = [
            listing("101", Role::User, AccountState::Active),
            listing("102", Role::User, AccountState::Active),
            listing("103", Role::User, AccountState::Active),
            listing("104", Role::User, AccountState::Disabled),
            listing("105", Role::User, AccountState::Disabled),
        ];
        let text = "extension,name,email,groups\n\
                    101,Person 101,p101@example.com,sales\n\
                    102,New Name,,\"sales,it\"\n\
                    104,Person 104,p104@example.com,sales\n\
                    201,Fresh,f@example.com,\n";
        let difference = compare(&known, text, true);
        assert_eq!(difference.unchanged, 2);
        assert_eq!(difference.still_disabled, 1);
        assert_eq!(numbers(&difference.disabled), ["103"], "105 is disabled already");
        let changed = &difference.changed[0];
        assert_eq!(changed.fields, [Field::Name, Field::Email, Field::Groups]);
        let after = &changed.record.after;
        assert_eq!(
            (after.name.as_str(), &after.email, after.updated_at),
            ("New Name", &None, at(9))
        );
        assert_eq!(
            (after.language, after.generation),
            (Language::Ja, 1),
            "what no column says stays"
        );
        let new = &difference.new[0].record.after;
        assert_eq!(
            (new.language, new.state, new.role),
            (Language::En, AccountState::Invited, Role::User)
        );
        assert!(compare(&known, text, false).disabled.is_empty());
    }

    #[test]
    fn a_file_imported_twice_changes_nothing_the_second_time() {
        let text = "extension,name,email\n101,Yuki,y@example.com\n102,Sam,\n";
        let first = compare(&[], text, false);
        let listings: Vec<_> = first
            .new
            .iter()
            .map(|person| AccountListing {
                account: person.record.after.clone(),
                password_set_at: None,
                last_sign_in_at: None,
            })
            .collect();
        assert_eq!(first.welcome.len(), 1, "without an address nobody is written to");
        let written = first.welcome.iter().copied().collect();
        let second = compare_with(&listings, text, true, &written);
        assert!(second.is_empty(), "{second:?}");
        assert_eq!(second.unchanged, 2);
        let moved = compare_with(
            &listings,
            "extension,name,email\n101,Yuki,new@example.com\n",
            false,
            &written,
        );
        assert_eq!(moved.welcome.len(), 1, "the letter to the old address helps nobody");
    }

    #[test]
    fn whoever_is_not_in_the_file_gets_no_letter_from_it() {
        let known = ["101", "102"].map(|extension| listing(extension, Role::User, AccountState::Invited));
        let text = "extension,name\n102,Person 102\n";
        assert_eq!(compare(&known, text, false).welcome, [known[1].account.id]);
    }

    #[test]
    fn the_last_administrator_is_neither_disabled_nor_demoted() {
        let admin = || listing("1", Role::Admin, AccountState::Active);
        let known = [admin(), listing("2", Role::Admin, AccountState::Invited)];
        let synced = compare(&known, "extension,name\n3,New\n", true);
        assert_eq!(
            (numbers(&synced.kept), numbers(&synced.disabled)),
            (vec!["1"], vec!["2"])
        );

        let demoting = "extension,name,role\n1,Person 1,user\n";
        let demoted = compare(&[admin()], demoting, false);
        assert!(demoted.changed.is_empty());
        assert_eq!(demoted.refused[0].reason, RowProblem::LastAdministrator);

        let two = [admin(), listing("2", Role::Admin, AccountState::Active)];
        assert_eq!(numbers(&compare(&two, "extension,name\n2,B\n", true).disabled), ["1"]);
        assert_eq!(compare(&two, demoting, false).changed.len(), 1);
        let replaced = compare(
            &[admin()],
            "extension,name,role,password_hash\n9,New,admin,$good\n",
            true,
        );
        assert_eq!(numbers(&replaced.disabled), ["1"], "somebody else can sign in");
    }

    #[test]
    fn a_hash_activates_whoever_has_no_password_and_replaces_nobodys() {
        let known = [
            listing("101", Role::User, AccountState::Invited),
            listing("102", Role::User, AccountState::Active),
        ];
        let text = "extension,name,password_hash\n101,Person 101,$good\n102,Person 102,$good\n103,C,$good\n";
        let difference = compare(&known, text, false);
        assert_eq!(
            (difference.changed.len(), difference.unchanged, difference.hashes_unused),
            (1, 1, 1)
        );
        let activated = &difference.changed[0];
        assert!(activated.fields.is_empty() && activated.record.hash.is_some());
        let after = &activated.record.after;
        assert_eq!((after.state, after.generation), (AccountState::Active, 2));
        assert_eq!(difference.new[0].record.after.state, AccountState::Active);
        assert!(difference.welcome.is_empty());
    }

    #[test]
    fn whoever_stands_on_a_refused_line_is_not_missing() {
        let known = [
            listing("101", Role::User, AccountState::Active),
            listing("102", Role::User, AccountState::Active),
        ];
        let readable = compare(&known, "extension,name,email\n101,A,not an address\n", true);
        assert_eq!(numbers(&readable.disabled), ["102"]);
        assert!(!readable.is_uncertain());
        let unreadable = compare(&known, "extension,name,email\n101,\"A\n", true);
        assert!(
            unreadable.is_uncertain(),
            "101 may stand on the line that cannot be read"
        );
    }

    #[test]
    fn a_file_that_lacks_a_quarter_of_all_people_is_noticed() {
        let known: Vec<_> = (101..=112)
            .map(|number| listing(&number.to_string(), Role::User, AccountState::Active))
            .collect();
        let keeping = |count: usize| {
            let rows: Vec<String> = known[..count]
                .iter()
                .map(|listing| format!("{0},Person {0}", listing.account.extension))
                .collect();
            let rows = rows.join("\n");
            compare(&known, &format!("extension,name\n{rows}"), true).disables_many()
        };
        assert!(!keeping(9));
        assert!(keeping(8));
    }

    #[test]
    fn addresses_that_would_be_shared_are_counted() {
        let known = [listing("101", Role::User, AccountState::Active)];
        let difference = compare(
            &known,
            "extension,name,email\n201,A,P101@example.com\n202,B,b@example.com\n",
            false,
        );
        assert_eq!(difference.shared_addresses, 1);
    }
}
