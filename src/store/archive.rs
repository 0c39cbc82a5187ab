//! The file of a backup: a tar of a manifest and the database, compressed with zstd, closed by a seal over every byte.
//!
//! `tar --zstd -xf FILE` unpacks it anywhere: the seal is a skippable frame (RFC 8878, section 3.1.2), which other
//! programs pass over. It holds the SHA-256 of everything before it, so that a file cut short or altered in a single
//! bit is refused before it is even unpacked, and a MAC of that digest under a key that is not in the file.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format this version writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// What a manifest calls itself.
const KIND: &str = "sekisho-backup";
/// The manifest inside the file; it comes first.
const MANIFEST: &str = "manifest.json";
/// The database inside the file.
pub const DATABASE_PART: &str = "sekisho.db";
/// A manifest is small; anything else under its name is not read into memory.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

const SKIPPABLE: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();
const SEAL_BYTES: u32 = 64;
/// Magic, length, digest, MAC.
const TRAILER_BYTES: u64 = 8 + SEAL_BYTES as u64;

/// SHA-256 and the MACs made of it.
pub type Digest32 = [u8; 32];

/// What a backup says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `sekisho-backup`.
    pub kind: String,
    /// Of the file: [`FORMAT`].
    pub format: u32,
    /// The version that made it.
    pub version: String,
    /// The newest migration of its database.
    pub schema: i64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Names the sealing key that the MAC was made with; nothing leads from it to the key.
    pub sealing_key_id: Option<String>,
    /// The parts that follow, in order.
    pub parts: Vec<Part>,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// What is not inside, on purpose.
    pub left_out: Vec<String>,
}

/// A part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the tar.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveProblem {
    /// It could not be read at all.
    #[error("could not read it")]
    Unreadable(#[from] io::Error),
    /// Too short, or no seal at its end.
    #[error("it does not end as a backup ends: it was cut short, or it is no backup of Sekisho")]
    NoSeal,
    /// The digest is that of other bytes.
    #[error("its digest does not match: it was altered or damaged after it was made")]
    Altered,
    /// The seal is right, and what is under it is not what this version writes.
    #[error("its contents make no sense: {0}")]
    Malformed(String),
    /// A later version made it.
    #[error(
        "Sekisho {version} made it in format {format}, and this version reads formats up to {FORMAT}; use that version or a newer one"
    )]
    NewerFormat {
        /// The format.
        format: u32,
        /// The version that made it.
        version: String,
    },
}

/// A backup whose every byte is as it was written.
#[derive(Debug)]
pub struct Archive {
    file: File,
    /// Length without the seal.
    length: u64,
    /// What it says about itself.
    pub manifest: Manifest,
    /// The SHA-256 of the file without its seal.
    pub digest: Digest32,
    /// The MAC of the digest.
    pub mac: Digest32,
}

impl Manifest {
    /// What this version writes.
    pub fn new(schema: i64, created_at: Timestamp) -> Self {
        Self {
            kind: KIND.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            created_at,
            sealing_key_id: None,
            parts: Vec::new(),
            rows: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }
}

/// Writes a backup of one database into `to` and closes it with the seal, whose MAC `authenticate` makes.
///
/// # Errors
/// When the database cannot be read or the file not be written; what was written by then is no backup.
pub fn write(
    to: &mut File,
    manifest: &mut Manifest,
    database: &mut File,
    authenticate: impl FnOnce(&Digest32) -> Digest32,
) -> io::Result<()> {
    let (bytes, sha256) = digest_of(database)?;
    manifest.parts = vec![Part {
        name: DATABASE_PART.to_owned(),
        bytes,
        sha256: hex(&sha256),
    }];
    database.rewind()?;
    let mut encoder = zstd::Encoder::new(Hashing::over(to), 0)?;
    encoder.include_checksum(true)?;
    let mut tar = tar::Builder::new(encoder);
    let text = serde_json::to_vec_pretty(manifest)?;
    let (at, size) = (manifest.created_at, u64::try_from(text.len()).unwrap_or(u64::MAX));
    tar.append_data(&mut header(size, at), MANIFEST, text.as_slice())?;
    tar.append_data(&mut header(bytes, at), DATABASE_PART, database)?;
    let Hashing { inner, hash } = tar.into_inner()?.finish()?;
    let digest: Digest32 = hash.finalize().into();
    inner.write_all(&SKIPPABLE)?;
    inner.write_all(&SEAL_BYTES.to_le_bytes())?;
    inner.write_all(&digest)?;
    inner.write_all(&authenticate(&digest))?;
    inner.sync_all()
}

fn header(size: u64, at: Timestamp) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(at.as_second()).unwrap_or(0));
    header
}

