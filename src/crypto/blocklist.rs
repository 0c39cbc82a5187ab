//! Lists of known passwords as a small filter: built from words or from SHA-1 lists, held in a file, asked in memory.
//!
//! Two bytes and a quarter for each password, whatever its length. The filter holds no password and none can be read
//! from it; about one password in 20,000 that is on no list is taken for a listed one.
//!
//! The file, all numbers little-endian: `SEKISHO-KNOWN-PW`, version (u32), passwords (u64), seed (u64), segment length
//! (u32), length of all segments (u32), fingerprints (u64), four zero bytes, the fingerprints (u16 each), and the SHA-256
//! of all before it.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use sha1::{Digest, Sha1};
use sha2::Sha256;
use xorf::{BinaryFuse16, Filter};

use super::durable::{self, Existing};
use crate::domain::fault::Fault;
use crate::domain::password::{KnownPasswords, Password};
use crate::ports::Entropy;

const MAGIC: &[u8; 16] = b"SEKISHO-KNOWN-PW";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 56;
const SUM_BYTES: usize = 32;

/// A line that is longer is no password.
const MOST_LINE: usize = 1024;

/// The most fingerprints a file may hold: 4 GiB, far beyond every published list.
const MOST_FINGERPRINTS: u64 = 2 << 30;

/// A list of known passwords.
pub struct Blocklist {
    filter: BinaryFuse16,
    passwords: u64,
}

/// What is gathered for a list.
#[derive(Default)]
pub struct Gathering {
    keys: Vec<u64>,
    /// Lines that were taken.
    pub taken: u64,
    /// Lines that were left out: rarer than asked for, longer than any password, not text, or strays.
    pub left_out: u64,
}

/// Lines of a list of hashes that are no hashes: left out, since nobody can tell a cut hash or a heading from a word,
/// and a word such as `ABC` that nobody listed would be refused for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many.
    pub lines: u64,
    /// The numbers of the first ones, from 1.
    pub first: Vec<u64>,
}

/// Why a list of other hashes is not taken.
const FOREIGN: &str =
    "its lines are hashes, but no SHA-1 of 40 digits; Have I Been Pwned has a list of those beside the one of NTLM";

/// More numbers than this help nobody.
const MOST_STRAYS: usize = 10;

impl Gathering {
    /// Takes every line: a password, or the SHA-1 of one in 40 hexadecimal digits, with `:` and a count behind it where
    /// there is one. Hashes that were counted fewer than `at_least` times are left out. Where most lines are hashes, the
    /// others are left out too, and told.
    ///
    /// # Errors
    /// The list cannot be read, or holds hashes of another kind: they would be listed as if people chose them.
    pub fn take(&mut self, mut lines: impl BufRead, at_least: u64) -> io::Result<Strays> {
        let mut line = Vec::with_capacity(MOST_LINE);
        let (mut hashes, mut foreign, mut words) = (0, 0, Words::default());
        for number in 1.. {
            line.clear();
            if lines.by_ref().take(MOST_LINE as u64).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.len() == MOST_LINE && !line.ends_with(b"\n") {
                self.left_out += 1;
                lines.skip_until(b'\n')?;
                continue;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            // A mark of the encoding is no part of the first password, which is the commonest one of many lists.
            let text = text
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| number == 1)
                .unwrap_or(text);
            match std::str::from_utf8(text).map(|text| (text, hashed(text))) {
                Ok(("", _)) => {}
                Ok((text, None)) => match Password::parse(text, MOST_LINE) {
                    Ok(password) => {
                        foreign += u64::from(is_foreign_hash(text));
                        words.note(number, key_of(password.expose()));
                    }
                    Err(_) => self.left_out += 1,
                },
                Ok((_, Some((key, count)))) => {
                    hashes += 1;
                    self.add((count.unwrap_or(u64::MAX) >= at_least).then_some(key));
                }
                Err(_) => self.left_out += 1,
            }
        }
        let told = words.keys.len() as u64;
        if foreign * 2 > hashes + told {
            return Err(io::Error::new(io::ErrorKind::InvalidData, FOREIGN));
        }
        if hashes > told {
            self.left_out += told;
            return Ok(Strays {
                lines: told,
                first: words.first,
            });
        }
        for key in words.keys {
            self.add(Some(key));
        }
        Ok(Strays::default())
    }

