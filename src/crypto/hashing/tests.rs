//! What the hasher promises, under parameters small enough to be quick.

use super::*;
use crate::crypto::testing::Counting;
use crate::domain::limits::attempt::LaneKind;
use crate::ports::Verification;

const HASHING: Hashing = Hashing {
    memory_kib: 64,
    passes: 2,
    threads: 1,
    queue: 4,
};

fn hasher_with(hashing: Hashing, pepper: Pepper) -> Argon2Hasher {
    Argon2Hasher::start(hashing, pepper, Arc::new(Counting::default())).unwrap()
}

fn hasher() -> Argon2Hasher {
    hasher_with(HASHING, Pepper::from_bytes([3; 32]))
}

fn password(typed: &str) -> Password {
    Password::parse(typed, 256).unwrap()
}

fn stored(phc: &str) -> PasswordHash {
    PasswordHash::from_phc(phc.to_owned())
}

const HERE: Place = Place {
    lane: LaneKind::Strangers,
    subnet: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
};

const FRESH: Verification = Verification::Match { stale: false };
const STALE: Verification = Verification::Match { stale: true };

#[tokio::test]
async fn the_reference_implementation_gives_the_same_hashes() {
    let hasher = hasher();
    // The published vector for m = 256, t = 2, p = 1 of phc-winner-argon2 (test.c), without a key.
    let plain = stored("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
    assert_eq!(
        hasher
            .verify(&password("password"), Some(&plain), HERE)
            .await
            .unwrap()
            .outcome,
        STALE
    );
    // The reference library with 32 bytes 0x03 as its secret and 16 bytes 0x02 as the salt.
    let keyed = stored(
        "$argon2id$v=19$m=64,t=3,p=1,keyid=003392d3$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns",
    );
    let typed = password("password パスワード");
    assert_eq!(hasher.verify(&typed, Some(&keyed), HERE).await.unwrap().outcome, STALE);
    assert_eq!(
        hasher
            .verify(&password("password"), Some(&keyed), HERE)
            .await
            .unwrap()
            .outcome,
        Verification::Mismatch
    );
    let same_terms = hasher_with(Hashing { passes: 3, ..HASHING }, Pepper::from_bytes([3; 32]));
    assert_eq!(
        same_terms.verify(&typed, Some(&keyed), HERE).await.unwrap().outcome,
        FRESH
    );
}

#[tokio::test]
async fn imported_hashes_match_their_password_and_are_due_for_renewal() {
    let hasher = hasher();
    for (typed, text) in [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("secret", "{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3"),
        (
            "password",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        ),
        (
            "password",
            "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        ),
        // phc-winner-argon2's test.c, as those above; the last by its library.
        (
            "password",
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        ),
        (
            "password",
            "{ARGON2}$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHQ$e2nJLXw4iarRKB28i678Esw3yA8cdeM+8sLUDCjrxXM",
        ),
        (
            "password",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ),
    ] {
        let imported = crate::crypto::foreign::judge(text).unwrap();
        assert_eq!(
            hasher
                .verify(&password(typed), Some(&imported), HERE)
                .await
                .unwrap()
                .outcome,
            STALE,
            "{text}"
        );
        let wrong = hasher
            .verify(&password("wrong"), Some(&imported), HERE)
            .await
            .unwrap()
            .outcome;
        assert_eq!(wrong, Verification::Mismatch, "{text}");
        let renewed = hasher.hash(&password(typed)).await.unwrap();
        assert_eq!(
            hasher
                .verify(&password(typed), Some(&renewed), HERE)
                .await
                .unwrap()
                .outcome,
            FRESH
        );
    }
}

#[tokio::test]
async fn a_row_beyond_the_caps_is_refused_again_when_it_is_used_and_takes_no_work() {
    let hasher = hasher();
    for text in [
        "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$scrypt$ln=30,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$argon2i$v=19$m=262144,t=20,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
    ] {
        let fault = hasher
            .verify(&password("it"), Some(&stored(text)), HERE)
            .await
            .unwrap_err();
        assert!(matches!(fault, Fault::Corrupt { .. }));
        assert!(fault.chain().contains("at most"), "{}", fault.chain());
    }
    assert_eq!(hasher.stats().completed, 0);
}

#[tokio::test]
async fn a_fresh_hash_is_a_phc_string_with_its_own_salt_and_matches_only_its_password() {
    let hasher = hasher();
    let hash = hasher.hash(&password("correct horse")).await.unwrap();
    assert!(
        hash.expose().starts_with("$argon2id$v=19$m=64,t=2,p=1,keyid=003392d3$"),
        "{}",
        hash.expose()
    );
    assert_ne!(hasher.hash(&password("correct horse")).await.unwrap(), hash);
    assert_eq!(
        hasher
            .verify(&password("correct horse"), Some(&hash), HERE)
            .await
            .unwrap()
            .outcome,
        FRESH
    );
    assert_eq!(
        hasher
            .verify(&password("Correct horse"), Some(&hash), HERE)
            .await
            .unwrap()
            .outcome,
        Verification::Mismatch
    );
}

#[tokio::test]
async fn every_answer_costs_one_job_and_no_account_costs_what_an_account_costs() {
    let hasher = hasher();
    let typed = password("correct horse");
    let hash = hasher.hash(&typed).await.unwrap();
    let foreign = hasher_with(HASHING, Pepper::from_bytes([9; 32]))
        .hash(&typed)
        .await
        .unwrap();
    let cases = [
        (Some(&hash), FRESH),
        (None, Verification::Mismatch),
        (Some(&foreign), Verification::Mismatch),
    ];
    for (i, (stored, expected)) in (2..).zip(cases) {
        assert_eq!(hasher.verify(&typed, stored, HERE).await.unwrap().outcome, expected);
        assert_eq!(hasher.stats().completed, i);
    }
    assert_eq!(hasher.terms.load().dummy.recipe, hasher.terms.load().recipe);
}

#[tokio::test]
async fn a_hash_is_stale_once_anything_about_it_has_moved_on() {
    let typed = password("correct horse");
    let hash = hasher().hash(&typed).await.unwrap();
    let pepper = || Pepper::from_bytes([3; 32]);
    let more_memory = Hashing {
        memory_kib: 128,
        ..HASHING
    };
    let less_memory = Hashing {
        memory_kib: 32,
        ..HASHING
    };
    for later in [
        hasher_with(more_memory, pepper()),
        hasher_with(less_memory, pepper()),
        hasher_with(Hashing { passes: 3, ..HASHING }, pepper()),
        hasher_with(HASHING, Pepper::from_bytes([4; 32]).with_previous([3; 32])),
    ] {
        assert_eq!(later.verify(&typed, Some(&hash), HERE).await.unwrap().outcome, STALE);
        let again = later.hash(&typed).await.unwrap();
        assert_eq!(later.verify(&typed, Some(&again), HERE).await.unwrap().outcome, FRESH);
    }
}

#[tokio::test]
async fn a_pepper_replaced_while_running_hashes_from_then_on_and_the_old_one_still_verifies() {
    let (hasher, typed) = (hasher(), password("correct horse"));
    let before = hasher.hash(&typed).await.unwrap();
    hasher.replace_pepper(Pepper::from_bytes([4; 32]).with_previous([3; 32]));
    assert_eq!(hasher.verify(&typed, Some(&before), HERE).await.unwrap().outcome, STALE);
    let after = hasher.hash(&typed).await.unwrap();
    assert_eq!(hasher.verify(&typed, Some(&after), HERE).await.unwrap().outcome, FRESH);
    hasher.replace_pepper(Pepper::from_bytes([4; 32]));
    assert_eq!(
        hasher.verify(&typed, Some(&before), HERE).await.unwrap().outcome,
        Verification::Mismatch
    );
    assert_eq!(hasher.verify(&typed, Some(&after), HERE).await.unwrap().outcome, FRESH);
}

#[tokio::test]
async fn another_version_or_output_length_is_stale_too() {
    let hasher = hasher_with(Hashing { passes: 1, ..HASHING }, Pepper::from_bytes([3; 32]));
    let compute = |version, length| {
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let mut output = vec![0; length];
        argon2::Argon2::new_with_secret(&[3; 32], argon2::Algorithm::Argon2id, version, params)
            .unwrap()
            .hash_password_into(b"correct horse", &[2; 16], &mut output)
            .unwrap();
        let recipe = Recipe {
            version,
            ..hasher.terms.load().recipe
        };
        let (key_id, salt) = (Some("003392d3".to_owned()), vec![2; 16]);
        stored(
            &Phc {
                recipe,
                key_id,
                salt,
                output,
            }
            .to_string(),
        )
    };
    let typed = password("correct horse");
    for (hash, expected) in [
        (compute(Version::V0x13, 32), FRESH),
        (compute(Version::V0x13, 24), STALE),
        (compute(Version::V0x10, 32), STALE),
    ] {
        assert_eq!(
            hasher.verify(&typed, Some(&hash), HERE).await.unwrap().outcome,
            expected
        );
    }
}

#[tokio::test]
async fn a_full_queue_is_an_overload_at_once() {
    let hasher = hasher_with(Hashing { queue: 0, ..HASHING }, Pepper::from_bytes([3; 32]));
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel();
    let busy = hasher.pool.submit(HERE, move |_| {
        let _ = begin.send(());
        let _ = wait.recv();
    });
    begun.recv().unwrap();
    let typed = password("correct horse");
    for refused in [
        hasher.hash(&typed).await.err(),
        hasher.verify(&typed, None, HERE).await.err(),
    ] {
        assert!(matches!(refused, Some(Fault::Overloaded { .. })));
    }
    assert_eq!(hasher.stats().shed, ByLane { known: 1, strangers: 1 });
    drop(release);
    busy.await.unwrap().unwrap();
    assert!(hasher.hash(&typed).await.is_ok());
}

#[tokio::test]
async fn a_hash_that_cannot_be_used_is_corrupt_and_is_not_repeated_to_anybody() {
    let hasher = hasher();
    for phc in [
        "$argon2id$v=19$m=262145,t=1,p=1$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns",
        "$2b$12$abcdefghijklmnopqrstuv",
        "",
    ] {
        let fault = hasher
            .verify(&password("it"), Some(&stored(phc)), HERE)
            .await
            .unwrap_err();
        assert!(matches!(fault, Fault::Corrupt { .. }));
        assert!(phc.is_empty() || !fault.chain().contains(phc), "{}", fault.chain());
    }
    assert_eq!(hasher.stats().completed, 0);
}

#[tokio::test]
async fn a_stored_hash_that_needs_more_memory_than_usual_still_verifies() {
    let typed = password("correct horse");
    let pepper = || Pepper::from_bytes([3; 32]);
    let large = Hashing {
        memory_kib: 4096,
        passes: 1,
        ..HASHING
    };
    let hash = hasher_with(large, pepper()).hash(&typed).await.unwrap();
    assert_eq!(
        hasher_with(HASHING, pepper())
            .verify(&typed, Some(&hash), HERE)
            .await
            .unwrap()
            .outcome,
        STALE
    );
}

#[tokio::test]
async fn a_pepper_that_is_not_here_is_told_to_the_operator_once_and_not_for_every_attempt() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || lines.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let typed = password("correct horse");
    let foreign = hasher_with(HASHING, Pepper::from_bytes([9; 32]))
        .hash(&typed)
        .await
        .unwrap();
    let hasher = hasher();
    for _ in 0..3 {
        assert_eq!(
            hasher.verify(&typed, Some(&foreign), HERE).await.unwrap().outcome,
            Verification::Mismatch
        );
    }
    let said = log.text();
    assert_eq!(
        said.matches("put it back into the secrets directory").count(),
        1,
        "{said}"
    );
    assert!(said.contains("WARN") && said.contains("003392d3"), "{said}");
    assert!(said.contains(Pepper::from_bytes([9; 32]).key_id()), "{said}");
    assert!(!said.contains("correct horse") && !said.contains("$argon2id"), "{said}");
}

/// What was logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn parameters_argon2_cannot_take_are_refused_at_the_start() {
    let hashing = Hashing {
        memory_kib: 1,
        ..HASHING
    };
    let refused = Argon2Hasher::start(hashing, Pepper::from_bytes([3; 32]), Arc::new(Counting::default()));
    assert!(refused.err().unwrap().chain().contains("1 KiB"));
}
