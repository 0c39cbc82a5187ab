//! What is true of SQLite alone: files, crashes, cancelled callers, full disks, other processes, damaged rows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::{AssertSqlSafe, Row, query, query_scalar};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, LoginName};
use crate::domain::api_token::tests::token as api_token;
use crate::domain::api_token::{ApiToken, ApiTokenId};
use crate::domain::event::{Actor, Consequences, Event, Fact};
use crate::domain::outbox::Matter;
use crate::domain::password::PasswordHash;
use crate::domain::session::later;
use crate::domain::session::tests::{account, at, session};
use crate::domain::ticket::{Purpose, Ticket};
use crate::domain::token::TokenDigest;
use crate::ports::{Accounts, ApiTokens, Creation, EventFilter, Events, Outbox, Redemption, Room, Sessions, Tickets};

async fn open() -> (TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    (directory, store)
}

fn invitation(number: u128) -> Account {
    Account {
        id: AccountId::new(Uuid::from_u128(number)),
        extension: Extension::parse(&number.to_string()).unwrap(),
        state: AccountState::Invited,
        ..account()
    }
}

fn consequences(number: u128) -> Consequences {
    let account = invitation(number).id;
    Consequences::event(Event {
        id: Uuid::from_u128(number),
        at: at(1),
        actor: Actor::Operator,
        client: None,
        account: Some(account),
        fact: Fact::AccountCreated,
    })
    .and_letter(Uuid::from_u128(number), Matter::Welcome { account }, at(1))
}