    fn add(&mut self, key: Option<u64>) {
        match key {
            Some(key) => {
                self.keys.push(key);
                self.taken += 1;
            }
            None => self.left_out += 1,
        }
    }

    /// Makes the list.
    ///
    /// # Errors
    /// Nothing was taken, or more than a filter can hold.
    pub fn finish(mut self) -> Result<Blocklist, &'static str> {
        if self.keys.is_empty() {
            return Err("there is no password in it");
        }
        // A key that is there twice cannot be held.
        self.keys.sort_unstable();
        self.keys.dedup();
        let passwords = self.keys.len() as u64;
        if passwords >= u64::from(u32::MAX) / 2 {
            return Err("there are more passwords in it than one list can hold; keep the commonest: --at-least");
        }
        let filter = BinaryFuse16::try_from(&self.keys)?;
        Ok(Blocklist { filter, passwords })
    }
}

/// The lines of a list that are no hashes, until it is known what kind of list it is.
#[derive(Default)]
struct Words {
    keys: Vec<u64>,
    first: Vec<u64>,
}

impl Words {
    fn note(&mut self, number: u64, key: u64) {
        self.keys.push(key);
        if self.first.len() < MOST_STRAYS {
            self.first.push(number);
        }
    }
}

impl Blocklist {
    /// How many passwords it was made of.
    pub fn passwords(&self) -> u64 {
        self.passwords
    }

    /// Reads a list from its file.
    ///
    /// # Errors
    /// Says which file, and how to mend it: it cannot be read, is no list, is of a newer version, or is damaged.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let bytes = File::open(path)
            .and_then(|file| {
                let most = MOST_FINGERPRINTS * 2 + (HEAD_BYTES + SUM_BYTES) as u64;
                let mut bytes = Vec::new();
                file.take(most + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            })
            .map_err(|e| {
                Fault::unavailable(
                    format!("could not read the list of known passwords {}", path.display()),
                    e,
                )
            })?;
        Self::decode(&bytes).map_err(|why| Fault::Corrupt {
            what: format!(
                "{} is no list of known passwords: {why}; make it with: sekisho passwords build LIST -o {0}",
                path.display()
            ),
            source: None,
        })
    }

    /// Writes the list so that a crash leaves all of it or what was there before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, entropy: &dyn Entropy) -> io::Result<u64> {
        let bytes = self.encode();
        durable::write(path, &bytes, 0o644, Existing::Replace, entropy)?;
        Ok(bytes.len() as u64)
    }

    fn encode(&self) -> Vec<u8> {
        let (shape, prints) = (&self.filter.descriptor, &self.filter.fingerprints);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 2 * prints.len() + SUM_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.passwords.to_le_bytes());
        bytes.extend_from_slice(&shape.seed.to_le_bytes());
        bytes.extend_from_slice(&shape.segment_length.to_le_bytes());
        bytes.extend_from_slice(&shape.segment_count_length.to_le_bytes());
        bytes.extend_from_slice(&(prints.len() as u64).to_le_bytes());
        debug_assert!(bytes.len() <= HEAD_BYTES);
        bytes.resize(HEAD_BYTES, 0);
        for print in prints {
            bytes.extend_from_slice(&print.to_le_bytes());
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const CUT: &str = "it is cut short or damaged";
        let mut rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin like one")?;
        if u32::from_le_bytes(part(&mut rest).ok_or(CUT)?) != VERSION {
            return Err("it is of another version");
        }
        let (body, sum) = bytes
            .len()
            .checked_sub(SUM_BYTES)
            .filter(|at| *at >= HEAD_BYTES)
            .map(|at| bytes.split_at(at))
            .ok_or(CUT)?;
        if Sha256::digest(body).as_slice() != sum {
            return Err(CUT);
        }
        let passwords = u64::from_le_bytes(part(&mut rest).ok_or(CUT)?);
        let seed = u64::from_le_bytes(part(&mut rest).ok_or(CUT)?);
        let segment = u32::from_le_bytes(part(&mut rest).ok_or(CUT)?);
        let all = u32::from_le_bytes(part(&mut rest).ok_or(CUT)?);
        let prints = u64::from_le_bytes(part(&mut rest).ok_or(CUT)?);
        // A look-up reads three places that follow from these; none may lie outside.
        let fits = segment.is_power_of_two()
            && all > 0
            && all.is_multiple_of(segment)
            && prints <= MOST_FINGERPRINTS
            && prints == u64::from(all) + 2 * u64::from(segment)
            && u32::try_from(prints).is_ok()
            && body.len() as u64 == HEAD_BYTES as u64 + 2 * prints;
        if !fits {
            return Err("its parts do not fit together");
        }
        // The library's own type for the shape has no public name, so one is changed.
        let mut filter = BinaryFuse16::try_from([0_u64].as_slice())?;
        filter.descriptor.seed = seed;
        filter.descriptor.segment_length = segment;
        filter.descriptor.segment_length_mask = segment - 1;
        filter.descriptor.segment_count_length = all;
        filter.fingerprints = body[HEAD_BYTES..]
            .as_chunks::<2>()
            .0
            .iter()
            .map(|print| u16::from_le_bytes(*print))
            .collect();
        Ok(Self { filter, passwords })
    }
}

