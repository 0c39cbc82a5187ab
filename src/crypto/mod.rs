//! The cryptographic adapters: the only module that names Argon2, JWT, AES or X.509.
//!
//! | File | Holds |
//! |---|---|
//! | [`entropy`] | the real source of randomness |
//! | [`secrets`] | the pepper and the sealing key, and the files they live in |
//! | [`hashing`] | password hashes on threads of their own |
//! | [`foreign`] | hashes that other systems made: judged at import, verified until their owner signs in |
//! | [`blocklist`] | lists of known passwords as small filters |
//! | [`tuning`] | proposes parameters for this machine |
//! | [`seal`] | private keys wrapped for the store |
//! | [`jwt`] | assertions signed and verified, the key ring, the JWKS |
//! | [`certificate`] | what a certificate on disk says: names and life |
//! | [`tls`] | certificates chosen by name, followed while their files change |
//! | [`devca`] | certificates for the demo and the tests |

pub mod blocklist;
pub mod certificate;
pub mod devca;
pub mod entropy;
pub mod foreign;
pub mod hashing;
pub mod jwt;
pub mod seal;
pub mod secrets;
pub mod tls;
pub mod tuning;

mod durable;

pub use durable::sync_directory;

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod testing {
    use std::sync::atomic::{AtomicU8, Ordering};

    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::Entropy;

    /// Entropy that never repeats and is the same in every run.
    #[derive(Default)]
    pub struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [self.0.fetch_add(1, Ordering::Relaxed); TOKEN_BYTES]
        }
    }
}
