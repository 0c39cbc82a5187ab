//! Letters over real connections: what arrives, what is refused, and what must never be said aloud.

mod server;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mail_parser::MessageParser;
use parking_lot::Mutex;
use rstest::rstest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use self::server::{Cover, Manner, PASSWORD, Server, USER};
use super::letters::tests::{account, branding, press_of, token};
use super::return_path::{self, ReturnPath};
use super::smtp::SmtpMailer;
use crate::config::{self, MailSecurity};
use crate::demo::mailcatcher::{Behaviour, Inbox, MailCatcher};
use crate::domain::account::{Account, Email};
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::limits::Nanos;
use crate::domain::outbox::LetterId;
use crate::domain::token::TOKEN_BYTES;
use crate::ports::{Clock, Content, Entropy, Mail, Mailer, Receipt, Refusal};

/// Time stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2027-01-15T08:00:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Nanos {
        Nanos::default()
    }
}

/// Chance counts up.
#[derive(Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn token(&self) -> [u8; TOKEN_BYTES] {
        [self.0.fetch_add(1, Ordering::Relaxed); TOKEN_BYTES]
    }
}

fn config_for(address: SocketAddr, security: MailSecurity) -> config::Mail {
    config::Mail {
        from: "no-reply@example.com".into(),
        from_name: None,
        bounces: None,
        smtp_host: address.ip().to_string(),
        smtp_port: address.port(),
        security,
        ca_file: None,
        username: None,
        password_file: None,
        timeout: Duration::from_secs(10),
        rate: "60 per 1m".parse().unwrap(),
    }
}

fn mailer(config: &config::Mail) -> Result<SmtpMailer, Fault> {
    mailer_with(config, None)
}

fn mailer_with(config: &config::Mail, returns: Option<ReturnPath>) -> Result<SmtpMailer, Fault> {
    SmtpMailer::new(
        config,
        press_of(&branding()),
        returns,
        Arc::new(Still),
        Arc::new(Counting::default()),
    )
}

/// A running mail catcher.
struct Catcher {
    inbox: Inbox,
    address: SocketAddr,
    _stop: DropGuard,
}

async fn catcher() -> Catcher {
    let any = "127.0.0.1:0".parse().unwrap();
    let catcher = MailCatcher::bind(any, any).await.unwrap();
    let (inbox, address, stop) = (catcher.inbox(), catcher.smtp_addr(), CancellationToken::new());
    tokio::spawn(catcher.run(stop.clone()));
    Catcher {
        inbox,
        address,
        _stop: stop.drop_guard(),
    }
}

impl Catcher {
    fn mailer(&self) -> SmtpMailer {
        mailer(&config_for(self.address, MailSecurity::DangerPlain)).unwrap()
    }
}

async fn send_to(mailer: &SmtpMailer, person: &Account) -> Result<Receipt, Refusal> {
    let token = token();
    let content = Content::Welcome {
        token: &token,
        life: Duration::from_hours(72),
    };
    let to = person.email.as_ref().unwrap();
    mailer
        .send(Mail {
            letter: LetterId::new(Uuid::from_u128(5)),
            to,
            reader: person.into(),
            content,
            site: None,
        })
        .await
}

async fn send(mailer: &SmtpMailer) -> Result<Receipt, Refusal> {
    send_to(mailer, &account(Language::En)).await
}

#[tokio::test]
async fn each_letter_has_a_return_address_of_its_own_where_bounces_are_wanted() {
    let catcher = catcher().await;
    send(&catcher.mailer()).await.unwrap();
    assert_eq!(catcher.inbox.messages()[0].from, "no-reply@example.com");
    let config = config_for(catcher.address, MailSecurity::DangerPlain);
    let returns = || return_path::tests::returns();
    send(&mailer_with(&config, Some(returns())).unwrap()).await.unwrap();
    let letter = &catcher.inbox.messages()[1];
    assert_eq!(
        returns().read(&letter.from),
        return_path::Named::Letter(LetterId::new(Uuid::from_u128(5)))
    );
    assert!(letter.sender.ends_with("<no-reply@example.com>"), "{}", letter.sender);
}

