//! The office of the demonstration: made-up colleagues, the real people connected, and their calls.
//!
//! It is a value without sockets or clock: time is handed in, and what is to be said to whom is
//! collected for `hub.rs` to send.

use std::collections::BTreeMap;
use std::mem;

use serde::{Deserialize, Serialize};

use super::colleagues::{self, Colleague, Dice};

/// How long a real person's telephone rings, in seconds.
const RINGS_FOR: i64 = 30;
/// A made-up colleague has something else to do after talking this long, in seconds.
const TALKS_FOR: i64 = 90;
/// Calls among the made-up colleagues at any time.
const CHATTER: usize = 2;

/// What somebody is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Free to talk.
    Available,
    /// In a meeting.
    Meeting,
    /// Not at the desk.
    Away,
    /// The telephone rings, here or at the other end.
    Ringing,
    /// Talking.
    OnCall,
}

/// Somebody on one end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The extension, or an outside number.
    pub ext: String,
    /// The name.
    pub name: String,
    /// The name in Japanese, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_ja: Option<&'static str>,
}

/// A line of the presence list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Who.
    #[serde(flatten)]
    pub peer: Peer,
    /// The key of the team's name.
    pub team: &'static str,
    /// What they are doing.
    pub status: Status,
    /// Signed in and connected, not made up.
    pub real: bool,
}

/// What a page is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// First of all: everybody.
    Hello {
        /// The extension of the page's own person.
        you: String,
        /// Everybody, by extension.
        people: Vec<Person>,
    },
    /// Somebody is new or changed.
    Presence {
        /// As they are now.
        person: Person,
    },
    /// Somebody left.
    Gone {
        /// Their extension.
        ext: String,
    },
    /// The person's own call moved on.
    Call {
        /// How far it is.
        state: CallState,
        /// The other end.
        peer: Peer,
        /// Why it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Ending>,
    },
}

/// How far a call is, seen from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It rings at the other end.
    Calling,
    /// It rings here.
    Incoming,
    /// Both talk.
    Connected,
    /// It is over.
    Ended,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// One end hung up.
    HungUp,
    /// The called person did not want it.
    Declined,
    /// Nobody answered.
    NoAnswer,
    /// The called person was talking.
    Busy,
    /// Nobody has this extension.
    Unknown,
}

/// A finished call, for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// Counts up.
    pub id: u64,
    /// When it was placed, in seconds.
    pub at: i64,
    /// Who called.
    pub from: Peer,
    /// Who was called.
    pub to: Peer,
    /// How long they talked; nothing when they did not.
    pub seconds: Option<i64>,
    /// Why it ended.
    pub ending: Ending,
}

/// Something to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// To the pages of this extension, or to every page.
    pub to: Option<String>,
    /// What.
    pub message: Message,
}

/// Everybody and every call.
pub struct Floor {
    colleagues: Vec<Colleague>,
    visitors: BTreeMap<String, Visitor>,
    calls: Vec<Call>,
    dice: Dice,
    last_id: u64,
    notes: Vec<Note>,
    records: Vec<CallRecord>,
}

/// A signed-in person with at least one page open.
struct Visitor {
    name: String,
    status: Status,
    pages: usize,
}

struct Call {
    from: Peer,
    to: Peer,
    placed: i64,
    answered: Option<i64>,
    /// What happens by itself, and when.
    next: Option<(i64, Turn)>,
}

#[derive(Clone, Copy)]
enum Turn {
    Answer,
    GiveUp,
    HangUp,
}

impl Call {
    fn involves(&self, ext: &str) -> bool {
        self.from.ext == ext || self.to.ext == ext
    }
}

impl Floor {
    /// An office where work has been going on for an hour.
    pub fn new(now: i64) -> Self {
        let mut floor = Self {
            colleagues: colleagues::team(),
            visitors: BTreeMap::new(),
            calls: Vec::new(),
            dice: Dice::new(now),
            last_id: 0,
            notes: Vec::new(),
            records: Vec::new(),
        };
        floor.records = colleagues::earlier(now, &mut floor.dice, &floor.colleagues);
        floor.last_id = floor.records.last().map_or(0, |record| record.id);
        for _ in 0..CHATTER {
            floor.chatter(now);
        }
        floor.notes.clear();
        floor
    }

    /// What is to be said since the last time.
    pub fn take(&mut self) -> (Vec<Note>, Vec<CallRecord>) {
        (mem::take(&mut self.notes), mem::take(&mut self.records))
    }

