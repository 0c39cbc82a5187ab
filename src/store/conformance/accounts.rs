//! Stories of accounts.

use super::*;
use crate::domain::account::{AccountEdit, EmailEdit, Field, LoginName};
use crate::domain::ticket::TicketState;
use crate::ports::{
    AccountBatch, AccountRecord, BatchOutcome, Change, Changed, Creation, DueLetter, EmailMatch, PasswordChange,
    Renewal,
};

stories! {
    a_new_account_is_found_as_it_was_stored,
    an_extension_number_is_given_once,
    an_address_names_one_account_or_is_shared,
    a_shared_address_is_nobodys_credential,
    a_name_between_those_of_others_is_nobodys,
    a_rehash_replaces_only_the_hash_it_was_made_from,
    the_hashes_are_those_of_everybody_who_has_one,
    the_listing_is_ordered_and_says_when,
    active_administrators_are_listed_in_their_order,
    disabling_ends_sessions_and_links_once,
    enabling_restores_what_the_account_was,
    changing_an_account_changes_what_is_mentioned,
    a_new_address_ends_links_and_the_same_again_changes_nothing,
    removing_takes_hash_sessions_and_tickets_and_leaves_events_and_letters,
    the_last_administrator_who_can_sign_in_stays,
    ending_all_sessions_raises_the_generation,
    ending_the_others_leaves_one_session,
    a_password_is_changed_by_whoever_knew_the_old_one,
    what_concerns_an_account_is_recorded_only_while_it_exists,
    many_records_are_stored_together_with_what_follows,
    a_batch_of_changes_ends_what_must_end,
    a_batch_made_from_another_state_stores_nothing,
    a_batch_never_takes_the_last_administrator,
    an_imported_hash_is_a_password,
    whoever_answers_a_welcome_link_is_welcomed_until_the_first_sign_in,
}

async fn a_new_account_is_found_as_it_was_stored(ports: Ports) {
    let account = invitation("101", Some("Yuki@Example.com"), Role::Admin);
    let then = letters(vec![welcome(account.id, at(0))]).and_event(happened(Fact::AccountCreated, None, at(0)));
    assert_eq!(ports.accounts.create(&account, then).await.unwrap(), Creation::Done);
    let found = ports.accounts.find(account.id).await.unwrap().unwrap();
    assert_eq!(found, account);
    assert_eq!(found.email.as_ref().unwrap().as_typed(), "Yuki@Example.com");
    let by_extension = ports.accounts.find_by_extension(&account.extension).await.unwrap();
    assert_eq!(by_extension, Some(account));
    assert_eq!(ports.facts().await, ["account.created"]);
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
    assert_eq!(ports.accounts.find(AccountId::new(fresh_uuid())).await.unwrap(), None);
    let nobody = Extension::parse("102").unwrap();
    assert_eq!(ports.accounts.find_by_extension(&nobody).await.unwrap(), None);
}

async fn an_extension_number_is_given_once(ports: Ports) {
    let first = ports.invited("101").await;
    let second = invitation("101", None, Role::User);
    let refused = ports.accounts.create(&second, fact(Fact::AccountCreated)).await;
    assert_eq!(refused.unwrap(), Creation::ExtensionTaken);
    assert!(ports.facts().await.is_empty(), "a refusal has no consequences");
    let found = ports.accounts.find_by_extension(&first.extension).await.unwrap();
    assert_eq!(found.unwrap().id, first.id);
    assert_eq!(ports.accounts.find(second.id).await.unwrap(), None);
}

