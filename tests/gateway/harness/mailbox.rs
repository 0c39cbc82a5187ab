//! The mail server beside the gateway: the demo's mail catcher over real SMTP, and what a reader does with letters.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use sekisho::demo::mailcatcher::{Behaviour, Inbox, MailCatcher, Message};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{IN, OUT, SOON, eventually};

/// A mail server that is dropped with its test.
pub struct Mailbox {
    address: SocketAddr,
    inbox: Inbox,
    /// Letters already handed to the story.
    read: Mutex<u64>,
    _running: DropGuard,
}

/// The two links of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// Through the in-office door.
    pub in_office: String,
    /// Through the out-of-office door.
    pub out_of_office: String,
}

impl Links {
    /// The token both links carry.
    pub fn ticket(&self) -> &str {
        self.in_office.split_once("ticket=").expect("a link carries a ticket").1
    }
}

impl Mailbox {
    /// Starts it on a free port.
    pub async fn open() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let catcher = MailCatcher::bind(any, any).await.unwrap();
        let (address, inbox) = (catcher.smtp_addr(), catcher.inbox());
        let stop = CancellationToken::new();
        tokio::spawn(catcher.run(stop.clone()));
        Self {
            address,
            inbox,
            read: Mutex::new(0),
            _running: stop.drop_guard(),
        }
    }

    /// Where it receives.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        self.inbox.set_behaviour(behaviour);
    }

    /// Every letter, oldest first. Letters about new devices are left out: visitors come with a fresh browser as often
    /// as a story needs one, and no story but those about devices means it.
    pub fn letters(&self) -> Vec<Arc<Message>> {
        self.inbox
            .messages()
            .into_iter()
            .filter(|message| !is_about_a_device(message))
            .collect()
    }

    /// Letters about new devices to this address, oldest first.
    pub fn device_letters_to(&self, email: &str) -> Vec<Arc<Message>> {
        let to = |message: &Arc<Message>| is_about_a_device(message) && message.to.iter().any(|to| to == email);
        self.inbox.messages().into_iter().filter(to).collect()
    }

    /// Every letter to this address, oldest first.
    pub fn letters_to(&self, email: &str) -> Vec<Arc<Message>> {
        let to = |message: &Arc<Message>| message.to.iter().any(|to| to == email);
        self.letters().into_iter().filter(to).collect()
    }

    /// Waits for the next letter to this address that no story has read yet.
    pub async fn next(&self, email: &str) -> Arc<Message> {
        let read = *self.read.lock();
        let letter = eventually(&format!("a letter to {email}"), async || {
            self.letters_to(email).into_iter().find(|message| message.id > read)
        })
        .await;
        *self.read.lock() = letter.id;
        letter
    }

    /// Waits for the next letter to this address and takes its links out.
    pub async fn next_links(&self, email: &str) -> Links {
        links(&*self.next(email).await)
    }

    /// Waits until at least `count` letters have come in.
    pub async fn wait_for_count(&self, count: usize) {
        let found = self.inbox.wait_for(SOON, |_| self.letters().len() >= count).await;
        assert!(found.is_some(), "{} of {count} letters came in", self.letters().len());
    }
}

fn is_about_a_device(message: &Message) -> bool {
    message.subject.contains("New sign-in to your") || message.subject.contains("新しい端末からログイン")
}

/// The links of a letter: exactly one for each door.
#[track_caller]
pub fn links(letter: &Message) -> Links {
    let links = letter.links();
    let by = |host: &str| {
        let start = format!("https://{host}/");
        let mut found = links.iter().filter(|link| link.starts_with(&start));
        let link = found
            .next()
            .unwrap_or_else(|| panic!("no link to {host} in {:?}", letter.text));
        assert!(found.next().is_none(), "two links to {host}: {links:?}");
        link.clone()
    };
    let found = Links {
        in_office: by(IN),
        out_of_office: by(OUT),
    };
    assert_eq!(links.len(), 2, "{links:?}");
    found
}
