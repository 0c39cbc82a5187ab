//! Stories of the outbox.

use super::*;
use crate::domain::account::LoginName;
use crate::domain::campaigns::CampaignId;
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::outbox::{Addressee, Batch, QueuedLetter};
use crate::domain::site::SiteName;
use crate::domain::ticket::Purpose;
use crate::ports::{AccountBatch, DueLetter, LetterStatus};

stories! {
    a_letter_comes_out_as_it_went_in,
    the_same_new_device_is_told_of_once_an_hour,
    a_taken_letter_is_hidden_for_its_lease,
    letters_are_taken_oldest_first_and_no_more_than_asked_for,
    resets_and_notices_are_taken_before_welcomes_and_neither_takes_the_others_share,
    letters_of_an_import_are_paced_whatever_their_matter,
    a_restarted_server_gives_back_what_was_taken,
    a_failed_letter_is_due_again_later,
    letters_that_wait_for_a_time_far_ahead_are_recalled_unless_it_was_set_for_them,
    a_letter_ends_once_and_stays_in_listings_until_swept,
    what_waits_is_counted_and_the_longest_overdue_is_known,
    two_takers_never_hold_the_same_letter,
}

const LEASE: Duration = Duration::from_mins(1);

impl Ports {
    async fn accept(&self, letter: &Letter) {
        self.outbox.accept(letters(vec![letter.clone()])).await.unwrap();
    }

    async fn take(&self, second: i64) -> Vec<QueuedLetter> {
        self.outbox.take(at(second), both(10), LEASE).await.unwrap()
    }

    async fn taken_ids(&self, second: i64) -> Vec<LetterId> {
        self.take(second).await.iter().map(|queued| queued.letter.id).collect()
    }
}

fn both(most: usize) -> Batch {
    Batch {
        others: most,
        paced: most,
    }
}

fn letter(second: i64) -> Letter {
    welcome(AccountId::new(Uuid::from_u128(1)), at(second))
}

fn yuki() -> Email {
    Email::parse("Yuki@example.com").unwrap()
}

fn somebody() -> Addressee {
    Addressee {
        name: "佐藤 'ゆき\"".into(),
        extension: Extension::parse("101").unwrap(),
        language: Language::Ja,
    }
}

fn sent() -> Event {
    happened(Fact::LinkSent(Purpose::Welcome), None, at(9))
}

async fn the_same_new_device_is_told_of_once_an_hour(ports: Ports) {
    let (one, other) = (AccountId::new(fresh_uuid()), AccountId::new(fresh_uuid()));
    let from = |account, client: &str, user_agent: &str, second| Letter {
        id: LetterId::new(fresh_uuid()),
        matter: Matter::NewDevice {
            account,
            client: ClientAddr::new(client.parse().unwrap()),
            user_agent: user_agent.into(),
        },
        created_at: at(second),
    };
    let about = |account, user_agent, second| from(account, "192.0.2.7", user_agent, second);
    for (letter, count) in [
        (about(one, "(Windows) Firefox/140", 0), 1),
        (about(one, "(Windows) Firefox/141", 3599), 1),
        (about(one, "(X11) Firefox/141", 3599), 2),
        (about(other, "(Windows) Firefox/140", 3599), 3),
        (from(one, "192.0.2.8", "(Windows) Firefox/140", 3599), 4),
        (about(one, "(Windows) Firefox/140", 3600), 5),
    ] {
        ports.accept(&letter).await;
        assert_eq!(ports.outbox.list(9).await.unwrap().len(), count, "{letter:?}");
    }
}