    /// Everybody, by extension.
    pub fn people(&self) -> Vec<Person> {
        let made_up = self.colleagues.iter().map(|colleague| colleague.peer.ext.as_str());
        let mut all: BTreeMap<&str, Person> = made_up.filter_map(|ext| Some((ext, self.person(ext)?))).collect();
        let real = self.visitors.keys();
        all.extend(real.filter_map(|ext| Some((ext.as_str(), self.person(ext)?))));
        all.into_values().collect()
    }

    /// A page of a real person connects.
    pub fn join(&mut self, ext: &str, name: &str) {
        let visitor = self.visitors.entry(ext.to_owned()).or_insert_with(|| Visitor {
            name: name.to_owned(),
            status: Status::Available,
            pages: 0,
        });
        visitor.pages += 1;
        self.announce(ext);
    }

    /// A page of a real person is gone; with the last one the person is.
    pub fn leave(&mut self, ext: &str, now: i64) {
        let Some(visitor) = self.visitors.get_mut(ext) else {
            return;
        };
        visitor.pages -= 1;
        if visitor.pages == 0 {
            self.hang_up(ext, now);
            self.visitors.remove(ext);
            self.announce(ext);
        }
    }

    /// A real person says what they are doing; ringing and talking are not theirs to say.
    pub fn set_status(&mut self, ext: &str, status: Status) {
        if let (Some(visitor), Status::Available | Status::Meeting | Status::Away) =
            (self.visitors.get_mut(ext), status)
        {
            visitor.status = status;
            self.announce(ext);
        }
    }

    /// A real person calls an extension.
    pub fn dial(&mut self, from: &str, to: &str, now: i64) {
        if from == to || self.busy(from) {
            return;
        }
        let Some(caller) = self.peer(from) else {
            return;
        };
        let Some(callee) = self.person(to) else {
            let nobody = Peer {
                ext: to.to_owned(),
                name: to.to_owned(),
                name_ja: None,
            };
            return self.tell(from, CallState::Ended, nobody, Some(Ending::Unknown));
        };
        if self.busy(to) {
            return self.tell(from, CallState::Ended, callee.peer, Some(Ending::Busy));
        }
        let next = match (callee.real, callee.status) {
            (true, _) => (now + RINGS_FOR, Turn::GiveUp),
            (false, Status::Available) => (now + self.dice.between(2, 4), Turn::Answer),
            (false, _) => (now + 12, Turn::GiveUp),
        };
        self.place(&caller, &callee.peer, now, next);
    }

    /// The called person takes the call.
    pub fn answer(&mut self, ext: &str, now: i64) {
        let ringing = |call: &Call| call.to.ext == ext && call.answered.is_none();
        if let Some(index) = self.calls.iter().position(ringing) {
            self.connect(index, now);
        }
    }

    /// Either end hangs up; the called person declines what still rings.
    pub fn hang_up(&mut self, ext: &str, now: i64) {
        if let Some(index) = self.calls.iter().position(|call| call.involves(ext)) {
            let call = &self.calls[index];
            let ending = match call.answered {
                Some(_) => Ending::HungUp,
                None if call.to.ext == ext => Ending::Declined,
                None => Ending::NoAnswer,
            };
            self.end(index, ending, now);
        }
    }

    /// A second has passed.
    pub fn tick(&mut self, now: i64) {
        let due = |call: &Call| matches!(call.next, Some((at, _)) if at <= now);
        while let Some(index) = self.calls.iter().position(due) {
            match self.calls[index].next.take() {
                Some((_, Turn::Answer)) => self.connect(index, now),
                Some((_, Turn::GiveUp)) => self.end(index, Ending::NoAnswer, now),
                _ => self.end(index, Ending::HungUp, now),
            }
        }
        if self.chatting() < CHATTER && self.dice.one_in(3) {
            self.chatter(now);
        }
        if self.dice.one_in(4) {
            self.stir();
        }
    }

    /// Calls without a visitor.
    fn chatting(&self) -> usize {
        let made_up = |peer: &Peer| !self.visitors.contains_key(&peer.ext);
        let calls = self.calls.iter();
        calls.filter(|call| made_up(&call.from) && made_up(&call.to)).count()
    }

    /// Somebody made up comes back, leaves the desk or goes to a meeting.
    fn stir(&mut self) {
        let index = self.dice.below(self.colleagues.len());
        let status = self.dice.next_status(self.colleagues[index].status);
        let ext = self.colleagues[index].peer.ext.clone();
        if !self.busy(&ext) {
            self.colleagues[index].status = status;
            self.announce(&ext);
        }
    }

