//! The receiving end of SMTP: sockets and limits here, the conversation itself in `mailin`'s state
//! machine, one task for each connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mailin::{Action, Handler, Response, Session, SessionBuilder, response};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inbox::{Behaviour, Inbox};

/// The largest letter taken, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// A letter that is too large is read to its end, so that the sender hears the refusal, but no further
/// than this many bytes.
const MAX_UNANSWERED: usize = 8 * MAX_MESSAGE;

/// The longest line; RFC 5321 section 4.5.3.1.6 asks for 1000.
const MAX_LINE: u64 = 64 << 10;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 100;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_mins(1);

/// A "reply" that is none: the handler's way to end the conversation without an answer. No SMTP
/// reply code is below 200.
const HANG_UP: u16 = 0;

/// Receives letters until `stop`.
pub(super) async fn serve(listener: TcpListener, inbox: Inbox, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let conversations = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the mail catcher could not accept a connection");
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (inbox, stop, seat) = (inbox.clone(), stop.clone(), seats.clone().try_acquire_owned());
        conversations.spawn(async move {
            let conversation = async {
                if seat.is_ok() {
                    receive(stream, peer.ip(), inbox).await
                } else {
                    turn_away(stream).await
                }
            };
            if let Some(Err(error)) = stop.run_until_cancelled(conversation).await {
                tracing::debug!(%error, %peer, "a conversation with the mail catcher broke off");
            }
            drop(seat);
        });
    }
    conversations.close();
    conversations.wait().await;
}

async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"421 Too many connections, try again later\r\n").await
}

/// Holds one conversation.
async fn receive(mut stream: TcpStream, peer: IpAddr, inbox: Inbox) -> io::Result<()> {
    match inbox.behaviour() {
        // A reset, not an orderly end.
        Behaviour::RefuseConnections => return stream.set_zero_linger(),
        Behaviour::FreezeAfterConnect => {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Ok(());
        }
        _ => {}
    }
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::new(reading);
    let mut session = SessionBuilder::new("mailcatcher.localhost").build(peer, Letter::to(inbox));
    writing.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    let mut unanswered = 0;
    while read_line(&mut reading, &mut line).await? {
        unanswered += line.len();
        match answer(&mut session, &line)? {
            Reply::None if unanswered > MAX_UNANSWERED => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a letter without end"));
            }
            Reply::None => {}
            Reply::Go(bytes) => {
                unanswered = 0;
                writing.write_all(&bytes).await?;
            }
            Reply::Last(bytes) => return writing.write_all(&bytes).await,
        }
    }
    Ok(())
}

enum Reply {
    None,
    Go(Vec<u8>),
    Last(Vec<u8>),
}

fn answer(session: &mut Session<Letter>, line: &[u8]) -> io::Result<Reply> {
    let response = session.process(line);
    Ok(match response.action {
        Action::NoReply => Reply::None,
        Action::Reply if response.code == HANG_UP => Reply::Last(Vec::new()),
        // STARTTLS is never offered, so it is never asked for either.
        Action::Close | Action::UpgradeTls => Reply::Last(response.buffer()?),
        Action::Reply => Reply::Go(response.buffer()?),
    })
}

/// Reads one line with its end into `line`. `false` at the end of the connection.
async fn read_line(reading: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = tokio::time::timeout(IDLE, reading.take(MAX_LINE).read_until(b'\n', line))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the sender said nothing for a minute"))??;
    if read > 0 && line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
    }
    Ok(read > 0)
}

/// The letter being received on one connection.
struct Letter {
    inbox: Inbox,
    from: String,
    to: Vec<String>,
    raw: Vec<u8>,
    too_large: bool,
}

impl Letter {
    fn to(inbox: Inbox) -> Self {
        Self {
            inbox,
            from: String::new(),
            to: Vec::new(),
            raw: Vec::new(),
            too_large: false,
        }
    }
}