async fn create(store: &SqliteStore, number: u128) -> Result<Creation, Fault> {
    store.create(&invitation(number), consequences(number)).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What kill -9 leaves on the disk: the database and its log as they are at this moment.
fn as_after_a_kill(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [DATABASE, "sekisho.db-wal"] {
        fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a").join("b");
    let store = SqliteStore::open(&inner).await.unwrap();
    create(&store, 1).await.unwrap();
    assert_eq!(mode(&inner), 0o700);
    for name in [DATABASE, "sekisho.db-wal", "sekisho.db-shm"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn the_database_is_set_up_so_that_nothing_acknowledged_is_lost() {
    let (_directory, store) = open().await;
    let ask = async |what: &'static str| -> String {
        query_scalar::<_, i64>(what)
            .fetch_one(&store.writer)
            .await
            .map_or_else(|_| String::new(), |number| number.to_string())
    };
    assert_eq!(ask("PRAGMA synchronous").await, "2");
    assert_eq!(ask("PRAGMA foreign_keys").await, "1");
    assert_eq!(ask("PRAGMA busy_timeout").await, "1500");
    let journal: String = query_scalar("PRAGMA journal_mode")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!(journal, "wal");
    // Older ones can lose committed writes when two connections race at a checkpoint.
    let version: String = query_scalar("SELECT sqlite_version()")
        .fetch_one(&store.readers)
        .await
        .unwrap();
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(parts >= vec![3, 51, 3], "{version}");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let (directory, store) = open().await;
    let ticket = Ticket {
        digest: TokenDigest::from_bytes([1; 32]),
        account: invitation(1).id,
        purpose: Purpose::Welcome,
        way: None,
        created_at: at(1),
        expires_at: at(100),
        ended: None,
    };
    let hash = PasswordHash::from_phc("$new".into());
    create(&store, 1).await.unwrap();
    store.issue(&ticket).await.unwrap();
    let redeemed = store.redeem(&ticket.digest, &hash, at(2), consequences(2)).await;
    assert_eq!(redeemed.unwrap(), Redemption::Done);
    let mut begun = session();
    begun.generation = 2;
    let room = Room {
        most: 1,
        ended: &|_| unreachable!("nobody makes room"),
    };
    assert!(store.begin(&begun, None, &room, Consequences::default()).await.unwrap());

    let copy = as_after_a_kill(directory.path());
    std::mem::forget(store);
    let again = SqliteStore::open(copy.path()).await.unwrap();
    let (kept, account) = Sessions::find(&again, &begun.digest).await.unwrap().unwrap();
    assert_eq!((kept, account.state), (begun, AccountState::Active));
    assert_eq!(Outbox::list(&again, 9).await.unwrap().len(), 2);
    assert_eq!(Events::list(&again, EventFilter::newest(9)).await.unwrap().len(), 2);
    let refused = again
        .redeem(&ticket.digest, &hash, at(3), Consequences::default())
        .await;
    assert!(
        matches!(refused.unwrap(), Redemption::Refused(_)),
        "a link is never used twice"
    );
}

#[tokio::test]
async fn a_dropped_store_opens_again_with_everything_in_it() {
    let (directory, store) = open().await;
    create(&store, 1).await.unwrap();
    drop(store);
    let again = SqliteStore::open(directory.path()).await.unwrap();
    assert!(Accounts::find(&again, invitation(1).id).await.unwrap().is_some());
    again.close().await;
    let third = SqliteStore::open(directory.path()).await.unwrap();
    assert_eq!(create(&third, 1).await.unwrap(), Creation::ExtensionTaken);
}

/// Polls a call a given number of times and then drops it.
struct Polled<F> {
    inner: std::pin::Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        if self.left == 0 {
            return std::task::Poll::Ready(None);
        }
        self.left -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

/// The caller goes away at every point at which a call can be left: all of it happens, or none, and the next
/// caller finds the store as usable as ever.
#[tokio::test]
async fn a_call_dropped_after_any_number_of_polls_leaves_all_or_nothing() {
    let (_directory, store) = open().await;
    let mut finished = 0;
    for polls in 1..40_usize {
        let number = polls as u128;
        let call = Polled {
            inner: Box::pin(create(&store, number)),
            left: polls,
        };
        finished += usize::from(call.await.is_some());
        let then = create(&store, 1000 + number).await;
        assert_eq!(then.unwrap(), Creation::Done, "after {polls} polls");
    }
    assert!(finished > 0, "some calls were let through");
    assert!(finished < 39, "some calls were dropped");
    let accounts = Accounts::list(&store).await.unwrap().len();
    assert!(accounts >= 39 + finished);
    assert_eq!(Outbox::list(&store, 1000).await.unwrap().len(), accounts);
    assert_eq!(
        Events::list(&store, EventFilter::newest(1000)).await.unwrap().len(),
        accounts
    );
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_the_store_recovers_by_itself() {
    let (_directory, store) = open().await;
    let pages: i64 = query_scalar("PRAGMA page_count")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    let limit = async |pages: i64| {
        let statement = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        query(statement).execute(&store.writer).await.unwrap();
    };
    limit(pages).await;
    let mut stored = 0;
    let fault = loop {
        match create(&store, stored + 1).await {
            Ok(_) => stored += 1,
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Fault::Unavailable { .. }), "{fault:?}");
    assert!(fault.to_string().contains(DATABASE), "{fault}");
    assert!(
        Accounts::find(&store, invitation(stored + 1).id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        Accounts::list(&store).await.unwrap().len() as u128,
        stored,
        "reading goes on"
    );
    let failed = store.faults().counts();
    assert_eq!((failed[0], failed[1], failed[3]), (0, 0, 0), "{failed:?}");
    assert!(failed[2] >= 1, "{failed:?}");
    limit(1_000_000).await;
    store.try_writing().await.unwrap();
    assert_eq!(create(&store, 500).await.unwrap(), Creation::Done);
    assert_eq!(Outbox::list(&store, 1000).await.unwrap().len() as u128, stored + 1);
}

#[tokio::test]
async fn trying_to_write_writes_a_page_and_changes_nothing() {
    let (directory, store) = open().await;
    create(&store, 1).await.unwrap();
    let log = || fs::metadata(directory.path().join("sekisho.db-wal")).unwrap().len();
    let (before, changes) = (log(), store.changes_since(None).await.unwrap().1);
    store.try_writing().await.unwrap();
    assert!(log() > before, "a page was written: a full disk would have refused it");
    assert_eq!(store.changes_since(None).await.unwrap().1, changes);
    let holder = SqliteStore::open(directory.path()).await.unwrap();
    let held = holder.transaction().await.unwrap();
    assert!(store.try_writing().await.is_err(), "somebody else holds the database");
    drop(held);
}

#[tokio::test]
async fn a_connection_that_believes_in_a_transaction_long_gone_is_replaced() {
    let (_directory, store) = open().await;
    let mut tx = store.transaction().await.unwrap();
    // As SQLite does by itself on some errors.
    query("ROLLBACK").execute(&mut *tx).await.unwrap();
    drop(tx);
    assert_eq!(create(&store, 1).await.unwrap(), Creation::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_on_the_same_file_sees_and_is_seen() {
    let (directory, server) = open().await;
    let command = SqliteStore::open(directory.path()).await.unwrap();
    let (_, cursor) = server.changes_since(None).await.unwrap();
    create(&command, 1).await.unwrap();
    assert!(Accounts::find(&server, invitation(1).id).await.unwrap().is_some());
    command
        .disable(invitation(1).id, at(2), Consequences::default())
        .await
        .unwrap();
    assert_eq!(server.changes_since(Some(cursor)).await.unwrap().0.len(), 1);
    let (one, two) = tokio::join!(
        async {
            for number in 100..120 {
                create(&server, number).await.unwrap();
            }
        },
        async {
            for number in 200..220 {
                create(&command, number).await.unwrap();
            }
        }
    );
    assert_eq!((one, two), ((), ()));
    assert_eq!(Accounts::list(&server).await.unwrap().len(), 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_make_the_database_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let path = directory.path().to_owned();
        starting.spawn(async move { SqliteStore::open(&path).await.map(|_| ()) });
    }
    for started in starting.join_all().await {
        started.unwrap();
    }
}

#[tokio::test]
async fn reading_goes_on_while_another_process_holds_the_write_lock() {
    let (directory, store) = open().await;
    create(&store, 1).await.unwrap();
    let other = SqliteStore::open(directory.path()).await.unwrap();
    let held = other.transaction().await.unwrap();
    assert!(Accounts::find(&store, invitation(1).id).await.unwrap().is_some());
    let writing = create(&store, 2);
    let releasing = async {
        tokio::task::yield_now().await;
        held.rollback().await.unwrap();
    };
    let (written, ()) = tokio::join!(writing, releasing);
    assert_eq!(written.unwrap(), Creation::Done);
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_corrupt() {
    for (column, value) in [
        ("state", "'asleep'"),
        ("role", "'root'"),
        ("groups_json", "'sales'"),
        ("language", "'xx'"),
        ("extension", "'1/2'"),
        ("email", "'two@example.com,three@example.com'"),
        ("generation", "-1"),
        ("created_at", "'yesterday'"),
        ("updated_at", "9223372036854775807"),
        ("id", "'me'"),
    ] {
        let (_directory, store) = open().await;
        create(&store, 1).await.unwrap();
        let statement = AssertSqlSafe(format!("UPDATE accounts SET {column} = {value}"));
        query(statement).execute(&store.writer).await.unwrap();
        let fault = Accounts::list(&store).await.unwrap_err();
        assert!(matches!(fault, Fault::Corrupt { .. }), "{column}: {}", fault.chain());
        assert!(fault.chain().contains(column), "{}", fault.chain());
    }
}

#[tokio::test]
async fn an_api_token_that_cannot_be_read_opens_nothing_and_hides_no_other_one() {
    let (_directory, store) = open().await;
    let token = |number: u8, name| ApiToken {
        id: ApiTokenId::new(Uuid::from_u128(number.into())),
        digest: TokenDigest::from_bytes([number; 32]),
        ..api_token(name, &["GET /api/*"])
    };
    let (broken, sound) = (token(1, "broken"), token(2, "sound"));
    for token in [&broken, &sound] {
        ApiTokens::add(&store, token, Consequences::default()).await.unwrap();
    }
    query("UPDATE api_tokens SET scopes_json = '[\"BIND /dav/*\"]' WHERE name = 'broken'")
        .execute(&store.writer)
        .await
        .unwrap();
    assert_eq!(ApiTokens::list(&store).await.unwrap(), [sound]);
    let opened = ApiTokens::find(&store, &broken.digest).await;
    assert!(matches!(opened, Err(Fault::Corrupt { .. })), "{opened:?}");
}

/// Time tells who is there when only they have a row to fetch and to decode.
#[tokio::test]
async fn whoever_looks_for_nobody_reads_a_row_as_whoever_looks_for_somebody() {
    let (_directory, store) = open().await;
    for number in [101, 103] {
        create(&store, number).await.unwrap();
        query("UPDATE accounts SET email = $1, email_key = $1 WHERE extension = $2")
            .bind(format!("p{number}@example.com"))
            .bind(number.to_string())
            .execute(&store.writer)
            .await
            .unwrap();
    }
    for (name, there) in [
        ("100", false),
        ("101", true),
        ("102", false),
        ("103", true),
        ("104", false),
    ] {
        let by_extension = store.nearest_extension(&Extension::parse(name).unwrap()).await;
        let address = Email::parse(&format!("p{name}@example.com")).unwrap();
        let by_email = store.nearest_email(&address).await;
        for row in [by_extension, by_email] {
            let row = row.unwrap().unwrap();
            rows::credential(&row).unwrap();
            assert_eq!(row.get::<bool, _>("meant"), there, "{name}");
        }
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_no_hindrance_to_whoever_comes_before_it_in_order() {
    let (_directory, store) = open().await;
    create(&store, 103).await.unwrap();
    query("UPDATE accounts SET language = 'xx'")
        .execute(&store.writer)
        .await
        .unwrap();
    let credential = async |name| store.credential(&LoginName::parse(name).unwrap()).await;
    assert_eq!(credential("102").await.unwrap(), None);
    assert!(matches!(credential("103").await, Err(Fault::Corrupt { .. })));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join(DATABASE),
        "This is a letter to my mother. ".repeat(300),
    )
    .unwrap();
    let fault = SqliteStore::open(directory.path()).await.unwrap_err();
    assert!(matches!(fault, Fault::Corrupt { .. }), "{}", fault.chain());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_its_reason() {
    let (directory, store) = open().await;
    query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'x', TRUE, x'00', 0)")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let refused = SqliteStore::open(directory.path()).await.unwrap_err().chain();
    assert!(refused.contains("newer version"), "{refused}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = SqliteStore::open(&file.join("data")).await.unwrap_err().chain();
    assert!(refused.contains(&file.display().to_string()), "{refused}");
}

#[tokio::test]
async fn events_are_append_only_in_the_database_itself() {
    let (_directory, store) = open().await;
    create(&store, 1).await.unwrap();
    for statement in ["UPDATE events SET detail = 'x'", "DELETE FROM events"] {
        let refused = query(statement).execute(&store.writer).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    let newest = Events::list(&store, EventFilter::newest(1)).await.unwrap().remove(0);
    let later = later(newest.at, Duration::from_secs(1));
    for at in [newest.at, later] {
        let event = Event {
            id: Uuid::from_u128(at.as_millisecond().unsigned_abs().into()),
            at,
            ..newest.clone()
        };
        store.append(&[event]).await.unwrap();
    }
    assert_eq!(Events::sweep(&store, later, 1).await.unwrap(), 1);
    let refused = query("DELETE FROM events").execute(&store.writer).await.unwrap_err();
    assert!(
        refused.to_string().contains("append-only"),
        "the younger ones: {refused}"
    );
}

#[tokio::test]
async fn no_answer_in_time_is_a_fault_that_says_what_was_tried_and_where() {
    let (_directory, store) = open().await;
    let never = std::future::pending::<Result<(), Trouble>>();
    let late = store
        .within(Duration::from_millis(1), "look up a session", never)
        .await
        .unwrap_err();
    assert!(matches!(late, Fault::Unavailable { .. }), "{late:?}");
    let expected = format!("could not look up a session in {}", store.file().display());
    assert_eq!(late.to_string(), expected);
}

#[tokio::test]
async fn a_database_that_refuses_answers_and_one_whose_connections_never_come_back_does_not() {
    let (directory, store) = open().await;
    assert!(store.answers().await);
    let mut held = Vec::new();
    for _ in 0..READERS {
        held.push(store.readers.acquire().await.unwrap());
    }
    assert!(!store.answers().await);
    drop(held);
    assert!(store.answers().await);
    fs::remove_dir_all(directory.path()).unwrap();
    let store = SqliteStore {
        readers: pool(READERS, READ_DEADLINE).connect_lazy_with(
            SqliteConnectOptions::new()
                .filename(directory.path().join(DATABASE))
                .read_only(true),
        ),
        ..store
    };
    assert!(store.answers().await, "that there is none is an answer");
}

#[tokio::test]
async fn when_the_newest_event_was_recorded_is_known_though_nobody_understands_it() {
    let (_directory, store) = open().await;
    assert_eq!(store.newest_event().await.unwrap(), None);
    query("INSERT INTO events (id, at, actor, name) VALUES ('1', $1, 'gateway', 'pigeon.landed')")
        .bind(at(5).as_millisecond())
        .execute(&store.writer)
        .await
        .unwrap();
    Events::list(&store, EventFilter::newest(1)).await.unwrap_err();
    assert_eq!(store.newest_event().await.unwrap(), Some(at(5)));
}

#[tokio::test]
async fn the_attacks_that_a_letter_is_about_are_found_without_reading_all_there_are() {
    let (_directory, store) = open().await;
    let plan = query(concat!(
        "EXPLAIN QUERY PLAN SELECT id, record_json FROM campaigns WHERE ",
        super::campaigns::told_at!(),
        " >= '2027-01-15T08:00:05'"
    ));
    let rows = plan.fetch_all(&store.readers).await.unwrap();
    let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    assert!(
        steps.iter().any(|step| step.contains("INDEX campaigns_by_told")),
        "{steps:?}"
    );
}