    /// Two made-up ends start a call: colleagues, or a colleague and the outside.
    fn chatter(&mut self, now: i64) {
        let free: Vec<Peer> = self
            .colleagues
            .iter()
            .filter(|one| one.status == Status::Available && !self.visitors.contains_key(&one.peer.ext))
            .map(|one| one.peer.clone())
            .filter(|peer| !self.busy(&peer.ext))
            .collect();
        // Somebody stays free, so that a visitor finds a colleague to call.
        if free.len() < 4 {
            return;
        }
        let first = self.dice.below(free.len());
        let second = (first + 1 + self.dice.below(free.len() - 1)) % free.len();
        let (one, other) = (free[first].clone(), free[second].clone());
        let (from, to) = match self.dice.below(4) {
            0 => (colleagues::outside(&mut self.dice), one),
            1 => (one, colleagues::outside(&mut self.dice)),
            _ => (one, other),
        };
        let next = if self.dice.one_in(6) {
            (now + self.dice.between(6, 12), Turn::GiveUp)
        } else {
            (now + self.dice.between(2, 5), Turn::Answer)
        };
        self.place(&from, &to, now, next);
    }

    fn place(&mut self, from: &Peer, to: &Peer, now: i64, next: (i64, Turn)) {
        self.calls.push(Call {
            from: from.clone(),
            to: to.clone(),
            placed: now,
            answered: None,
            next: Some(next),
        });
        self.announce(&from.ext);
        self.announce(&to.ext);
        self.tell(&from.ext, CallState::Calling, to.clone(), None);
        self.tell(&to.ext, CallState::Incoming, from.clone(), None);
    }

    fn connect(&mut self, index: usize, now: i64) {
        let all_real = [&self.calls[index].from, &self.calls[index].to]
            .into_iter()
            .all(|peer| self.visitors.contains_key(&peer.ext));
        let any_real = [&self.calls[index].from, &self.calls[index].to]
            .into_iter()
            .any(|peer| self.visitors.contains_key(&peer.ext));
        let talk = if any_real { TALKS_FOR } else { self.dice.between(10, 60) };
        let call = &mut self.calls[index];
        call.answered = Some(now);
        call.next = (!all_real).then_some((now + talk, Turn::HangUp));
        let (from, to) = (call.from.clone(), call.to.clone());
        self.announce(&from.ext);
        self.announce(&to.ext);
        self.tell(&from.ext, CallState::Connected, to.clone(), None);
        self.tell(&to.ext, CallState::Connected, from, None);
    }

    fn end(&mut self, index: usize, ending: Ending, now: i64) {
        let call = self.calls.swap_remove(index);
        self.last_id += 1;
        self.announce(&call.from.ext);
        self.announce(&call.to.ext);
        self.tell(&call.from.ext, CallState::Ended, call.to.clone(), Some(ending));
        self.tell(&call.to.ext, CallState::Ended, call.from.clone(), Some(ending));
        self.records.push(CallRecord {
            id: self.last_id,
            at: call.placed,
            from: call.from,
            to: call.to,
            seconds: call.answered.map(|answered| now - answered),
            ending,
        });
    }

    fn busy(&self, ext: &str) -> bool {
        self.calls.iter().any(|call| call.involves(ext))
    }

    fn peer(&self, ext: &str) -> Option<Peer> {
        self.person(ext).map(|person| person.peer)
    }

    /// A real person stands in for a made-up one of the same extension.
    fn person(&self, ext: &str) -> Option<Person> {
        let call = self.calls.iter().find(|call| call.involves(ext));
        let busy = call.map(|call| call.answered.map_or(Status::Ringing, |_| Status::OnCall));
        if let Some(visitor) = self.visitors.get(ext) {
            let peer = Peer {
                ext: ext.to_owned(),
                name: visitor.name.clone(),
                name_ja: None,
            };
            return Some(Person {
                peer,
                team: "visitor",
                status: busy.unwrap_or(visitor.status),
                real: true,
            });
        }
        let colleague = self.colleagues.iter().find(|one| one.peer.ext == ext)?;
        Some(Person {
            peer: colleague.peer.clone(),
            team: colleague.team,
            status: busy.unwrap_or(colleague.status),
            real: false,
        })
    }

    fn announce(&mut self, ext: &str) {
        let message = match self.person(ext) {
            Some(person) => Message::Presence { person },
            None if ext.starts_with('+') => return,
            None => Message::Gone { ext: ext.to_owned() },
        };
        self.notes.push(Note { to: None, message });
    }