impl Archive {
    /// Reads the whole file and checks the seal, the manifest and the digest of each part. Writes nothing anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(file: File) -> Result<Self, ArchiveProblem> {
        let (length, digest, mac) = check_seal(&file)?;
        let mut archive = Self {
            file,
            length,
            manifest: Manifest::new(0, Timestamp::UNIX_EPOCH),
            digest,
            mac,
        };
        archive.manifest = archive.walk(&mut |_| Ok(Box::new(io::sink())))?;
        Ok(archive)
    }

    /// Writes the database into `to`, and checks its digest once more on the way.
    ///
    /// # Errors
    /// When the file cannot be read any more, changed meanwhile, or `to` cannot be written.
    pub fn unpack(&self, to: &File) -> Result<(), ArchiveProblem> {
        let manifest = self.walk(&mut |_| Ok(Box::new(to.try_clone()?)))?;
        if manifest != self.manifest {
            return Err(ArchiveProblem::Altered);
        }
        Ok(to.sync_all()?)
    }

    fn walk(&self, sink: &mut dyn FnMut(&Part) -> io::Result<Box<dyn Write>>) -> Result<Manifest, ArchiveProblem> {
        let mut file = &self.file;
        file.rewind()?;
        let packed = BufReader::new(file.take(self.length));
        let mut tar = tar::Archive::new(zstd::Decoder::with_buffer(packed)?);
        let manifest = {
            // Raw: a header that announces a long name would have it read into memory, however long it is.
            let mut entries = tar.entries()?.raw(true);
            let mut next = |name: &str| match entries.next() {
                Some(Ok(entry))
                    if entry.header().entry_type().is_file() && entry.header().path_bytes() == name.as_bytes() =>
                {
                    Ok(entry)
                }
                Some(Ok(_)) | None => Err(malformed(format!("{name} is not where it belongs"))),
                Some(Err(error)) => Err(malformed(error)),
            };
            let manifest = read_manifest(next(MANIFEST)?)?;
            for part in &manifest.parts {
                let found = copy(next(&part.name)?.take(part.bytes.saturating_add(1)), sink(part)?)?;
                if found != (part.bytes, part.sha256.clone()) {
                    return Err(malformed(format!(
                        "{} is not the one that the manifest names",
                        part.name
                    )));
                }
            }
            if entries.next().is_some() {
                return Err(malformed("there is more in it than the manifest names"));
            }
            manifest
        };
        // The end of the compressed stream carries its own checksum, which is only looked at when it is reached.
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(malformed)?;
        Ok(manifest)
    }
}

/// The length without the seal, the digest and the MAC in it.
fn check_seal(mut file: &File) -> Result<(u64, Digest32, Digest32), ArchiveProblem> {
    let whole = file.seek(SeekFrom::End(0))?;
    let length = whole.checked_sub(TRAILER_BYTES).ok_or(ArchiveProblem::NoSeal)?;
    file.seek(SeekFrom::Start(length))?;
    let (mut head, mut digest, mut mac) = ([0; 8], [0; 32], [0; 32]);
    file.read_exact(&mut head)?;
    file.read_exact(&mut digest)?;
    file.read_exact(&mut mac)?;
    if head[..4] != SKIPPABLE || head[4..] != SEAL_BYTES.to_le_bytes() {
        return Err(ArchiveProblem::NoSeal);
    }
    file.rewind()?;
    let (_, found) = digest_of(&mut file.take(length))?;
    if found == digest {
        Ok((length, digest, mac))
    } else {
        Err(ArchiveProblem::Altered)
    }
}