#[rstest]
#[case(Language::En, "Yuki Tanaka", "Set your password for Sekisho", "In office")]
#[case(Language::Ja, "田中 由紀", "【Sekisho】パスワードの設定をお願いします", "社内から")]
#[tokio::test]
async fn a_letter_arrives_whole(
    #[case] language: Language,
    #[case] name: &str,
    #[case] subject: &str,
    #[case] button: &str,
) {
    let catcher = catcher().await;
    let receipt = send_to(&catcher.mailer(), &account(language)).await.unwrap();
    assert_eq!(receipt.words, "250 OK");

    let received = &catcher.inbox.messages()[0];
    assert_eq!(received.from, "no-reply@example.com");
    assert_eq!(received.to, ["yuki@example.com"]);
    assert!(received.raw.is_ascii(), "needs no extension of the server");
    assert!(
        received.raw.split(|byte| *byte == b'\n').all(|line| line.len() < 999),
        "RFC 5322 section 2.1.1"
    );

    let message = MessageParser::default().parse(&received.raw).unwrap();
    assert_eq!(message.subject(), Some(subject));
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("Sekisho"), Some("no-reply@example.com"))
    );
    let to = message.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some(name), Some("yuki@example.com")));
    assert_eq!(message.date().unwrap().to_rfc3339(), "2027-01-15T08:00:00Z");
    assert!(message.message_id().unwrap().ends_with("@example.com"));
    assert_eq!(received.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert!(
        received
            .header("Content-Type")
            .unwrap()
            .starts_with("multipart/alternative;")
    );

    let path = format!("/set-password?ticket={}", token().expose());
    let links = ["https://phone.office.example:8443", "https://phone.example.com"].map(|door| format!("{door}{path}"));
    assert_eq!(received.links(), links);
    let html = received.html.as_deref().unwrap();
    assert!(html.contains(button) && links.iter().all(|link| html.contains(link)));
}

