//! Bearer secrets, shown once, and the digests that are all we may store of them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of randomness in every token: 256 bits.
pub const TOKEN_BYTES: usize = 32;

/// Characters of a token as text (base64url without padding).
const TOKEN_CHARS: usize = 43;

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; TOKEN_BYTES]);

        impl $name {
            /// Made from fresh randomness; nothing else may make one.
            pub const fn from_entropy(bytes: [u8; TOKEN_BYTES]) -> Self {
                Self(bytes)
            }

            /// Reads the text a client presents. Anything but the exact form is `None`.
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }

            /// The text to hand out, once. Greppable on purpose.
            pub fn expose(&self) -> String {
                BASE64_URL_SAFE_NO_PAD.encode(self.0)
            }

            /// The secret itself. Greppable on purpose.
            pub const fn as_bytes(&self) -> &[u8; TOKEN_BYTES] {
                &self.0
            }

            /// What may be stored and looked up.
            pub fn digest(&self) -> TokenDigest {
                TokenDigest(Sha256::digest(self.0).into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

token!(
    /// The bearer secret in the session cookie.
    SessionToken
);
token!(
    /// The bearer secret in a Welcome or reset link.
    TicketToken
);
token!(
    /// The bearer secret in a link that unlocks a browser.
    UnlockToken
);

/// SHA-256 of a token. A digest cannot be turned back into the token: the token has 256 bits of entropy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// From its stored form.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

fn parse(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    if text.len() != TOKEN_CHARS {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    let written = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (written == TOKEN_BYTES).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_nothing_else_parses() {
        let token = SessionToken::from_entropy([7; 32]);
        let text = token.expose();
        assert_eq!(SessionToken::parse(&text).unwrap().digest(), token.digest());
        for bad in [
            "",
            "a",
            &text[1..],
            &format!("{text}="),
            &format!(" {text}"),
            &"+".repeat(43),
        ] {
            assert!(SessionToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn tokens_and_digests_never_print_themselves() {
        let token = TicketToken::from_entropy([7; 32]);
        assert_eq!(
            format!("{token:?} {:?}", token.digest()),
            "TicketToken(..) TokenDigest(..)"
        );
    }
}
