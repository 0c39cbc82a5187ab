//! The envelope sender of letters: one address for each letter, by which a report about it finds back (VERP).
//!
//! The tag in it is the letter's id, encrypted and authenticated in one (the construction of RFC 5297: what
//! authenticates the id is also what hides it). Whoever sees one learns nothing and can make no other, so nobody can
//! speak against an address that they did not get a letter for. It is written in base32, since mail servers fold case.

use hmac::{Hmac, KeyInit, Mac};
use lettre::Address;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::mime::ascii_domain;
use crate::config::LONGEST_RETURN_LOCAL;
use crate::domain::account::Email;
use crate::domain::outbox::LetterId;

/// What stands between the local part and the tag; mail servers deliver what follows it to the same mailbox.
const DELIMITER: char = '+';
/// Bytes of the part that authenticates: a forger must guess 2^79 times.
const SEAL: usize = 10;
/// Bytes of a letter's id.
const ID: usize = 16;
/// Characters of a tag.
const TAG: usize = ((SEAL + ID) * 8).div_ceil(5);
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// RFC 5321 section 4.5.3.1.1.
const LONGEST_LOCAL: usize = 64;
const _: () = assert!(LONGEST_RETURN_LOCAL + 1 + TAG == LONGEST_LOCAL);

/// The return address of all letters, and the key of their tags.
pub struct ReturnPath {
    local: String,
    domain: String,
    key: Zeroizing<[u8; 32]>,
}

/// What an address is, seen from the return address of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The return address of this letter.
    Letter(LetterId),
    /// It looks like one, and was not made here.
    Forged,
    /// Something else.
    Nothing,
}

impl ReturnPath {
    /// From `mail.bounces` and a key that is the same in every run.
    pub fn new(address: &Email, key: [u8; 32]) -> Self {
        let (local, domain) = address.as_typed().rsplit_once('@').unwrap_or_default();
        Self {
            local: local.to_owned(),
            domain: ascii_domain(domain),
            key: Zeroizing::new(key),
        }
    }

    /// The return address of a letter.
    pub(super) fn of(&self, letter: LetterId) -> Option<Address> {
        Address::new(format!("{}{DELIMITER}{}", self.local, self.tag(letter)), &self.domain).ok()
    }

    /// The return address without a tag.
    pub fn plain(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Reads a recipient's address, whatever case it has become.
    pub fn read(&self, address: &str) -> Named {
        let Some((local, domain)) = address.trim().rsplit_once('@') else {
            return Named::Nothing;
        };
        let Some((before, rest)) = local.split_at_checked(self.local.len()) else {
            return Named::Nothing;
        };
        let Some(tag) = rest.strip_prefix(DELIMITER) else {
            return Named::Nothing;
        };
        if !before.eq_ignore_ascii_case(&self.local) || !domain.eq_ignore_ascii_case(&self.domain) {
            return Named::Nothing;
        }
        self.open(tag).map_or(Named::Forged, Named::Letter)
    }

    fn tag(&self, letter: LetterId) -> String {
        let id = letter.as_bytes();
        let seal = self.seal(id);
        let mut bytes = [0; SEAL + ID];
        bytes[..SEAL].copy_from_slice(&seal);
        for (hidden, (plain, pad)) in bytes[SEAL..].iter_mut().zip(id.iter().zip(self.pad(&seal))) {
            *hidden = plain ^ pad;
        }
        encode(&bytes)
    }

    fn open(&self, tag: &str) -> Option<LetterId> {
        let bytes = decode(tag)?;
        let (seal, hidden) = bytes.split_at(SEAL);
        let mut id = [0; ID];
        for (plain, (hidden, pad)) in id.iter_mut().zip(hidden.iter().zip(self.pad(seal))) {
            *plain = hidden ^ pad;
        }
        bool::from(self.seal(&id).ct_eq(seal)).then(|| LetterId::new(Uuid::from_bytes(id)))
    }

    /// What authenticates an id.
    fn seal(&self, id: &[u8; ID]) -> [u8; SEAL] {
        let mac = self.mac(b"seal\0", id);
        std::array::from_fn(|at| mac[at])
    }

    /// What hides an id that has this seal.
    fn pad(&self, seal: &[u8]) -> [u8; ID] {
        let mac = self.mac(b"pad\0", seal);
        std::array::from_fn(|at| mac[at])
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, purpose: &[u8], text: &[u8]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("a key of any length");
        mac.chain_update(purpose)
            .chain_update(text)
            .finalize()
            .into_bytes()
            .into()
    }
}

fn encode(bytes: &[u8; SEAL + ID]) -> String {
    let (mut text, mut held, mut bits) = (String::with_capacity(TAG), 0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits) as usize & 31]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits)) as usize & 31]));
    }
    text
}