impl KnownPasswords for Blocklist {
    /// As typed, and in lower case.
    fn know(&self, password: &Password) -> bool {
        let typed = password.expose();
        let lower = zeroize::Zeroizing::new(typed.to_lowercase());
        [typed, &lower]
            .into_iter()
            .any(|text| self.filter.contains(&key_of(text)))
    }
}

/// The first eight bytes of the SHA-1, the digest that published lists are made of. It protects nothing here.
fn key_of(text: &str) -> u64 {
    let digest = Sha1::digest(text.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|i| digest[i]))
}

/// A line of a list of hashes: the key, and the count behind it.
fn hashed(line: &str) -> Option<(u64, Option<u64>)> {
    let (digits, count) = digits(line).filter(|(digits, _)| digits.len() == 40)?;
    Some((u64::from_str_radix(&digits[..16], 16).ok()?, count))
}

/// Whether it is as long as an MD5 or NTLM hash, or one of the SHA-2 family.
fn is_foreign_hash(line: &str) -> bool {
    digits(line).is_some_and(|(digits, _)| matches!(digits.len(), 32 | 56 | 64 | 96 | 128))
}

/// Hexadecimal digits, and the count behind them.
fn digits(line: &str) -> Option<(&str, Option<u64>)> {
    let (digits, count) = match line.split_once(':') {
        Some((digits, count)) => (digits, Some(count.trim().parse().ok()?)),
        None => (line, None),
    };
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some((digits, count))
}