impl Handler for Letter {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        from.clone_into(&mut self.from);
        self.to.clear();
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if let Behaviour::RejectRecipient(code, text) = self.inbox.behaviour() {
            return Response::custom(code, text);
        }
        if self.to.len() >= 100 {
            return Response::custom(452, "Too many recipients".into());
        }
        self.to.push(to.to_owned());
        response::OK
    }

    fn data_start(&mut self, _domain: &str, _from: &str, _is8bit: bool, _to: &[String]) -> Response {
        self.raw.clear();
        self.too_large = false;
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        // Once a line did not fit, none may: a letter with a hole would look whole.
        self.too_large |= self.raw.len() + line.len() > MAX_MESSAGE;
        if !self.too_large {
            self.raw.extend_from_slice(line);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let raw = std::mem::take(&mut self.raw);
        if self.too_large {
            return refused(552, "The letter is larger than 1 MiB".into());
        }
        let behaviour = self.inbox.behaviour();
        if let Behaviour::RejectMessage(code, text) = behaviour {
            return refused(code, text);
        }
        if let Err(error) = self.inbox.accept(self.from.clone(), self.to.clone(), raw) {
            tracing::warn!(%error, "the mail catcher could not keep a letter");
            return refused(452, "Insufficient system storage".into());
        }
        if behaviour == Behaviour::DropAfterData {
            return Response::custom(HANG_UP, String::new());
        }
        response::OK
    }
}