async fn an_address_names_one_account_or_is_shared(ports: Ports) {
    let email = |text| Email::parse(text).unwrap();
    let first = ports.invited_as("101", Some("Team@example.com"), Role::User).await;
    let one = ports.accounts.find_by_email(&email("team@EXAMPLE.com")).await.unwrap();
    assert_eq!(one, EmailMatch::One(Box::new(first.clone())));
    let second = ports.invited_as("102", Some("team@example.com"), Role::User).await;
    let shared = ports.accounts.find_by_email(&email("team@example.com")).await.unwrap();
    assert_eq!(shared, EmailMatch::Shared(2));
    let disable = async |id| {
        ports
            .accounts
            .disable(id, at(1), Consequences::default())
            .await
            .unwrap()
    };
    disable(second.id).await;
    let left = ports.accounts.find_by_email(&email("team@example.com")).await.unwrap();
    assert_eq!(
        left,
        EmailMatch::One(Box::new(first.clone())),
        "a disabled account shares no address"
    );
    disable(first.id).await;
    let disabled = ports.accounts.find_by_email(&email("team@example.com")).await.unwrap();
    assert_eq!(disabled, EmailMatch::Shared(2), "nobody else has it");
    let nobody = ports.accounts.find_by_email(&email("other@example.com")).await.unwrap();
    assert_eq!(nobody, EmailMatch::Nobody);
}