async fn a_letter_comes_out_as_it_went_in(ports: Ports) {
    let account = AccountId::new(fresh_uuid());
    let matters = [
        Matter::ResetRequested {
            email: Email::parse("Yuki@Example.com").unwrap(),
            client: ClientAddr::new("192.0.2.7".parse().unwrap()),
            device: Some(Device::fresh([7; 32]).with(account, Some(at(1)))),
            site: SiteName::main(),
        },
        Matter::ResetRequested {
            email: Email::parse("yuki@example.com").unwrap(),
            client: ClientAddr::new("192.0.2.7".parse().unwrap()),
            device: None,
            site: SiteName::parse("wiki").unwrap(),
        },
        Matter::PasswordChanged { account },
        Matter::NewDevice {
            account,
            client: ClientAddr::new("2001:db8::7".parse().unwrap()),
            user_agent: "Mozilla/5.0 '\"\u{65e5}".into(),
        },
        Matter::EmailChanged {
            account,
            to: Email::parse("Former@Example.com").unwrap(),
            reader: Some(somebody()),
        },
        Matter::AccountUnlocked { account },
        Matter::NewPassword { account },
        Matter::Campaign {
            to: Email::parse("Security@Example.com").unwrap(),
            campaign: CampaignId::parse("mtpa9wn5").unwrap(),
        },
        Matter::UnlockRequested {
            name: LoginName::parse("101").unwrap(),
            client: ClientAddr::new("192.0.2.7".parse().unwrap()),
            site: SiteName::main(),
        },
        Matter::UnlockRequested {
            name: LoginName::parse("Yuki@Example.com").unwrap(),
            client: ClientAddr::new("2001:db8::7".parse().unwrap()),
            site: SiteName::parse("wiki").unwrap(),
        },
        Matter::Welcome { account },
    ];
    let mut accepted = Consequences::event(happened(Fact::ResetRequested, None, at(0)));
    for (second, matter) in (0..).zip(matters) {
        accepted = accepted.and_letter(fresh_uuid(), matter, at(second));
    }
    ports.outbox.accept(accepted.clone()).await.unwrap();
    let taken = ports.take(12).await;
    let expected: Vec<_> = accepted
        .letters
        .into_iter()
        .map(|letter| QueuedLetter {
            paced: letter.matter.is_paced(),
            letter,
            attempts: 0,
        })
        .collect();
    assert_eq!(taken, expected);
    let Matter::ResetRequested { email, .. } = &taken[0].letter.matter else {
        panic!("{taken:?}");
    };
    assert_eq!(email.as_typed(), "Yuki@Example.com");
    assert_eq!(ports.facts().await, ["reset.requested"]);
}

async fn a_taken_letter_is_hidden_for_its_lease(ports: Ports) {
    assert_eq!(ports.outbox.next_due().await.unwrap(), None);
    let letter = letter(10);
    ports.accept(&letter).await;
    assert_eq!(ports.outbox.next_due().await.unwrap(), Some(at(10)));
    assert!(ports.taken_ids(9).await.is_empty(), "not due yet");
    assert_eq!(ports.taken_ids(10).await, [letter.id]);
    assert_eq!(ports.outbox.next_due().await.unwrap(), Some(at(70)));
    assert!(ports.taken_ids(69).await.is_empty());
    assert_eq!(ports.taken_ids(70).await, [letter.id]);
}

async fn letters_that_wait_for_a_time_far_ahead_are_recalled_unless_it_was_set_for_them(ports: Ports) {
    const DAY: i64 = 24 * 60 * 60;
    let (tried, taken, accepted) = (letter(1), letter(2), letter(400 * DAY));
    ports
        .outbox
        .accept(letters(vec![tried.clone(), taken.clone()]))
        .await
        .unwrap();
    let all = ports.outbox.take(at(400 * DAY), both(9), LEASE).await.unwrap();
    assert_eq!(all.len(), 2);
    ports.accept(&accepted).await;
    let again = at(400 * DAY + 5);
    ports
        .outbox
        .failed(tried.id, "the certificate has expired", again)
        .await
        .unwrap();
    assert!(
        ports.taken_ids(10).await.is_empty(),
        "they wait for a clock that was set right"
    );
    assert_eq!(ports.outbox.recall(at(10), at(401 * DAY)).await.unwrap(), 0);
    assert_eq!(ports.outbox.recall(at(10), at(DAY)).await.unwrap(), 3);
    assert_eq!(ports.taken_ids(10).await, [tried.id, taken.id, accepted.id]);
    assert_eq!(ports.outbox.recall(at(10), at(DAY)).await.unwrap(), 0);
}

