//! The letters received, bounded, optionally kept as files, and how the catcher behaves.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::message::Message;

/// The most letters kept; older ones make room.
pub const INBOX_SIZE: usize = 500;

/// The letters received. Clones share them.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    behaviour: Mutex<Behaviour>,
    /// Rises with every change, so that waiting needs no polling.
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<Arc<Message>>,
    last_id: u64,
    directory: Option<PathBuf>,
}

/// How the catcher treats those who send: well, or as a broken mail server would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes every letter.
    #[default]
    Accept,
    /// Answers every `RCPT` with this code and text, such as 550 or 450.
    RejectRecipient(u16, String),
    /// Takes the whole letter and then answers with this code and text.
    RejectMessage(u16, String),
    /// Accepts connections and says nothing.
    FreezeAfterConnect,
    /// Keeps the letter but closes the connection instead of confirming it.
    DropAfterData,
    /// Resets every connection before a word is said. The port stays taken, so that no other
    /// process can step into it.
    RefuseConnections,
}

impl Inbox {
    /// An inbox that keeps its letters in `directory`, beginning with those already there.
    pub(super) fn in_directory(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let mut messages = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if let Some(id) = id_of(&path) {
                messages.push(Arc::new(open(id, &fs::read(&path)?)));
            }
        }
        messages.sort_by_key(|message| message.id);
        let inbox = Self::default();
        {
            let mut kept = inbox.0.kept.lock();
            kept.last_id = messages.last().map_or(0, |message| message.id);
            kept.messages = messages.into();
            kept.directory = Some(directory);
            kept.trim();
        }
        Ok(inbox)
    }

    /// Every letter, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.0.kept.lock().messages.iter().cloned().collect()
    }

    /// One letter.
    pub fn find(&self, id: u64) -> Option<Arc<Message>> {
        self.0
            .kept
            .lock()
            .messages
            .iter()
            .find(|message| message.id == id)
            .cloned()
    }

    /// Waits at most `within` for a letter that is `wanted`; of several, the newest.
    pub async fn wait_for(&self, within: Duration, wanted: impl Fn(&Message) -> bool) -> Option<Arc<Message>> {
        let mut revision = self.0.revision.subscribe();
        let arrival = async {
            loop {
                revision.mark_unchanged();
                let newest = self.messages().into_iter().rev().find(|message| wanted(message));
                if newest.is_some() || revision.changed().await.is_err() {
                    return newest;
                }
            }
        };
        tokio::time::timeout(within, arrival).await.ok().flatten()
    }

    /// Forgets every letter, files included. Ids go on counting.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        let mut kept = self.0.kept.lock();
        let removed = kept.messages.drain(..).collect::<Vec<_>>();
        let outcome = removed.iter().try_for_each(|message| kept.forget(message.id));
        drop(kept);
        self.0.revision.send_modify(|revision| *revision += 1);
        outcome
    }

    /// From now on the catcher behaves like this. Open conversations feel it from their next step.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock() = behaviour;
    }

    /// How the catcher behaves.
    pub fn behaviour(&self) -> Behaviour {
        self.0.behaviour.lock().clone()
    }

    /// Takes a letter in.
    pub(super) fn accept(&self, from: String, to: Vec<String>, raw: Vec<u8>) -> io::Result<()> {
        {
            let mut kept = self.0.kept.lock();
            let id = kept.last_id + 1;
            let message = Message::read(id, from, to, raw);
            if let Some(directory) = &kept.directory {
                fs::write(file_of(directory, id), sealed(&message))?;
            }
            kept.last_id = id;
            kept.messages.push_back(Arc::new(message));
            kept.trim();
        }
        self.0.revision.send_modify(|revision| *revision += 1);
        Ok(())
    }
}

impl Kept {
    /// Lets go of the oldest beyond [`INBOX_SIZE`].
    fn trim(&mut self) {
        while self.messages.len() > INBOX_SIZE {
            if let Some(oldest) = self.messages.pop_front()
                && let Err(error) = self.forget(oldest.id)
            {
                tracing::warn!(%error, id = oldest.id, "could not remove an old letter of the mail catcher");
            }
        }
    }

