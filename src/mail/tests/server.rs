//! A mail server with TLS and passwords, for one test each: blocking, on a thread of its own, and able
//! to be as hostile as the way to a mail server can be. The demonstration's mail catcher has no TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder, response};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

/// What the server does.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner {
    pub(super) tls: Cover,
    /// Asks for [`USER`] and [`PASSWORD`].
    pub(super) asks_password: bool,
    /// Answers `MAIL` with this code.
    pub(super) refuses_sender: Option<u16>,
    /// Answers the letter with 554 and the letter's own words.
    pub(super) quotes_letter: bool,
    /// Closes the connection after each letter.
    pub(super) hangs_up: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Cover {
    #[default]
    None,
    Implicit,
    StartTls,
    /// Answers ahead of TLS, as somebody in the middle would.
    AnswersAhead,
}

pub(super) const USER: &str = "sekisho";
pub(super) const PASSWORD: &str = "correct horse";

/// A running server.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The CA that signed its certificate, in PEM form.
    pub(super) ca: String,
    seen: Arc<Mutex<Seen>>,
}

/// What the server saw.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// Every line that came in the clear.
    pub(super) clear: Vec<String>,
    pub(super) letters: Vec<Vec<u8>>,
}

impl Server {
    /// Starts one with a certificate for `name`.
    pub(super) fn start(name: &str, manner: Manner) -> Self {
        let (config, ca) = certificate(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                shared.lock().connections += 1;
                let (config, shared) = (config.clone(), shared.clone());
                // A conversation that breaks off is what some tests are about.
                std::thread::spawn(move || converse(stream?, config, manner, &shared));
            }
        });
        Self { address, ca, seen }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
}

fn certificate(name: &str) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (Arc::new(config), ca.pem())
}

fn converse(mut tcp: TcpStream, config: Arc<ServerConfig>, manner: Manner, seen: &Arc<Mutex<Seen>>) -> io::Result<()> {
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut builder = SessionBuilder::new("mail.example.com");
    if matches!(manner.tls, Cover::StartTls | Cover::AnswersAhead) {
        builder.enable_start_tls();
    }
    if manner.asks_password {
        builder.enable_auth(AuthMechanism::Plain);
    }
    let letter = Letter {
        manner,
        seen: seen.clone(),
        raw: Vec::new(),
    };
    let mut session = builder.build(IpAddr::from([127, 0, 0, 1]), letter);
    let encrypt = |tcp| -> io::Result<_> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, tcp))
    };
    if manner.tls == Cover::Implicit {
        session.tls_active();
        let mut stream = encrypt(tcp)?;
        stream.write_all(&session.greeting().buffer()?)?;
        return talk(&mut stream, &mut session, manner, None).map(|_| ());
    }
    tcp.write_all(&session.greeting().buffer()?)?;
    if talk(&mut tcp, &mut session, manner, Some(seen))? {
        session.tls_active();
        talk(&mut encrypt(tcp)?, &mut session, manner, None)?;
    }
    Ok(())
}

/// Answers until the end, or until TLS is asked for: `true`.
fn talk(
    stream: &mut (impl Read + Write),
    session: &mut Session<Letter>,
    manner: Manner,
    clear: Option<&Arc<Mutex<Seen>>>,
) -> io::Result<bool> {
    let mut in_letter = false;
    while let Some(line) = read_line(stream)? {
        if let Some(seen) = clear {
            seen.lock()
                .clear
                .push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        let answer = session.process(&line);
        let mut bytes = answer.buffer()?;
        if answer.action == Action::UpgradeTls && manner.tls == Cover::AnswersAhead {
            bytes.extend_from_slice(b"250-mail.example.com\r\n250 8BITMIME\r\n");
        }
        stream.write_all(&bytes)?;
        match answer.action {
            Action::UpgradeTls => return Ok(true),
            Action::Close => return Ok(false),
            Action::NoReply | Action::Reply => {}
        }
        if in_letter && answer.action == Action::Reply && manner.hangs_up {
            return Ok(false);
        }
        in_letter = answer.code == 354 || answer.action == Action::NoReply;
    }
    Ok(false)
}

/// One byte at a time, so that nothing meant for TLS is read before it.
fn read_line(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        line.push(byte[0]);
    }
    Ok(Some(line))
}

struct Letter {
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
    raw: Vec<u8>,
}

impl Handler for Letter {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, _from: &str) -> Response {
        self.raw.clear();
        match self.manner.refuses_sender {
            Some(code) => Response::custom(code, "Not from you".into()),
            None => response::OK,
        }
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        if self.manner.quotes_letter {
            let message = String::from_utf8_lossy(&self.raw)
                .replace("=\r\n", "")
                .replace("=3D", "=");
            let link = message.split_whitespace().find(|word| word.starts_with("https://"));
            return Response::custom(554, format!("Blocked: {}", link.unwrap_or("no link")));
        }
        self.seen.lock().letters.push(std::mem::take(&mut self.raw));
        response::OK
    }

    fn auth_plain(&mut self, _for: &str, user: &str, password: &str) -> Response {
        if (user, password) == (USER, PASSWORD) {
            response::AUTH_OK
        } else {
            response::INVALID_CREDENTIALS
        }
    }
}