/// `None` unless the text is exactly what [`encode`] writes, in any case.
fn decode(text: &str) -> Option<[u8; SEAL + ID]> {
    if text.len() != TAG {
        return None;
    }
    let (mut bytes, mut at, mut held, mut bits) = ([0; SEAL + ID], 0, 0_u32, 0);
    for c in text.bytes() {
        let c = c.to_ascii_lowercase();
        let value = ALPHABET.iter().position(|known| *known == c)?;
        held = (held << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = u8::try_from((held >> bits) & 0xff).ok()?;
            at += 1;
        }
        held &= (1 << bits) - 1;
    }
    // The bits to spare say nothing, so they may be nothing else.
    (held == 0 && at == bytes.len()).then_some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::mail) fn returns() -> ReturnPath {
        ReturnPath::new(&Email::parse("Bounces@Example.com").unwrap(), [7; 32])
    }

    fn id(number: u128) -> LetterId {
        LetterId::new(Uuid::from_u128(number))
    }

    proptest! {
        #[test]
        fn a_tag_reads_back_whatever_case_it_has_become(number in any::<u128>(), folds in prop::collection::vec(any::<bool>(), 64)) {
            let returns = returns();
            let address = returns.of(id(number)).unwrap().to_string();
            let folded: String = address
                .chars()
                .zip(folds.iter().cycle())
                .map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect();
            prop_assert_eq!(returns.read(&folded), Named::Letter(id(number)));
            prop_assert!(address.split('@').next().unwrap().len() <= LONGEST_LOCAL);
        }

        #[test]
        fn a_tag_with_a_character_flipped_is_refused(number in any::<u128>(), at in 0..TAG, other in 0_usize..32) {
            let returns = returns();
            let tag = returns.tag(id(number));
            let mut flipped = tag.clone().into_bytes();
            flipped[at] = ALPHABET[other];
            let flipped = String::from_utf8(flipped).unwrap();
            prop_assume!(flipped != tag);
            prop_assert_eq!(returns.read(&format!("bounces+{flipped}@example.com")), Named::Forged);
        }

        #[test]
        fn no_address_panics_the_reader(text in "\\PC{0,80}", tag in "[a-z2-7]{0,60}") {
            let returns = returns();
            let _ = returns.read(&text);
            let made_up = returns.read(&format!("bounces+{tag}@example.com"));
            prop_assert_eq!(made_up, Named::Forged);
        }
    }

    #[test]
    fn a_tag_is_believed_under_its_own_key_and_address_alone() {
        let returns = returns();
        let tag = returns.tag(id(5));
        let other = ReturnPath::new(&Email::parse("bounces@example.com").unwrap(), [8; 32]);
        assert_eq!(other.read(&format!("bounces+{tag}@example.com")), Named::Forged);
        for nothing in [
            format!("bounces+{tag}@example.net"),
            format!("other+{tag}@example.com"),
            format!("bounces-{tag}@example.com"),
            "bounces@example.com".to_owned(),
            "+@".to_owned(),
            "由紀@example.com".to_owned(),
            String::new(),
        ] {
            assert_eq!(returns.read(&nothing), Named::Nothing, "{nothing}");
        }
        for forged in [
            "bounces+@example.com".to_owned(),
            format!("bounces+{tag}a@example.com"),
            format!("bounces+{}@example.com", &tag[1..]),
        ] {
            assert_eq!(returns.read(&forged), Named::Forged, "{forged}");
        }
    }

    #[test]
    fn tags_of_letters_made_one_after_the_other_have_nothing_in_common() {
        let returns = returns();
        let (one, next) = (returns.tag(id(5)), returns.tag(id(6)));
        let same = one.bytes().zip(next.bytes()).filter(|(one, next)| one == next).count();
        assert!(same < 10, "{one} {next}");
        assert_eq!(one, returns.tag(id(5)), "and a letter keeps its own");
    }
}
