//! How long verifying an imported hash takes on this machine, told from its parameters: a cheap hash of each way of
//! computing one is timed, and the time of another grows with its rounds or its memory.

use std::time::{Duration, Instant};

use super::Foreign;
use super::sha_crypt::MOST_PASSWORD;
use crate::domain::password::Password;

/// A way of computing hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Bcrypt,
    Pbkdf2Sha1,
    Pbkdf2Sha256,
    Pbkdf2Sha512,
    Scrypt,
    Sha256Crypt,
    Sha512Crypt,
    Sha,
}

/// What verifying one hash takes: a way of computing, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    pub way: Way,
    /// Rounds, or KiB.
    pub amount: u64,
}

impl Effort {
    pub const fn new(way: Way, amount: u64) -> Self {
        Self { way, amount }
    }
}

/// One cheap hash for each way; nobody's password is any of them.
const SAMPLES: [&str; 8] = [
    "$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
    "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE",
    "{PBKDF2-SHA256}4096$c2FsdA$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o",
    "{PBKDF2-SHA512}4096$c2FsdA$0Zexsz2wFD4BixLz0dFHnmzevcyXxcD4f2kC4HL0V7UUPzBgJkGz1VzTNZiMs2uEN2Bg7NUy4Dm3QqI5Q0ry1Q",
    // Memory enough that it does not stay in the caches, as with those in use.
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$5$rounds=1000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
    "$6$rounds=1000$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
];

/// Each sample is computed so often, and the quickest counts: whatever else the machine does only makes it slower.
const TIMES: usize = 3;

/// How fast this machine is in each way.
#[derive(Debug)]
pub struct Speeds(Vec<(Effort, Duration)>);

impl Speeds {
    /// Computes the samples: a tenth of a second or two, and 16 MiB.
    pub fn measure() -> Self {
        // SHA-crypt goes over the password in every round, and a stranger chooses how long it is.
        let longest = Password::parse(&"x".repeat(MOST_PASSWORD), MOST_PASSWORD);
        let samples = SAMPLES.into_iter().filter_map(|text| Foreign::parse(text).ok());
        Self(
            samples
                .zip(std::iter::repeat(longest.ok()))
                .filter_map(|(sample, password)| Some((sample.effort(), quickest(&sample, &password?))))
                .collect(),
        )
    }

    /// How long such a verification takes at most, if nothing disturbs it.
    pub fn time(&self, effort: Effort) -> Duration {
        let found = self.0.iter().find(|(sample, _)| sample.way == effort.way);
        let nanos = found.map_or(0, |(sample, took)| {
            took.as_nanos() * u128::from(effort.amount) / u128::from(sample.amount.max(1))
        });
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn quickest(sample: &Foreign, password: &Password) -> Duration {
    let times = (0..TIMES).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(sample.is(password));
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_way_is_measured() {
        let speeds = Speeds::measure();
        for way in [
            Way::Bcrypt,
            Way::Pbkdf2Sha1,
            Way::Pbkdf2Sha256,
            Way::Pbkdf2Sha512,
            Way::Scrypt,
            Way::Sha256Crypt,
            Way::Sha512Crypt,
            Way::Sha,
        ] {
            assert!(speeds.time(Effort::new(way, 1_000_000)) > Duration::ZERO, "{way:?}");
        }
        assert_eq!(speeds.0.len(), SAMPLES.len());
    }

    #[rstest]
    #[case("$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Way::Bcrypt, 4096)]
    #[case(
        "pbkdf2_sha256$1500000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=",
        Way::Pbkdf2Sha256,
        1_500_000
    )]
    // 64 bytes are two blocks of SHA-256.
    #[case(
        "$pbkdf2-sha256$i=7,l=64$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw",
        Way::Pbkdf2Sha256,
        14
    )]
    #[case(
        "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA",
        Way::Scrypt,
        16 * 1024
    )]
    #[case("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", Way::Sha256Crypt, 5_000)]
    #[case("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", Way::Sha, 1)]
    fn the_effort_of_a_hash_follows_from_its_parameters(#[case] text: &str, #[case] way: Way, #[case] amount: u64) {
        assert_eq!(Foreign::parse(text).unwrap().effort(), Effort::new(way, amount));
    }

    #[test]
    fn twice_the_rounds_take_twice_the_time() {
        let speeds = Speeds(vec![(Effort::new(Way::Bcrypt, 64), Duration::from_millis(4))]);
        assert_eq!(
            speeds.time(Effort::new(Way::Bcrypt, 4096)),
            Duration::from_millis(4 * 64)
        );
        assert_eq!(speeds.time(Effort::new(Way::Sha, 1)), Duration::ZERO);
    }
}