fn read_manifest(entry: impl Read) -> Result<Manifest, ArchiveProblem> {
    /// What every format to come keeps.
    #[derive(Deserialize)]
    struct Head {
        kind: String,
        format: u32,
        version: String,
    }
    let mut text = Vec::new();
    entry
        .take(MAX_MANIFEST_BYTES)
        .read_to_end(&mut text)
        .map_err(malformed)?;
    let Head { kind, format, version } = serde_json::from_slice(&text).map_err(malformed)?;
    if kind != KIND {
        return Err(malformed("its manifest is that of something else"));
    }
    if format > FORMAT {
        return Err(ArchiveProblem::NewerFormat { format, version });
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(malformed)?;
    match manifest.parts.as_slice() {
        [part] if part.name == DATABASE_PART => Ok(manifest),
        _ => Err(malformed("it must hold one database and nothing else")),
    }
}

fn malformed(why: impl Into<Box<dyn Error>>) -> ArchiveProblem {
    ArchiveProblem::Malformed(why.into().to_string())
}

fn copy(mut from: impl Read, mut to: impl Write) -> Result<(u64, String), ArchiveProblem> {
    let mut through = Hashing::over(&mut to);
    let bytes = io::copy(&mut from, &mut through)?;
    Ok((bytes, hex(&through.hash.finalize())))
}

fn digest_of(from: &mut impl Read) -> io::Result<(u64, Digest32)> {
    let mut sink = io::sink();
    let mut through = Hashing::over(&mut sink);
    let bytes = io::copy(from, &mut through)?;
    Ok((bytes, through.hash.finalize().into()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Digests what passes.
struct Hashing<'a, W> {
    inner: &'a mut W,
    hash: Sha256,
}

impl<'a, W> Hashing<'a, W> {
    fn over(inner: &'a mut W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn made(change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut to = tempfile::tempfile().unwrap();
        let mut manifest = Manifest::new(7, "2026-01-02T03:04:05Z".parse().unwrap());
        change(&mut manifest);
        let mut database = file(&b"a database of some length ".repeat(40));
        database.rewind().unwrap();
        write(&mut to, &mut manifest, &mut database, |digest| {
            digest.map(|byte| byte ^ 0xff)
        })
        .unwrap();
        let mut bytes = Vec::new();
        to.rewind().unwrap();
        to.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_read_and_unpacked_the_same() {
        let archive = Archive::open(file(&made(|_| ()))).unwrap();
        assert_eq!((archive.manifest.schema, archive.manifest.format), (7, FORMAT));
        assert_eq!(archive.mac, archive.digest.map(|byte| byte ^ 0xff));
        let mut out = tempfile::tempfile().unwrap();
        archive.unpack(&out).unwrap();
        let mut text = Vec::new();
        out.rewind().unwrap();
        out.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"a database of some length ".repeat(40));
    }

    #[test]
    fn a_header_that_announces_a_long_name_is_refused_and_not_read() {
        let mut packed = zstd::Encoder::new(Vec::new(), 0).unwrap();
        let mut long = tar::Header::new_gnu();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.set_size(8 << 20);
        long.set_cksum();
        packed.write_all(long.as_bytes()).unwrap();
        packed.write_all(&vec![b'a'; 8 << 20]).unwrap();
        let mut bytes = packed.finish().unwrap();
        let digest: Digest32 = Sha256::digest(&bytes).into();
        bytes.extend(SKIPPABLE);
        bytes.extend(SEAL_BYTES.to_le_bytes());
        bytes.extend(digest);
        bytes.extend([0; 32]);
        let refused = Archive::open(file(&bytes)).unwrap_err();
        assert!(refused.to_string().contains("not where it belongs"), "{refused}");
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        let bytes = made(|_| ());
        for length in 0..bytes.len() {
            assert!(Archive::open(file(&bytes[..length])).is_err(), "first {length} bytes");
        }
    }

    #[test]
    fn a_single_altered_bit_before_the_mac_is_refused() {
        let bytes = made(|_| ());
        for at in 0..bytes.len() - 32 {
            for bit in [1, 0x10, 0x80] {
                let mut altered = bytes.clone();
                altered[at] ^= bit;
                assert!(Archive::open(file(&altered)).is_err(), "byte {at}");
            }
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Archive::open(file(&longer)).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_by_name_and_another_manifest_as_well() {
        let newer = Archive::open(file(&made(|manifest| {
            manifest.format = 2;
            manifest.version = "9.8.7".to_owned();
        })));
        let words = newer.unwrap_err().to_string();
        assert!(
            words.contains("9.8.7") && words.contains("format 2") && words.contains("up to 1"),
            "{words}"
        );
        let other = Archive::open(file(&made(|manifest| manifest.kind = "holiday-photos".to_owned())));
        assert!(matches!(other, Err(ArchiveProblem::Malformed(_))), "{other:?}");
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        for bytes in [&b""[..], b"PK\x03\x04", &[0; 4096], &b"x".repeat(100)] {
            let refused = Archive::open(file(bytes)).unwrap_err();
            assert!(matches!(refused, ArchiveProblem::NoSeal), "{refused}");
        }
    }
}