fn part<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::entropy::OsEntropy;

    fn list(lines: &str, at_least: u64) -> Blocklist {
        let mut gathering = Gathering::default();
        gathering.take(lines.as_bytes(), at_least).unwrap();
        gathering.finish().unwrap()
    }

    fn knows(list: &Blocklist, typed: &str) -> bool {
        list.know(&Password::parse(typed, 256).unwrap())
    }

    #[test]
    fn words_and_hashes_are_known_as_typed_and_in_lower_case() {
        // The second is the SHA-1 of "password" as breach lists have it, with a count.
        let list = list(
            "summer of 69\r\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\n夏の扉\n\ncafe\u{301}",
            1,
        );
        assert_eq!(list.passwords(), 4);
        for known in [
            "summer of 69",
            "Summer Of 69",
            "password",
            "PASSWORD",
            "夏の扉",
            "caf\u{e9}",
        ] {
            assert!(knows(&list, known), "{known}");
        }
        assert!(!knows(&list, "summer of 70"));
    }

    #[test]
    fn a_mark_of_the_encoding_costs_no_password() {
        let marked = list("\u{feff}first word\nsecond word\n", 1);
        assert!(knows(&marked, "first word") && knows(&marked, "second word"));
    }

    #[test]
    fn rare_hashes_long_lines_and_what_is_no_text_are_left_out_and_counted() {
        let mut lines = b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:4\nkept\n\xff\xfe\n".to_vec();
        lines.extend([b'x'; 5000]);
        lines.extend(b"\nkept too\n");
        let mut gathering = Gathering::default();
        gathering.take(lines.as_slice(), 5).unwrap();
        assert_eq!((gathering.taken, gathering.left_out), (2, 3));
        let list = gathering.finish().unwrap();
        assert!(knows(&list, "kept") && knows(&list, "kept too") && !knows(&list, "password"));
        assert!(Gathering::default().finish().is_err(), "a list of nothing is a mistake");
    }

    #[test]
    fn what_is_no_hash_in_a_list_of_hashes_is_left_out_and_told_by_its_line() {
        // The SHA-1 of "password", "letmein", "dragon" (cut short) and "qwerty".
        let listed = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:7\n\nABC\n\
            B7A875FC1EA228B9061041B7CEC4BD3C52AB3CE3:7\n\
            AF8978B1797B72ACFFF9595A5A2A373EC3D9106\n\
            B1B3773A05C0ED0176787A4F1574FF0075F7521E\n";
        let mut gathering = Gathering::default();
        let strays = gathering.take(listed.as_bytes(), 1).unwrap();
        assert_eq!((strays.lines, strays.first), (2, vec![3, 5]));
        assert_eq!((gathering.taken, gathering.left_out), (3, 2));
        // A list of words beside it is one of its own.
        let strays = gathering.take("summer\nABC of things\n".as_bytes(), 1).unwrap();
        assert_eq!(strays, Strays::default());
        let list = gathering.finish().unwrap();
        assert!(knows(&list, "letmein") && knows(&list, "summer"));
        assert!(!knows(&list, "ABC") && !knows(&list, "dragon"));
    }

    #[test]
    fn hashes_of_another_kind_are_not_taken_for_passwords() {
        // The NTLM hash of "password", as breach lists have it, and its SHA-256.
        let ntlm = "8846F7EAEE8FB117AD06BDD830B7586C:9545824";
        let sha256 = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        for list in [format!("{ntlm}\r\n"), format!("{sha256}\n{ntlm}\nsummer\n")] {
            let refused = Gathering::default().take(list.as_bytes(), 1).unwrap_err();
            assert!(refused.to_string().contains("no SHA-1 of 40 digits"), "{refused}");
        }
        let words = list(&format!("{ntlm}\nsummer\nwinter\n"), 1);
        assert_eq!(words.passwords(), 3, "somebody may have chosen one");
    }

    #[test]
    fn a_list_reads_back_from_its_file_and_takes_two_bytes_and_a_quarter_each() {
        let lines: Vec<String> = (0..20_000).map(|i| format!("password number {i}")).collect();
        let (home, made) = (tempfile::tempdir().unwrap(), list(&lines.join("\n"), 1));
        let path = home.path().join("known.filter");
        let bytes = made.save(&path, &OsEntropy).unwrap();
        assert!(bytes < 20_000 * 3, "{bytes}");
        let read = Blocklist::load(&path).unwrap();
        assert_eq!(read.passwords(), 20_000);
        assert!(lines.iter().all(|line| knows(&read, line)));
        let mistaken = (0..20_000).filter(|i| knows(&read, &format!("unlisted {i}"))).count();
        assert!(mistaken < 10, "{mistaken} of 20000 were taken for listed ones");
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused_by_name_and_with_the_way_out() {
        let (home, made) = (tempfile::tempdir().unwrap(), list("one\ntwo\nthree", 1));
        let path = home.path().join("known.filter");
        let whole = made.encode();
        let mut newer = whole.clone();
        newer[16] = 9;
        let mut flipped = whole.clone();
        flipped[HEAD_BYTES + 1] ^= 1;
        for (bytes, why) in [
            (b"password\n123456\n".to_vec(), "does not begin like one"),
            (newer, "another version"),
            (flipped, "damaged"),
            (whole[..whole.len() - 1].to_vec(), "damaged"),
            (whole[..20].to_vec(), "cut short"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let said = Blocklist::load(&path).err().unwrap().chain();
            assert!(said.contains(why) && said.contains("sekisho passwords build"), "{said}");
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
        assert!(
            Blocklist::load(&home.path().join("none"))
                .err()
                .unwrap()
                .chain()
                .contains("none")
        );
    }

    proptest! {
        #[test]
        fn no_shape_that_is_taken_reads_outside_of_it(
            segment in 0_u32..40, all in 0_u32..400, prints in 0_u64..500, seed: u64, typed in "\\PC{0,12}",
        ) {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&VERSION.to_le_bytes());
            bytes.extend_from_slice(&1_u64.to_le_bytes());
            bytes.extend_from_slice(&seed.to_le_bytes());
            bytes.extend_from_slice(&segment.to_le_bytes());
            bytes.extend_from_slice(&all.to_le_bytes());
            bytes.extend_from_slice(&prints.to_le_bytes());
            bytes.resize(HEAD_BYTES + 2 * usize::try_from(prints).unwrap(), 0);
            let sum = Sha256::digest(&bytes);
            bytes.extend_from_slice(&sum);
            if let Ok(list) = Blocklist::decode(&bytes) {
                let _ = knows(&list, &typed);
            }
        }
    }
}