    fn tell(&mut self, ext: &str, state: CallState, peer: Peer, reason: Option<Ending>) {
        if self.visitors.contains_key(ext) {
            self.notes.push(Note {
                to: Some(ext.to_owned()),
                message: Message::Call { state, peer, reason },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn office() -> Floor {
        let mut floor = Floor::new(NOW);
        floor.join("1001", "Hanako");
        floor.join("1002", "Taro");
        floor.take();
        floor
    }

    /// What one person's pages were told about their call.
    fn told(notes: &[Note], ext: &str) -> Vec<(CallState, Option<Ending>)> {
        notes
            .iter()
            .filter(|note| note.to.as_deref() == Some(ext))
            .filter_map(|note| match &note.message {
                Message::Call { state, reason, .. } => Some((*state, *reason)),
                _ => None,
            })
            .collect()
    }

    fn status(floor: &Floor, ext: &str) -> Option<Status> {
        floor.person(ext).map(|person| person.status)
    }

    #[test]
    fn a_call_rings_at_the_other_page_and_both_talk_once_it_is_answered() {
        let mut floor = office();
        floor.dial("1001", "1002", NOW);
        let (notes, _) = floor.take();
        assert_eq!(told(&notes, "1001"), [(CallState::Calling, None)]);
        assert_eq!(told(&notes, "1002"), [(CallState::Incoming, None)]);
        assert_eq!(status(&floor, "1002"), Some(Status::Ringing));

        floor.answer("1002", NOW + 3);
        let (notes, _) = floor.take();
        assert_eq!(told(&notes, "1001"), [(CallState::Connected, None)]);
        assert_eq!(status(&floor, "1001"), Some(Status::OnCall));

        floor.hang_up("1001", NOW + 13);
        let (notes, records) = floor.take();
        assert_eq!(told(&notes, "1002"), [(CallState::Ended, Some(Ending::HungUp))]);
        assert_eq!(records[0].seconds, Some(10));
        assert_eq!(status(&floor, "1001"), Some(Status::Available));
    }

    #[test]
    fn a_declined_call_and_an_unanswered_one_end_differently() {
        let mut floor = office();
        floor.dial("1001", "1002", NOW);
        floor.hang_up("1002", NOW + 1);
        assert_eq!(floor.take().1[0].ending, Ending::Declined);

        floor.dial("1001", "1002", NOW);
        floor.take();
        floor.tick(NOW + RINGS_FOR);
        let (notes, _) = floor.take();
        assert_eq!(told(&notes, "1001"), [(CallState::Ended, Some(Ending::NoAnswer))]);
    }

    #[test]
    fn a_busy_or_unknown_extension_is_said_at_once() {
        let mut floor = office();
        floor.join("1003", "Jiro");
        floor.dial("1001", "1002", NOW);
        floor.take();
        floor.dial("1003", "1002", NOW);
        assert_eq!(told(&floor.take().0, "1003"), [(CallState::Ended, Some(Ending::Busy))]);
        floor.dial("1003", "9999", NOW);
        assert_eq!(
            told(&floor.take().0, "1003"),
            [(CallState::Ended, Some(Ending::Unknown))]
        );
    }

    #[test]
    fn a_free_colleague_answers_by_themselves() {
        let mut floor = office();
        let free = floor
            .people()
            .into_iter()
            .find(|p| !p.real && p.status == Status::Available);
        floor.dial("1001", &free.unwrap().peer.ext, NOW);
        floor.take();
        floor.tick(NOW + 4);
        assert_eq!(told(&floor.take().0, "1001"), [(CallState::Connected, None)]);
    }

    #[test]
    fn a_person_is_gone_with_their_last_page_and_so_is_their_call() {
        let mut floor = office();
        floor.join("1001", "Hanako");
        floor.dial("1001", "1002", NOW);
        floor.leave("1001", NOW);
        assert!(floor.person("1001").is_some());
        floor.take();
        floor.leave("1001", NOW);
        assert_eq!(
            told(&floor.take().0, "1002"),
            [(CallState::Ended, Some(Ending::NoAnswer))]
        );
        assert!(floor.person("1001").is_none());
        assert!(!floor.busy("1002"));
    }

    #[test]
    fn a_real_person_stands_in_for_a_colleague_of_the_same_extension() {
        let mut floor = office();
        let ext = floor.colleagues[0].peer.ext.clone();
        let before = floor.people().len();
        floor.join(&ext, "Real");
        assert_eq!(floor.people().len(), before);
        assert!(floor.person(&ext).unwrap().real);
        floor.leave(&ext, NOW);
        assert!(!floor.person(&ext).unwrap().real);
    }

    #[test]
    fn an_hour_in_the_office_changes_presence_and_fills_the_log_within_bounds() {
        let mut floor = office();
        let (mut presence, mut calls) = (0, 0);
        for second in 0..3600 {
            floor.tick(NOW + second);
            let (notes, records) = floor.take();
            presence += notes.len();
            calls += records.len();
            assert!(floor.calls.len() <= CHATTER);
        }
        assert!(presence > 900, "{presence} changes");
        assert!(calls > 60, "{calls} calls");
    }
}