#[tokio::test]
async fn every_letter_has_an_id_of_its_own() {
    let catcher = catcher().await;
    let mailer = catcher.mailer();
    for _ in 0..2 {
        send(&mailer).await.unwrap();
    }
    let ids: Vec<_> = catcher
        .inbox
        .messages()
        .iter()
        .map(|message| message.header("Message-ID").unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_name_with_line_breaks_adds_no_header() {
    let catcher = catcher().await;
    let mut person = account(Language::En);
    person.name = "Yuki\r\nBcc: thief@example.com\r\n\r\nX".into();
    let config = config::Mail {
        from_name: Some("Phone\r\nX-Forged: 1".into()),
        ..config_for(catcher.address, MailSecurity::DangerPlain)
    };
    send_to(&mailer(&config).unwrap(), &person).await.unwrap();
    let received = &catcher.inbox.messages()[0];
    assert_eq!(received.header("Bcc"), None);
    assert_eq!(received.header("X-Forged"), None);
    assert_eq!(received.to, ["yuki@example.com"]);
    assert_eq!(received.sender, "Phone X-Forged: 1 <no-reply@example.com>");
}

#[rstest]
#[case(Behaviour::RejectRecipient(550, "5.1.1 No such person".into()), true, "550 5.1.1 No such person")]
#[case(Behaviour::RejectRecipient(451, "4.2.0 Greylisted".into()), false, "451 4.2.0 Greylisted")]
#[case(Behaviour::RejectRecipient(530, "5.7.0 Authentication required".into()), false, "530 5.7.0 Authentication required")]
#[case(Behaviour::RejectMessage(554, "5.7.1 Looks like spam".into()), true, "554 5.7.1 Looks like spam")]
#[case(Behaviour::RejectMessage(452, "4.3.1 Disk full".into()), false, "452 4.3.1 Disk full")]
#[tokio::test]
async fn a_refusal_is_final_only_when_it_is_about_the_letter(
    #[case] behaviour: Behaviour,
    #[case] permanent: bool,
    #[case] words: &str,
) {
    let catcher = catcher().await;
    catcher.inbox.set_behaviour(behaviour);
    let mailer = catcher.mailer();
    let refusal = send(&mailer).await.unwrap_err();
    assert_eq!((refusal.permanent, refusal.words.as_str()), (permanent, words));

    catcher.inbox.set_behaviour(Behaviour::Accept);
    send(&mailer).await.expect("the next letter goes through");
}

#[rstest]
#[case(Behaviour::RefuseConnections)]
#[case(Behaviour::FreezeAfterConnect)]
#[case(Behaviour::DropAfterData)]
#[tokio::test]
async fn a_broken_conversation_is_tried_again_later(#[case] behaviour: Behaviour) {
    let catcher = catcher().await;
    catcher.inbox.set_behaviour(behaviour.clone());
    let config = config::Mail {
        // Only the frozen server uses it up.
        timeout: Duration::from_millis(if behaviour == Behaviour::FreezeAfterConnect {
            200
        } else {
            10_000
        }),
        ..config_for(catcher.address, MailSecurity::DangerPlain)
    };
    let mailer = mailer(&config).unwrap();
    let refusal = send(&mailer).await.unwrap_err();
    assert!(!refusal.permanent && !refusal.words.is_empty(), "{}", refusal.words);

    catcher.inbox.set_behaviour(Behaviour::Accept);
    let before = catcher.inbox.messages().len();
    send(&mailer).await.unwrap();
    assert_eq!(catcher.inbox.messages().len(), before + 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_later() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refusal = send(&mailer(&config_for(nobody, MailSecurity::DangerPlain)).unwrap())
        .await
        .unwrap_err();
    assert!(!refusal.permanent);
    assert!(
        refusal
            .words
            .starts_with(&format!("could not reach {nobody}: Connection refused")),
        "{}",
        refusal.words
    );
}

#[tokio::test]
async fn an_address_that_needs_an_extension_the_server_lacks_is_final() {
    let catcher = catcher().await;
    let mut person = account(Language::Ja);
    person.email = Some(Email::parse("由紀@example.com").unwrap());
    let refusal = send_to(&catcher.mailer(), &person).await.unwrap_err();
    assert!(
        refusal.permanent && refusal.words.contains("SMTPUTF8"),
        "{}",
        refusal.words
    );
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start("127.0.0.1", Manner::default());
    let mailer = mailer(&config_for(server.address, MailSecurity::DangerPlain)).unwrap();
    for _ in 0..3 {
        send(&mailer).await.unwrap();
    }
    assert_eq!((server.seen().connections, server.seen().letters.len()), (1, 3));
}

#[tokio::test]
async fn a_connection_that_died_in_between_is_replaced() {
    let server = Server::start(
        "127.0.0.1",
        Manner {
            hangs_up: true,
            ..Manner::default()
        },
    );
    let mailer = mailer(&config_for(server.address, MailSecurity::DangerPlain)).unwrap();
    for _ in 0..2 {
        send(&mailer).await.unwrap();
    }
    assert_eq!((server.seen().connections, server.seen().letters.len()), (2, 2));
}

#[tokio::test]
async fn a_sender_the_server_refuses_is_the_operators_to_mend() {
    let server = Server::start(
        "127.0.0.1",
        Manner {
            refuses_sender: Some(550),
            ..Manner::default()
        },
    );
    let refusal = send(&mailer(&config_for(server.address, MailSecurity::DangerPlain)).unwrap())
        .await
        .unwrap_err();
    assert!(!refusal.permanent);
    assert!(
        refusal
            .words
            .ends_with("did not take no-reply@example.com as the sender: 550 Not from you"),
        "{}",
        refusal.words
    );
}

#[tokio::test]
async fn a_server_that_quotes_the_link_does_not_bring_it_into_the_words() {
    let server = Server::start(
        "127.0.0.1",
        Manner {
            quotes_letter: true,
            ..Manner::default()
        },
    );
    let refusal = send(&mailer(&config_for(server.address, MailSecurity::DangerPlain)).unwrap())
        .await
        .unwrap_err();
    assert!(refusal.permanent);
    assert_eq!(
        refusal.words,
        "554 Blocked: https://phone.office.example:8443/set-password?ticket=…"
    );
}

/// A directory with the CA of a server and a password.
struct Files {
    directory: TempDir,
}

impl Files {
    fn of(ca: &str, password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Self { directory };
        files.write("ca.pem", ca, 0o644);
        files.write("password", password, 0o600);
        files
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, server: &Server, security: MailSecurity) -> config::Mail {
        config::Mail {
            ca_file: Some(self.path("ca.pem")),
            username: Some(USER.into()),
            password_file: Some(self.path("password")),
            ..config_for(server.address, security)
        }
    }
}

const STRICT: Manner = Manner {
    tls: Cover::StartTls,
    asks_password: true,
    refuses_sender: None,
    quotes_letter: false,
    hangs_up: false,
};

#[rstest]
#[case(Cover::StartTls, MailSecurity::StartTls)]
#[case(Cover::Implicit, MailSecurity::Tls)]
#[tokio::test]
async fn under_tls_nothing_is_said_in_the_clear(#[case] tls: Cover, #[case] security: MailSecurity) {
    let server = Server::start("127.0.0.1", Manner { tls, ..STRICT });
    let files = Files::of(&server.ca, &format!("{PASSWORD}\n"));
    send(&mailer(&files.config(&server, security)).unwrap()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.letters.len(), 1);
    let said: Vec<_> = seen.clear.iter().map(|line| line.split(' ').next().unwrap()).collect();
    let expected: &[&str] = if tls == Cover::StartTls {
        &["EHLO", "STARTTLS"]
    } else {
        &[]
    };
    assert_eq!(said, expected);
}

#[tokio::test]
async fn without_starttls_no_letter_goes_out() {
    let server = Server::start("127.0.0.1", Manner::default());
    let files = Files::of(&server.ca, PASSWORD);
    let refusal = send(&mailer(&files.config(&server, MailSecurity::StartTls)).unwrap())
        .await
        .unwrap_err();
    assert!(!refusal.permanent);
    assert!(
        refusal.words.contains("did not turn to TLS: STARTTLS is not supported"),
        "{}",
        refusal.words
    );
    let seen = server.seen();
    assert!(seen.letters.is_empty());
    assert!(
        seen.clear
            .iter()
            .all(|line| line.starts_with("EHLO ") || line == "QUIT"),
        "{:?}",
        seen.clear
    );
}

#[tokio::test]
async fn answers_sent_ahead_of_tls_are_not_believed() {
    let server = Server::start(
        "127.0.0.1",
        Manner {
            tls: Cover::AnswersAhead,
            ..STRICT
        },
    );
    let files = Files::of(&server.ca, PASSWORD);
    let refusal = send(&mailer(&files.config(&server, MailSecurity::StartTls)).unwrap())
        .await
        .unwrap_err();
    assert!(
        !refusal.permanent && refusal.words.contains("did not turn to TLS"),
        "{}",
        refusal.words
    );
    assert!(server.seen().letters.is_empty());
}

#[rstest]
#[case::another_ca("127.0.0.1", true)]
#[case::another_name("mail.example.com", false)]
#[tokio::test]
async fn a_certificate_must_be_the_servers_own(
    #[case] name: &str,
    #[case] another_ca: bool,
    #[values(Cover::StartTls, Cover::Implicit)] tls: Cover,
) {
    let server = Server::start(name, Manner { tls, ..STRICT });
    let trusted = if another_ca {
        Server::start(name, STRICT).ca
    } else {
        server.ca.clone()
    };
    let files = Files::of(&trusted, PASSWORD);
    let security = if tls == Cover::Implicit {
        MailSecurity::Tls
    } else {
        MailSecurity::StartTls
    };
    let refusal = send(&mailer(&files.config(&server, security)).unwrap())
        .await
        .unwrap_err();
    assert!(
        !refusal.permanent && refusal.words.contains("invalid peer certificate"),
        "{}",
        refusal.words
    );
    assert!(server.seen().letters.is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_the_operators_to_mend() {
    let server = Server::start("127.0.0.1", STRICT);
    let files = Files::of(&server.ca, "wrong");
    let refusal = send(&mailer(&files.config(&server, MailSecurity::StartTls)).unwrap())
        .await
        .unwrap_err();
    assert!(!refusal.permanent);
    assert!(
        refusal
            .words
            .contains("user name and password of [mail]: 535 Invalid credentials"),
        "{}",
        refusal.words
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_remedy() {
    let files = Files::of("no certificate", PASSWORD);
    let open = files.write("open", PASSWORD, 0o644);
    let empty = files.write("empty", "\n", 0o600);
    let base = config_for("127.0.0.1:1".parse().unwrap(), MailSecurity::StartTls);
    let with_password = |path: Option<PathBuf>, user: Option<&str>| config::Mail {
        username: user.map(str::to_owned),
        password_file: path,
        ..base.clone()
    };
    let cases = [
        (with_password(Some(open), Some(USER)), "chmod 0600"),
        (with_password(Some(empty), Some(USER)), "it is empty"),
        (with_password(Some(files.path("missing")), Some(USER)), "missing"),
        (with_password(None, Some(USER)), "without password_file"),
        (with_password(Some(files.path("password")), None), "without username"),
        (
            config::Mail {
                ca_file: Some(files.path("ca.pem")),
                ..base.clone()
            },
            "no certificate in PEM form",
        ),
        (
            config::Mail {
                from: "nobody".into(),
                ..base.clone()
            },
            "[mail] from",
        ),
    ];
    for (config, expected) in cases {
        let fault = mailer(&config).err().expect(expected).chain();
        assert!(fault.contains(expected), "{fault}");
        assert!(!fault.contains(PASSWORD), "{fault}");
    }
}

/// Collects what a log would show.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_level_shows_letters_or_passwords() {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::debug!("the log is on");

    let server = Server::start("127.0.0.1", STRICT);
    let files = Files::of(&server.ca, PASSWORD);
    send(&mailer(&files.config(&server, MailSecurity::StartTls)).unwrap())
        .await
        .unwrap();

    let shown = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(shown.contains("the log is on"));
    let token = token().expose();
    for secret in [token.as_str(), PASSWORD, "AUTH", "Yuki", "Wrote"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