async fn letters_are_taken_oldest_first_and_no_more_than_asked_for(ports: Ports) {
    let (new, old, middle) = (letter(3), letter(1), letter(2));
    for letter in [&new, &old, &middle] {
        ports.accept(letter).await;
    }
    let first = ports.outbox.take(at(5), both(2), LEASE).await.unwrap();
    let ids: Vec<_> = first.iter().map(|queued| queued.letter.id).collect();
    assert_eq!(ids, [old.id, middle.id]);
    assert_eq!(ports.taken_ids(5).await, [new.id]);
}

async fn resets_and_notices_are_taken_before_welcomes_and_neither_takes_the_others_share(ports: Ports) {
    let welcomes: Vec<_> = (0..5).map(letter).collect();
    ports.outbox.accept(letters(welcomes.clone())).await.unwrap();
    let account = AccountId::new(fresh_uuid());
    let others: Vec<_> = (6..9)
        .map(|second| Letter {
            id: LetterId::new(fresh_uuid()),
            matter: Matter::PasswordChanged { account },
            created_at: at(second),
        })
        .collect();
    ports.outbox.accept(letters(others.clone())).await.unwrap();
    let take = async |others, welcomes| {
        let most = Batch {
            others,
            paced: welcomes,
        };
        let taken = ports.outbox.take(at(20), most, LEASE).await.unwrap();
        taken.iter().map(|queued| queued.letter.id).collect::<Vec<_>>()
    };
    assert_eq!(take(2, 1).await, [others[0].id, others[1].id, welcomes[0].id]);
    assert_eq!(take(2, 0).await, [others[2].id]);
    assert!(take(2, 0).await.is_empty(), "no Welcome is taken unasked");
    assert_eq!(take(2, 2).await, [welcomes[1].id, welcomes[2].id]);
}

async fn letters_of_an_import_are_paced_whatever_their_matter(ports: Ports) {
    let account = AccountId::new(fresh_uuid());
    let notice = |second| Letter {
        id: LetterId::new(fresh_uuid()),
        matter: Matter::EmailChanged {
            account,
            to: yuki(),
            reader: Some(somebody()),
        },
        created_at: at(second),
    };
    let (of_crowd, alone) = (notice(1), notice(2));
    let batch = AccountBatch {
        later: vec![DueLetter {
            letter: of_crowd.clone(),
            due_at: at(1),
        }],
        ..AccountBatch::default()
    };
    ports.accounts.import(&batch, at(1), &|_| {}).await.unwrap();
    ports.accept(&alone).await;
    let listed = ports.outbox.list(9).await.unwrap();
    assert_eq!(
        listed.iter().map(|letter| letter.paced).collect::<Vec<_>>(),
        [false, true]
    );
    let most = Batch { others: 9, paced: 0 };
    let taken = ports.outbox.take(at(5), most, LEASE).await.unwrap();
    assert_eq!((taken.len(), taken[0].letter.id, taken[0].paced), (1, alone.id, false));
    let taken = ports.take(5).await;
    assert_eq!(
        (taken.len(), taken[0].letter.id, taken[0].paced),
        (1, of_crowd.id, true)
    );
}

async fn a_restarted_server_gives_back_what_was_taken(ports: Ports) {
    let letter = letter(0);
    ports.accept(&letter).await;
    ports.outbox.failed(letter.id, "450 later", at(20)).await.unwrap();
    assert_eq!(ports.taken_ids(20).await, [letter.id]);
    ports.outbox.give_back_taken().await.unwrap();
    assert_eq!(ports.outbox.next_due().await.unwrap(), Some(at(20)));
    assert!(ports.taken_ids(19).await.is_empty());
    assert_eq!(ports.take(20).await[0].attempts, 1);
}

async fn a_failed_letter_is_due_again_later(ports: Ports) {
    let letter = letter(0);
    ports.accept(&letter).await;
    for attempt in 1..=2 {
        assert_eq!(ports.take(100 * i64::from(attempt)).await[0].attempts, attempt - 1);
        let again = at(100 * i64::from(attempt) + 50);
        ports.outbox.failed(letter.id, "450 later", again).await.unwrap();
        assert_eq!(ports.outbox.next_due().await.unwrap(), Some(again));
        let listed = ports.outbox.list(9).await.unwrap().remove(0);
        assert_eq!(
            (listed.attempts, listed.status),
            (attempt, LetterStatus::Waiting(again))
        );
        assert_eq!(listed.words.as_deref(), Some("450 later"));
    }
    assert!(ports.facts().await.is_empty());
}