    fn forget(&self, id: u64) -> io::Result<()> {
        match self
            .directory
            .as_ref()
            .map(|directory| fs::remove_file(file_of(directory, id)))
        {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn file_of(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:08}.eml"))
}

fn id_of(path: &Path) -> Option<u64> {
    if path.extension()? != "eml" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// As a file: the envelope goes in front as the trace headers a mail server writes at delivery
/// (RFC 5321 section 4.4), so that any mail reader opens the file.
fn sealed(message: &Message) -> Vec<u8> {
    let mut file = format!("Return-Path: <{}>\r\n", message.from).into_bytes();
    for to in &message.to {
        file.extend_from_slice(format!("Delivered-To: {to}\r\n").as_bytes());
    }
    file.extend_from_slice(&message.raw);
    file
}

/// The opposite of [`sealed`].
fn open(id: u64, mut file: &[u8]) -> Message {
    let mut from = String::new();
    if let Some((value, rest)) = header_line(file, "Return-Path: ") {
        value.trim_matches(['<', '>']).clone_into(&mut from);
        file = rest;
    }
    let mut to = Vec::new();
    while let Some((value, rest)) = header_line(file, "Delivered-To: ") {
        to.push(value);
        file = rest;
    }
    Message::read(id, from, to, file.to_vec())
}

fn header_line<'a>(file: &'a [u8], name: &str) -> Option<(String, &'a [u8])> {
    let rest = file.strip_prefix(name.as_bytes())?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((String::from_utf8_lossy(&rest[..end]).into_owned(), &rest[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(inbox: &Inbox, subject: &str) {
        let raw = format!("Subject: {subject}\r\n\r\nbody\r\n").into_bytes();
        inbox
            .accept(
                "from@example.com".into(),
                vec!["a@example.com".into(), "b@example.com".into()],
                raw,
            )
            .unwrap();
    }

    fn subjects(inbox: &Inbox) -> Vec<String> {
        inbox.messages().iter().map(|message| message.subject.clone()).collect()
    }

    #[test]
    fn the_oldest_letters_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::in_directory(directory.path().into()).unwrap();
        for n in 1..=INBOX_SIZE + 2 {
            accept(&inbox, &n.to_string());
        }
        assert_eq!(inbox.messages().len(), INBOX_SIZE);
        assert_eq!(inbox.messages()[0].subject, "3");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), INBOX_SIZE);
    }

    #[test]
    fn letters_survive_a_restart_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made");
        let first = Inbox::in_directory(path.clone()).unwrap();
        accept(&first, "one");
        accept(&first, "two");
        fs::write(path.join("notes.txt"), "not a letter").unwrap();

        let second = Inbox::in_directory(path).unwrap();
        assert_eq!(second.messages(), first.messages());
        accept(&second, "three");
        assert_eq!(second.messages()[2].id, 3, "ids go on");
    }

    #[test]
    fn a_cleared_inbox_is_empty_and_its_files_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::in_directory(directory.path().into()).unwrap();
        accept(&inbox, "one");
        inbox.clear().unwrap();
        assert!(inbox.messages().is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        accept(&inbox, "two");
        assert!(inbox.find(1).is_none() && inbox.find(2).is_some());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_letter_or_with_the_deadline() {
        let inbox = Inbox::default();
        let two = |message: &Message| message.subject == "two";
        assert!(inbox.wait_for(Duration::from_millis(1), two).await.is_none());
        let (found, ()) = tokio::join!(inbox.wait_for(Duration::from_secs(10), two), async {
            accept(&inbox, "one");
            tokio::task::yield_now().await;
            accept(&inbox, "two");
        });
        assert_eq!(found.unwrap().id, 2);
        assert_eq!(subjects(&inbox), ["one", "two"]);
    }
}