/// The refusal of a whole letter. `mailin` would wait for the rest of the letter after an answer that
/// it takes for an error; the letter is over all the same.
fn refused(code: u16, text: String) -> Response {
    let mut refusal = Response::custom(code, text);
    refusal.is_error = false;
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

    /// A catcher's SMTP side and one client of it.
    struct Client {
        reading: BufReader<OwnedReadHalf>,
        writing: OwnedWriteHalf,
    }

    impl Client {
        /// Says one line and returns the last line of the answer; nothing when the connection ended.
        async fn say(&mut self, line: &str) -> String {
            self.writing.write_all(line.as_bytes()).await.unwrap();
            self.writing.write_all(b"\r\n").await.unwrap();
            self.hear().await
        }

        async fn hear(&mut self) -> String {
            loop {
                let mut line = String::new();
                let heard = tokio::time::timeout(Duration::from_secs(10), self.reading.read_line(&mut line));
                if heard.await.expect("an answer in time").unwrap_or(0) == 0 {
                    return String::new();
                }
                if line.as_bytes()[3] == b' ' {
                    return line.trim_end().to_owned();
                }
            }
        }

        /// Everything up to the letter itself.
        async fn begin(&mut self, to: &str) {
            assert!(self.say("MAIL FROM:<from@example.com>").await.starts_with("250"));
            assert!(self.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"));
            assert!(self.say("DATA").await.starts_with("354"));
        }
    }

    struct Server {
        address: std::net::SocketAddr,
        inbox: Inbox,
        stop: CancellationToken,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, inbox, stop) = (
                listener.local_addr().unwrap(),
                Inbox::default(),
                CancellationToken::new(),
            );
            tokio::spawn(serve(listener, inbox.clone(), stop.clone()));
            Self { address, inbox, stop }
        }

        async fn connect(&self) -> Client {
            let (reading, writing) = TcpStream::connect(self.address).await.unwrap().into_split();
            Client {
                reading: BufReader::new(reading),
                writing,
            }
        }

        async fn greeted(&self) -> Client {
            let mut client = self.connect().await;
            assert!(client.hear().await.starts_with("220"));
            assert!(client.say("EHLO test.example.com").await.starts_with("250"));
            client
        }
    }

    #[tokio::test]
    async fn a_letter_arrives_byte_for_byte_with_its_dots() {
        let server = Server::start().await;
        let mut client = server.greeted().await;
        client.begin("to@example.com").await;
        assert!(
            client
                .say("Subject: x\r\n\r\n..dot\r\n...\r\n.")
                .await
                .starts_with("250")
        );
        let message = &server.inbox.messages()[0];
        assert_eq!(message.raw, b"Subject: x\r\n\r\n.dot\r\n..\r\n");
        assert_eq!(
            (message.from.as_str(), message.to.as_slice()),
            ("from@example.com", &["to@example.com".to_owned()][..])
        );
        assert!(client.say("QUIT").await.starts_with("221"));
        assert_eq!(client.hear().await, "", "and the connection ends");
    }

    #[tokio::test]
    async fn a_bare_line_feed_does_not_end_a_letter() {
        let server = Server::start().await;
        let mut client = server.greeted().await;
        client.begin("to@example.com").await;
        assert!(
            client
                .say("a\n.\nMAIL FROM:<smuggled@example.com>\r\n.")
                .await
                .starts_with("250")
        );
        let messages = server.inbox.messages();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].raw.ends_with(b"MAIL FROM:<smuggled@example.com>\r\n"));
    }

    #[tokio::test]
    async fn several_letters_on_one_connection_stay_apart() {
        let server = Server::start().await;
        let mut client = server.greeted().await;
        client.begin("one@example.com").await;
        client.say("1\r\n.").await;
        assert!(client.say("MAIL FROM:<given-up@example.com>").await.starts_with("250"));
        assert!(client.say("RCPT TO:<given-up@example.com>").await.starts_with("250"));
        assert!(client.say("RSET").await.starts_with("250"));
        client.begin("two@example.com").await;
        client.say("2\r\n.").await;
        let to: Vec<_> = server
            .inbox
            .messages()
            .iter()
            .map(|message| message.to.concat())
            .collect();
        assert_eq!(to, ["one@example.com", "two@example.com"]);
    }

    #[tokio::test]
    async fn a_letter_that_is_too_large_is_refused_and_the_next_is_taken() {
        let server = Server::start().await;
        let mut client = server.greeted().await;
        client.begin("to@example.com").await;
        let line = format!("{}\r\n", "x".repeat(998));
        for _ in 0..=MAX_MESSAGE / line.len() {
            client.writing.write_all(line.as_bytes()).await.unwrap();
        }
        assert!(client.say(".").await.starts_with("552"));
        assert!(server.inbox.messages().is_empty());
        client.begin("to@example.com").await;
        assert!(client.say("small\r\n.").await.starts_with("250"));
        assert_eq!(server.inbox.messages().len(), 1);
    }

    #[tokio::test]
    async fn a_line_or_a_letter_without_end_is_cut_off() {
        let server = Server::start().await;
        let mut client = server.greeted().await;
        let endless = vec![b'x'; usize::try_from(MAX_LINE).unwrap()];
        client.writing.write_all(&endless).await.unwrap();
        assert_eq!(client.hear().await, "");

        let mut client = server.greeted().await;
        client.begin("to@example.com").await;
        let line = format!("{}\r\n", "x".repeat(998));
        let mut cut_off = false;
        for _ in 0..=2 * MAX_UNANSWERED / line.len() {
            cut_off = cut_off || client.writing.write_all(line.as_bytes()).await.is_err();
        }
        assert!(cut_off);
        assert!(server.inbox.messages().is_empty());
    }

    #[tokio::test]
    async fn connections_beyond_the_last_seat_are_turned_away() {
        let server = Server::start().await;
        let mut seated = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            seated.push(server.greeted().await);
        }
        assert!(server.connect().await.hear().await.starts_with("421"));
        drop(seated);
        let freed = async {
            while !server.connect().await.hear().await.starts_with("220") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), freed)
            .await
            .expect("seats become free");
    }

    #[tokio::test]
    async fn it_misbehaves_as_it_is_told() {
        let server = Server::start().await;
        let inbox = &server.inbox;

        inbox.set_behaviour(Behaviour::RejectRecipient(550, "No such person".into()));
        let mut client = server.greeted().await;
        client.say("MAIL FROM:<a@example.com>").await;
        assert_eq!(client.say("RCPT TO:<b@example.com>").await, "550 No such person");

        inbox.set_behaviour(Behaviour::RejectMessage(451, "Not now".into()));
        let mut client = server.greeted().await;
        client.begin("b@example.com").await;
        assert_eq!(client.say("x\r\n.").await, "451 Not now");
        assert!(inbox.messages().is_empty());

        inbox.set_behaviour(Behaviour::DropAfterData);
        client.begin("b@example.com").await;
        assert_eq!(client.say("x\r\n.").await, "");
        assert_eq!(inbox.messages().len(), 1, "kept, but never confirmed");

        inbox.set_behaviour(Behaviour::RefuseConnections);
        assert_eq!(server.connect().await.hear().await, "");

        inbox.set_behaviour(Behaviour::FreezeAfterConnect);
        let mut frozen = server.connect().await;
        frozen.writing.write_all(b"EHLO x\r\n").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), frozen.reading.fill_buf()).await;
        assert!(silence.is_err(), "it says nothing and stays");

        server.stop.cancel();
        assert_eq!(frozen.hear().await, "", "and a stop ends even that");
    }
}