async fn what_waits_is_counted_and_the_longest_overdue_is_known(ports: Ports) {
    let queue = async |second| {
        let queue = ports.outbox.queue(at(second)).await.unwrap();
        (queue.waiting, queue.due_since)
    };
    assert_eq!(queue(0).await, (0, None));
    let (first, second) = (letter(10), letter(20));
    ports.accept(&second).await;
    ports.accept(&first).await;
    assert_eq!(queue(5).await, (2, None), "their time has not come");
    assert_eq!(queue(15).await, (2, Some(at(10))));
    ports.outbox.failed(second.id, "450 later", at(900)).await.unwrap();
    ports
        .outbox
        .delivered(first.id, &yuki(), at(25), "250", sent())
        .await
        .unwrap();
    assert_eq!(
        queue(30).await,
        (1, Some(at(20))),
        "a letter tried in vain has waited since it was accepted, whenever it is tried again"
    );
    ports.outbox.given_up(second.id, at(40), "550", sent()).await.unwrap();
    assert_eq!(queue(1000).await, (0, None));
}

async fn a_letter_ends_once_and_stays_in_listings_until_swept(ports: Ports) {
    let (delivered, withheld, given_up, waiting) = (letter(1), letter(2), letter(3), letter(4));
    for letter in [&delivered, &withheld, &given_up, &waiting] {
        ports.accept(letter).await;
    }
    ports.take(5).await;
    for second in [6, 7] {
        let (now, outbox) = (at(second), &ports.outbox);
        outbox
            .delivered(delivered.id, &yuki(), now, "250 queued", sent())
            .await
            .unwrap();
        outbox.withheld(withheld.id, now, sent()).await.unwrap();
        outbox
            .given_up(given_up.id, now, "550 no such user", sent())
            .await
            .unwrap();
        outbox.failed(delivered.id, "too late", at(8)).await.unwrap();
    }
    assert_eq!(ports.facts().await, ["link.sent"; 3], "each ended once");
    ports
        .outbox
        .delivered(LetterId::new(fresh_uuid()), &yuki(), at(8), "250", sent())
        .await
        .unwrap();
    assert_eq!(ports.facts().await.len(), 3, "what is not there cannot end");

    let listed = ports.outbox.list(9).await.unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|listing| {
            (
                listing.letter.id,
                listing.status,
                listing.attempts,
                listing.words.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (waiting.id, LetterStatus::Waiting(at(4)), 0, None),
            (given_up.id, LetterStatus::GivenUp(at(6)), 1, Some("550 no such user")),
            (withheld.id, LetterStatus::Withheld(at(6)), 0, None),
            (delivered.id, LetterStatus::Delivered(at(6)), 0, Some("250 queued")),
        ]
    );
    assert_eq!(ports.outbox.list(1).await.unwrap().len(), 1);
    assert_eq!(
        ports.taken_ids(500).await,
        [waiting.id],
        "what has ended is never taken"
    );
    assert_eq!(ports.outbox.sweep(at(6)).await.unwrap(), 0);
    assert_eq!(ports.outbox.sweep(at(7)).await.unwrap(), 3);
    assert_eq!(ports.outbox.list(9).await.unwrap().len(), 1);
}

async fn two_takers_never_hold_the_same_letter(ports: Ports) {
    let accepted: Vec<_> = (0..20).map(letter).collect();
    ports.outbox.accept(letters(accepted)).await.unwrap();
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let outbox = Arc::clone(&ports.outbox);
        takers.spawn(async move { outbox.take(at(50), both(3), LEASE).await.unwrap() });
    }
    let taken = takers.join_all().await.into_iter().flatten();
    let mut ids: Vec<_> = taken.map(|queued| queued.letter.id.to_string()).collect();
    assert_eq!(ids.len(), 20);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}