async fn a_shared_address_is_nobodys_credential(ports: Ports) {
    let name = |text| LoginName::parse(text).unwrap();
    let first = ports.active_as("101", Some("team@example.com"), Role::User).await;
    for login in ["101", "Team@Example.com"] {
        let credential = ports.accounts.credential(&name(login)).await.unwrap().unwrap();
        assert_eq!(credential.account, first);
        assert_eq!(credential.hash, Some(phc("$first")));
    }
    let second = ports.invited_as("102", Some("team@example.com"), Role::User).await;
    assert!(
        ports
            .accounts
            .credential(&name("team@example.com"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(ports.accounts.credential(&name("103")).await.unwrap().is_none());
    let invited = ports.accounts.credential(&name("102")).await.unwrap().unwrap();
    assert_eq!((invited.account.id, invited.hash), (second.id, None));
}

async fn a_name_between_those_of_others_is_nobodys(ports: Ports) {
    let name = |text| LoginName::parse(text).unwrap();
    let strangers = [
        "0",
        "100",
        "10",
        "1010",
        "102",
        "104",
        "999",
        "*",
        "z",
        "a@example.com",
        "n@example.com",
        "z@example.com",
        "m@example.con",
        "m@example.co",
    ];
    let nobody = async || {
        for stranger in strangers {
            let found = ports.accounts.credential(&name(stranger)).await.unwrap();
            assert_eq!(found, None, "{stranger}");
        }
    };
    nobody().await;
    let first = ports.active_as("101", Some("m@example.com"), Role::User).await;
    nobody().await;
    let second = ports.invited_as("103", None, Role::User).await;
    let third = ports.active_as("105", Some("o@example.com"), Role::User).await;
    ports
        .accounts
        .disable(third.id, at(3), Consequences::default())
        .await
        .unwrap();
    nobody().await;
    for (login, id) in [
        ("101", first.id),
        ("103", second.id),
        ("105", third.id),
        ("m@example.com", first.id),
        ("o@example.com", third.id),
    ] {
        let found = ports.accounts.credential(&name(login)).await.unwrap();
        assert_eq!(found.map(|found| found.account.id), Some(id), "{login}");
    }
}

async fn a_rehash_replaces_only_the_hash_it_was_made_from(ports: Ports) {
    let account = ports.active("101").await;
    let session = ports.sign_in(&account, 2).await;
    let hash = async || {
        let name = LoginName::Extension(account.extension.clone());
        ports.accounts.credential(&name).await.unwrap().unwrap().hash
    };
    ports
        .accounts
        .rehash(account.id, &phc("$other"), &phc("$bad"))
        .await
        .unwrap();
    assert_eq!(hash().await, Some(phc("$first")));
    ports
        .accounts
        .rehash(account.id, &phc("$first"), &phc("$second"))
        .await
        .unwrap();
    assert_eq!(hash().await, Some(phc("$second")));
    ports
        .accounts
        .rehash(account.id, &phc("$first"), &phc("$bad"))
        .await
        .unwrap();
    assert_eq!(hash().await, Some(phc("$second")));
    let (_, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert_eq!(after, account, "the record is as it was, and the session lives");
}

async fn the_hashes_are_those_of_everybody_who_has_one(ports: Ports) {
    assert!(ports.accounts.hashes().await.unwrap().is_empty());
    let (first, second) = (ports.active("101").await, ports.active("102").await);
    ports.invited("103").await;
    let change = ports.accounts.disable(second.id, at(1), Consequences::default()).await;
    assert_eq!(change.unwrap(), Change::Done);
    let renewed = phc("$second");
    ports.accounts.rehash(first.id, &phc("$first"), &renewed).await.unwrap();
    let mut hashes = ports.accounts.hashes().await.unwrap();
    hashes.sort_by_key(|(id, _)| *id != first.id);
    assert_eq!(hashes, [(first.id, renewed), (second.id, phc("$first"))]);
}

async fn the_listing_is_ordered_and_says_when(ports: Ports) {
    let second = ports.active("102").await;
    ports.invited("103").await;
    ports.active("101").await;
    ports.sign_in(&second, 7).await;
    let list = ports.accounts.list().await.unwrap();
    let seen: Vec<_> = list
        .iter()
        .map(|listing| {
            let extension = listing.account.extension.as_str();
            (extension, listing.password_set_at, listing.last_sign_in_at)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("101", Some(at(1)), None),
            ("102", Some(at(1)), Some(at(7))),
            ("103", None, None)
        ]
    );
}

async fn active_administrators_are_listed_in_their_order(ports: Ports) {
    let second = ports.active_as("102", None, Role::Admin).await;
    ports.active("103").await;
    let first = ports.active_as("101", None, Role::Admin).await;
    let third = ports.active_as("104", None, Role::Admin).await;
    let change = ports.accounts.disable(third.id, at(9), Consequences::default()).await;
    assert_eq!(change.unwrap(), Change::Done);
    let listed = ports.accounts.administrators().await.unwrap();
    let ids: Vec<_> = listed.into_iter().map(|account| account.unwrap().id).collect();
    assert_eq!(ids, [first.id, second.id]);
}

async fn disabling_ends_sessions_and_links_once(ports: Ports) {
    let account = ports.active("101").await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let session = ports.sign_in(&account, 2).await;
    let expired = ports.ticket(&account, -200).await;
    let live = ports.ticket(&account, 3).await;
    let disable = async |second| {
        let then = fact(Fact::AccountDisabled);
        ports.accounts.disable(account.id, at(second), then).await.unwrap()
    };
    assert_eq!(disable(4).await, Change::Done);
    assert_eq!(disable(5).await, Change::Unchanged);
    assert_eq!(ports.facts().await, ["account.disabled"]);

    let (kept, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert_eq!(after.state, AccountState::Disabled);
    assert_eq!((after.generation, after.updated_at), (account.generation + 1, at(4)));
    assert!(kept.generation < after.generation, "the session is dead");
    let state = async |ticket: &Ticket| {
        let record = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
        record.ticket.state_at(at(5))
    };
    assert_eq!(state(&live).await, TicketState::Replaced);
    assert_eq!(state(&expired).await, TicketState::Expired);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Account(account.id)]);
    let nobody = AccountId::new(fresh_uuid());
    let missing = ports.accounts.disable(nobody, at(5), fact(Fact::AccountDisabled)).await;
    assert_eq!(missing.unwrap(), Change::NotFound);
}

async fn enabling_restores_what_the_account_was(ports: Ports) {
    let (active, invited) = (ports.active("101").await, ports.invited("102").await);
    let enable = async |account: &Account| {
        let then = fact(Fact::AccountEnabled);
        ports.accounts.enable(account.id, at(9), then).await.unwrap()
    };
    assert_eq!(enable(&active).await, Change::Unchanged);
    for account in [&active, &invited] {
        ports
            .accounts
            .disable(account.id, at(8), Consequences::default())
            .await
            .unwrap();
        assert_eq!(enable(account).await, Change::Done);
    }
    let after = ports.accounts.find(active.id).await.unwrap().unwrap();
    assert_eq!((after.state, after.updated_at), (AccountState::Active, at(9)));
    assert_eq!(after.generation, active.generation + 1, "old sessions stay dead");
    let after = ports.accounts.find(invited.id).await.unwrap().unwrap();
    assert_eq!(after.state, AccountState::Invited);
    assert_eq!(ports.facts().await, ["account.enabled"; 2]);
    assert_eq!(enable(&invitation("9", None, Role::User)).await, Change::NotFound);
}

async fn changing_an_account_changes_what_is_mentioned(ports: Ports) {
    let account = ports.active_as("101", Some("yuki@example.com"), Role::User).await;
    let session = ports.sign_in(&account, 2).await;
    let ticket = ports.ticket(&account, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let edit = AccountEdit {
        name: Some("O'Hara \u{9234}\u{6728}".into()),
        role: Some(Role::Admin),
        groups: Some(vec!["a,b".into()]),
        language: Some(Language::En),
        ..AccountEdit::default()
    };
    let update = async |id, second| {
        let then = fact(Fact::AccountChanged(vec![Field::Name]));
        ports.accounts.update(id, &edit, at(second), then).await.unwrap()
    };
    assert_eq!(update(account.id, 4).await, Change::Done);
    assert_eq!(update(account.id, 5).await, Change::Unchanged);
    assert_eq!(update(AccountId::new(fresh_uuid()), 5).await, Change::NotFound);
    let (_, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert_eq!(
        (after.clone(), after.updated_at),
        (edit.apply(&account, at(4)).0, at(4))
    );
    assert_eq!(after.generation, account.generation, "sessions live on");
    let kept = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
    assert_eq!(kept.ticket.state_at(at(5)), TicketState::Live);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Account(account.id)]);
    assert_eq!(
        ports.facts().await,
        ["account.changed"],
        "only the act that changed something"
    );
}

async fn a_new_address_ends_links_and_the_same_again_changes_nothing(ports: Ports) {
    let account = ports.invited_as("101", Some("yuki@example.com"), Role::User).await;
    let ticket = ports.ticket(&account, 2).await;
    let update = async |email, second| {
        let edit = AccountEdit {
            email,
            ..AccountEdit::default()
        };
        let then = letters(vec![welcome(account.id, at(second))]);
        ports
            .accounts
            .update(account.id, &edit, at(second), then)
            .await
            .unwrap()
    };
    let set = |text| EmailEdit::Set(Email::parse(text).unwrap());
    assert_eq!(update(set("yuki@example.com"), 3).await, Change::Unchanged);
    assert!(ports.outbox.list(9).await.unwrap().is_empty());
    assert_eq!(update(set("New@example.com"), 4).await, Change::Done);
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
    let replaced = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
    assert_eq!(replaced.ticket.state_at(at(5)), TicketState::Replaced);
    let old = Email::parse("yuki@example.com").unwrap();
    assert_eq!(ports.accounts.find_by_email(&old).await.unwrap(), EmailMatch::Nobody);
    let new = ports
        .accounts
        .find_by_email(&Email::parse("new@example.com").unwrap())
        .await;
    let EmailMatch::One(found) = new.unwrap() else {
        panic!("nobody has the new address");
    };
    assert_eq!(found.email.unwrap().as_typed(), "New@example.com");
    assert_eq!(update(EmailEdit::Remove, 6).await, Change::Done);
    assert_eq!(ports.accounts.find(account.id).await.unwrap().unwrap().email, None);
    assert_eq!(update(EmailEdit::Remove, 7).await, Change::Unchanged);
}

async fn removing_takes_hash_sessions_and_tickets_and_leaves_events_and_letters(ports: Ports) {
    let account = ports.active("101").await;
    let session = ports.sign_in(&account, 2).await;
    let ticket = ports.ticket(&account, 3).await;
    let then = letters(vec![welcome(account.id, at(3))]).and_event(happened(Fact::WelcomeRequested, None, at(3)));
    ports.accounts.record(account.id, then).await.unwrap();
    let remove = async || {
        let then = fact(Fact::AccountRemoved);
        ports.accounts.remove(account.id, at(4), then).await.unwrap()
    };
    assert_eq!(remove().await, Change::Done);
    assert_eq!(remove().await, Change::NotFound);
    assert_eq!(ports.facts().await, ["welcome.requested", "account.removed"]);
    assert!(ports.accounts.find(account.id).await.unwrap().is_none());
    assert!(ports.sessions.find(&session.digest).await.unwrap().is_none());
    assert!(ports.tickets.find(&ticket.digest).await.unwrap().is_none());
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
    let again = ports.invited("101").await;
    assert_ne!(again.id, account.id, "the number is free again, the identity is not");
}

async fn the_last_administrator_who_can_sign_in_stays(ports: Ports) {
    let admin = ports.active_as("1", None, Role::Admin).await;
    let invited = ports.invited_as("2", None, Role::Admin).await;
    ports.active("3").await;
    let disable = async |id| {
        ports
            .accounts
            .disable(id, at(9), fact(Fact::AccountDisabled))
            .await
            .unwrap()
    };
    let remove = async |id| {
        ports
            .accounts
            .remove(id, at(9), fact(Fact::AccountRemoved))
            .await
            .unwrap()
    };
    assert_eq!(disable(admin.id).await, Change::LastAdministrator);
    assert_eq!(remove(admin.id).await, Change::LastAdministrator);
    assert!(ports.facts().await.is_empty(), "a refusal has no consequences");
    let after = ports.accounts.find(admin.id).await.unwrap().unwrap();
    assert_eq!(after, admin);
    assert_eq!(
        disable(invited.id).await,
        Change::Done,
        "this one could not sign in anyway"
    );
    let second = ports.active_as("4", None, Role::Admin).await;
    assert_eq!(disable(admin.id).await, Change::Done);
    let demote = async |id| {
        let edit = AccountEdit {
            role: Some(Role::User),
            ..AccountEdit::default()
        };
        let then = fact(Fact::AccountChanged(vec![Field::Role]));
        ports.accounts.update(id, &edit, at(9), then).await.unwrap()
    };
    assert_eq!(remove(second.id).await, Change::LastAdministrator);
    assert_eq!(demote(second.id).await, Change::LastAdministrator);
    assert_eq!(ports.accounts.find(second.id).await.unwrap(), Some(second));
    assert_eq!(remove(admin.id).await, Change::Done);
}

async fn ending_all_sessions_raises_the_generation(ports: Ports) {
    let account = ports.active("101").await;
    let session = ports.sign_in(&account, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let ended = ports
        .accounts
        .end_sessions(account.id, at(3), fact(Fact::SessionsEnded))
        .await;
    assert_eq!(ended.unwrap(), Change::Done);
    let (kept, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert_eq!(after.generation, kept.generation + 1);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Account(account.id)]);
    let nobody = AccountId::new(fresh_uuid());
    let missing = ports
        .accounts
        .end_sessions(nobody, at(3), fact(Fact::SessionsEnded))
        .await;
    assert_eq!(missing.unwrap(), Change::NotFound);
    assert_eq!(ports.facts().await, ["session.ended"]);
}

async fn ending_the_others_leaves_one_session(ports: Ports) {
    let account = ports.active("101").await;
    let (one, other) = (ports.sign_in(&account, 2).await, ports.sign_in(&account, 3).await);
    let stranger = ports.active("102").await;
    let end = async |id, keep| {
        let then = fact(Fact::SessionsEnded);
        ports.accounts.end_other_sessions(id, keep, at(4), then).await.unwrap()
    };
    assert_eq!(end(stranger.id, one.id).await, Change::NotFound, "not their session");
    assert_eq!(end(account.id, SessionId::new(fresh_uuid())).await, Change::NotFound);
    assert_eq!(end(account.id, one.id).await, Change::Done);
    let lives = async |session: &Session| {
        let (session, account) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
        session.generation == account.generation
    };
    assert!(lives(&one).await && !lives(&other).await);
    assert_eq!(
        end(account.id, other.id).await,
        Change::NotFound,
        "an ended one ends nothing"
    );
    assert!(lives(&one).await && !lives(&other).await);
    assert_eq!(ports.facts().await, ["session.ended"]);
}

async fn a_password_is_changed_by_whoever_knew_the_old_one(ports: Ports) {
    let account = ports.active("101").await;
    let (one, other) = (ports.sign_in(&account, 2).await, ports.sign_in(&account, 3).await);
    let ticket = ports.ticket(&account, 3).await;
    let change = async |old: &str, new: &str, session: &Session, end_others, second| {
        let renewed = fresh_digest();
        let change = PasswordChange {
            old: phc(old),
            new: phc(new),
            renewal: Renewal {
                account: account.id,
                session: session.id,
                old: session.digest,
                new: renewed,
            },
            end_others,
        };
        let then = fact(Fact::PasswordChanged);
        let changed = ports.accounts.change_password(&change, at(second), then).await.unwrap();
        changed.then(|| Session {
            digest: renewed,
            ..session.clone()
        })
    };
    let hash = async || {
        let name = LoginName::Extension(account.extension.clone());
        ports.accounts.credential(&name).await.unwrap().unwrap().hash
    };
    let lives = async |session: &Session| {
        let (session, account) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
        session.generation == account.generation
    };
    assert!(
        change("$stale", "$bad", &one, true, 4).await.is_none(),
        "changed in between"
    );
    assert_eq!(hash().await, Some(phc("$first")));
    assert!(lives(&one).await && lives(&other).await, "nothing was done");
    let before = one;
    let one = change("$first", "$second", &before, false, 5).await.unwrap();
    assert!(lives(&one).await && lives(&other).await, "the others were to stay");
    let late = fresh_session(&account, at(5));
    let begun = ports.sessions.begin(&late, None, &ROOMY, Consequences::default());
    assert!(!begun.await.unwrap(), "whoever gave the old password comes too late");
    let (confirmed, _) = ports.sessions.find(&one.digest).await.unwrap().unwrap();
    assert_eq!((confirmed.created_at, confirmed.authenticated_at), (at(2), at(5)));
    assert!(
        ports.sessions.find(&before.digest).await.unwrap().is_none(),
        "its former token opens nothing"
    );
    let replaced = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
    assert_eq!(replaced.ticket.state_at(at(6)), TicketState::Overtaken);
    assert!(
        change("$second", "$bad", &before, false, 6).await.is_none(),
        "from a token the session has no more"
    );
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let last = change("$second", "$third", &one, true, 7).await.unwrap();
    assert!(lives(&last).await && !lives(&other).await);
    assert!(
        change("$third", "$bad", &other, true, 8).await.is_none(),
        "from a session that has ended"
    );
    assert_eq!(hash().await, Some(phc("$third")));
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Session(one.digest), Changed::Account(account.id)]);
    assert_eq!(ports.facts().await, ["password.changed"; 2]);
}

async fn what_concerns_an_account_is_recorded_only_while_it_exists(ports: Ports) {
    let account = ports.invited("101").await;
    let record = async |id| ports.accounts.record(id, fact(Fact::WelcomeRequested)).await.unwrap();
    assert_eq!(record(account.id).await, Change::Done);
    assert_eq!(record(AccountId::new(fresh_uuid())).await, Change::NotFound);
    assert_eq!(ports.facts().await, ["welcome.requested"]);
    assert_eq!(ports.accounts.find(account.id).await.unwrap(), Some(account));
}

fn newcomer(extension: &str) -> AccountRecord {
    AccountRecord {
        before: None,
        after: invitation(extension, Some(&format!("p{extension}@example.com")), Role::User),
        hash: None,
    }
}

/// What a batch makes of an account.
fn revision(before: &Account, second: i64, revise: impl FnOnce(&mut Account)) -> AccountRecord {
    let mut after = before.clone();
    after.updated_at = at(second);
    revise(&mut after);
    AccountRecord {
        before: Some(before.clone()),
        after,
        hash: None,
    }
}

async fn import(ports: &Ports, records: Vec<AccountRecord>, second: i64) -> BatchOutcome {
    let batch = AccountBatch {
        records,
        then: fact(Fact::AccountCreated),
        later: Vec::new(),
    };
    ports.accounts.import(&batch, at(second), &|_| {}).await.unwrap()
}

async fn many_records_are_stored_together_with_what_follows(ports: Ports) {
    // More than one statement holds.
    let records: Vec<_> = (1000..2203).map(|number| newcomer(&number.to_string())).collect();
    let letter = welcome(records[0].after.id, at(1));
    let batch = AccountBatch {
        then: records
            .iter()
            .map(|record| happened(Fact::AccountCreated, Some(record.after.id), at(1)))
            .fold(Consequences::default(), Consequences::and_event),
        later: vec![DueLetter {
            letter: letter.clone(),
            due_at: at(60),
        }],
        records: records.clone(),
    };
    let heard = parking_lot::Mutex::new(Vec::new());
    let outcome = ports
        .accounts
        .import(&batch, at(1), &|count| heard.lock().push(count))
        .await;
    assert_eq!(outcome.unwrap(), BatchOutcome::Done);
    assert!(heard.lock().is_sorted());
    assert_eq!(heard.lock().last(), Some(&1203));
    let stored: Vec<_> = ports
        .accounts
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|listing| listing.account)
        .collect();
    let wanted: Vec<_> = records.into_iter().map(|record| record.after).collect();
    assert_eq!(stored, wanted);
    assert_eq!(ports.events.list(EventFilter::newest(9999)).await.unwrap().len(), 1203);
    let letters = ports.outbox.list(9).await.unwrap();
    assert_eq!((letters.len(), &letters[0].letter), (1, &letter));
    assert!(
        ports
            .outbox
            .take(
                at(59),
                crate::domain::outbox::Batch { others: 9, paced: 9 },
                Duration::from_secs(1)
            )
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        ports
            .outbox
            .take(
                at(60),
                crate::domain::outbox::Batch { others: 9, paced: 9 },
                Duration::from_secs(1)
            )
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_batch_of_changes_ends_what_must_end(ports: Ports) {
    let renamed = ports.active_as("101", Some("a@example.com"), Role::User).await;
    let moved = ports.active_as("102", Some("b@example.com"), Role::User).await;
    let gone = ports.active("103").await;
    let session = ports.sign_in(&renamed, 2).await;
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    let mut tickets = Vec::new();
    for account in [&renamed, &moved, &gone] {
        tickets.push(ports.ticket(account, 3).await);
    }
    let records = vec![
        revision(&renamed, 4, |after| after.name = "New".into()),
        revision(&moved, 4, |after| {
            after.email = Some(Email::parse("B@example.com").unwrap());
        }),
        revision(&gone, 4, |after| {
            after.state = AccountState::Disabled;
            after.generation += 1;
        }),
    ];
    let wanted: Vec<_> = records.iter().map(|record| record.after.clone()).collect();
    assert_eq!(import(&ports, records, 4).await, BatchOutcome::Done);
    for (account, ticket) in wanted.iter().zip(&tickets) {
        assert_eq!(ports.accounts.find(account.id).await.unwrap().as_ref(), Some(account));
        let record = ports.tickets.find(&ticket.digest).await.unwrap().unwrap();
        let ended = record.ticket.state_at(at(5));
        let lives = account.id == renamed.id;
        assert_eq!(
            ended,
            if lives {
                TicketState::Live
            } else {
                TicketState::Replaced
            },
            "{account:?}"
        );
        let credential = ports
            .accounts
            .credential(&LoginName::Extension(account.extension.clone()))
            .await
            .unwrap();
        assert_eq!(credential.unwrap().hash, Some(phc("$first")), "the password stays");
    }
    let newest = ports.tickets.newest().await.unwrap();
    assert_eq!(newest.len(), 3);
    let (_, after) = ports.sessions.find(&session.digest).await.unwrap().unwrap();
    assert_eq!(after.generation, session.generation, "a new name ends no session");
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(
        changes,
        wanted
            .iter()
            .map(|account| Changed::Account(account.id))
            .collect::<Vec<_>>()
    );
}

async fn a_batch_made_from_another_state_stores_nothing(ports: Ports) {
    let account = ports.active("101").await;
    let before = ports.accounts.list().await.unwrap();
    let stale = Account {
        generation: account.generation - 1,
        ..account.clone()
    };
    let older = Account {
        updated_at: at(0),
        ..account.clone()
    };
    let never = invitation("102", None, Role::User);
    let batches = [
        vec![newcomer("105"), revision(&stale, 5, |after| after.name = "X".into())],
        vec![newcomer("105"), revision(&older, 5, |after| after.name = "X".into())],
        vec![newcomer("105"), revision(&never, 5, |after| after.name = "X".into())],
        vec![newcomer("105"), newcomer("101")],
    ];
    for records in batches {
        assert_eq!(import(&ports, records, 5).await, BatchOutcome::Outdated);
    }
    assert_eq!(ports.accounts.list().await.unwrap(), before);
    assert!(ports.facts().await.is_empty(), "a refusal has no consequences");
}

async fn a_batch_never_takes_the_last_administrator(ports: Ports) {
    let admin = ports.active_as("1", None, Role::Admin).await;
    ports.invited_as("2", None, Role::Admin).await;
    let demotion = || revision(&admin, 5, |after| after.role = Role::User);
    let disabling = || {
        revision(&admin, 5, |after| {
            after.state = AccountState::Disabled;
            after.generation += 1;
        })
    };
    for record in [demotion(), disabling()] {
        assert_eq!(
            import(&ports, vec![newcomer("105"), record], 5).await,
            BatchOutcome::LastAdministrator
        );
    }
    assert_eq!(ports.accounts.list().await.unwrap().len(), 2);
    assert!(ports.facts().await.is_empty(), "a refusal has no consequences");
    let mut other = newcomer("106");
    other.after.role = Role::Admin;
    other.after.state = AccountState::Active;
    other.hash = Some(phc("$foreign"));
    assert_eq!(import(&ports, vec![other, demotion()], 5).await, BatchOutcome::Done);
}

async fn whoever_answers_a_welcome_link_is_welcomed_until_the_first_sign_in(ports: Ports) {
    let invited = ports.invited("101").await;
    let ticket = Ticket {
        purpose: Purpose::Welcome,
        ..fresh_ticket(invited.id, at(0))
    };
    ports.tickets.issue(&ticket).await.unwrap();
    assert_eq!(ports.redeem(&ticket, "$first", 1).await, Redemption::Done);
    let account = ports.accounts.find(invited.id).await.unwrap().unwrap();
    let name = LoginName::Extension(account.extension.clone());
    let welcomed = async || ports.accounts.credential(&name).await.unwrap().unwrap().welcomed;
    assert!(welcomed().await);
    ports.sign_in(&account, 2).await;
    assert!(!welcomed().await);
}

async fn an_imported_hash_is_a_password(ports: Ports) {
    let invited = ports.invited("101").await;
    let ticket = ports.ticket(&invited, 1).await;
    let mut record = revision(&invited, 5, |after| {
        after.state = AccountState::Active;
        after.generation += 1;
    });
    record.hash = Some(phc("$foreign"));
    let mut new = newcomer("102");
    new.hash = Some(phc("$another"));
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    assert_eq!(import(&ports, vec![record, new.clone()], 5).await, BatchOutcome::Done);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    let news = [Changed::Account(invited.id), Changed::Account(new.after.id)];
    assert_eq!(changes, news, "a running server hears of every hash");
    let credential = ports
        .accounts
        .credential(&LoginName::Extension(invited.extension.clone()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(credential.hash, Some(phc("$foreign")));
    assert_eq!(credential.password_set_at, Some(at(5)));
    assert!(!credential.welcomed, "no Welcome link has set it");
    assert_eq!(ports.accounts.list().await.unwrap()[0].password_set_at, Some(at(5)));
    assert!(
        ports
            .accounts
            .hashes()
            .await
            .unwrap()
            .contains(&(invited.id, phc("$foreign")))
    );
    assert_eq!(
        ports.redeem(&ticket, "$other", 6).await,
        Redemption::Refused(TicketState::Overtaken)
    );
}
