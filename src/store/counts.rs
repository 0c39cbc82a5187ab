//! [`CountsFile`]: what the limits have counted, in a file beside the database, for the next start. It holds keyed digests of
//! names, addresses of clients and times; a start that cannot read it begins with empty counters.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::fault::Fault;
use crate::domain::limits::ledger::Counted;

/// The name of the file in the store's directory.
const NAME: &str = "limits.json";
/// What it is called until it is whole.
const DRAFT: &str = ".limits.json.new";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 128 << 20;
/// The form of the file.
const VERSION: u32 = 1;

/// The file. All of it blocks.
#[derive(Clone, Debug)]
pub struct CountsFile {
    directory: PathBuf,
}

#[derive(Serialize)]
struct Writing<'a> {
    version: u32,
    at: Timestamp,
    counted: &'a Counted,
}

#[derive(Deserialize)]
struct Written {
    version: u32,
    at: Timestamp,
    counted: Counted,
}

impl CountsFile {
    /// In the directory of the store.
    pub fn beside(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Writes what is counted at this time of day in the place of what was there: all of it or nothing.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(&self, counted: &Counted, at: Timestamp) -> Result<(), Fault> {
        let fault = |error: std::io::Error| {
            Fault::unavailable(
                format!("could not write {}", self.directory.join(NAME).display()),
                error,
            )
        };
        let draft = self.directory.join(DRAFT);
        let writing = Writing {
            version: VERSION,
            at,
            counted,
        };
        let write = || {
            let mut file = BufWriter::new(private(&draft)?);
            serde_json::to_writer(&mut file, &writing)?;
            file.flush()?;
            file.get_ref().sync_data()?;
            std::fs::rename(&draft, self.directory.join(NAME))
        };
        write().map_err(|error| {
            // A full disk needs the room; the next attempt begins anew.
            let _ = std::fs::remove_file(&draft);
            fault(error)
        })
    }

    /// What was counted when it was written, after the time that has passed by `now`. A clock that was set back lets none
    /// pass. Nothing, where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(&self, now: Timestamp) -> Result<Counted, Fault> {
        let file = self.directory.join(NAME);
        let name = format!("could not read {}", file.display());
        let opened = match File::open(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Counted::default()),
            Err(error) => return Err(Fault::unavailable(name, error)),
        };
        let text = BufReader::new(opened.take(MOST_BYTES));
        let written: Written = serde_json::from_reader(text).map_err(|error| Fault::corrupt(name.clone(), error))?;
        if written.version != VERSION {
            return Err(Fault::corrupt(name, format!("it has the form {}", written.version)));
        }
        let passed = now.as_nanosecond() - written.at.as_nanosecond();
        Ok(written.counted.after(u64::try_from(passed.max(0)).unwrap_or(u64::MAX)))
    }
}

/// A new file that nobody else may read; what a process that died has left is replaced.
fn private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::limits::NameDigest;
    use crate::domain::limits::Nanos;
    use crate::domain::limits::ledger::{Decision, Draw, Ledger, Outcome, Subject};
    use crate::domain::limits::policy::RuleName;

    fn attempt(subject: Subject) -> Vec<Draw> {
        let rule = RuleName::parse("account").unwrap();
        vec![Draw::new(rule, subject, "2 per 1h".parse().unwrap())]
    }

    fn fails(ledger: &mut Ledger, subject: Subject) -> bool {
        match ledger.decide(attempt(subject), Nanos(1 << 50)) {
            Decision::Granted { reservation, .. } => {
                ledger.settle(reservation, Outcome::Failed, Nanos(1 << 50));
                true
            }
            Decision::Refused { .. } => false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_next_start_goes_on_with_what_was_counted_and_with_the_time_that_has_passed() {
        let home = tempfile::tempdir().unwrap();
        let file = CountsFile::beside(home.path());
        assert!(file.read(at(0)).unwrap().is_empty(), "there is none yet");
        let account = || Subject::Account(NameDigest(1, 2));
        let mut ledger = Ledger::new(10);
        assert!(fails(&mut ledger, account()) && fails(&mut ledger, account()));
        let password = NameDigest(0x5ec_4e7, 0x5ec_4e7);
        assert!(fails(&mut ledger, Subject::Password(password)));
        file.write(&ledger.counted(Nanos(1 << 50)), at(0)).unwrap();
        file.write(&ledger.counted(Nanos(1 << 50)), at(0)).unwrap();
        let path = home.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("Password") && !text.contains(&password.0.to_string()),
            "{text}"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let granted_after = |second| {
            let mut next = Ledger::new(10);
            next.take_up(file.read(at(second)).unwrap(), Nanos(1 << 50));
            (0..5).filter(|_| fails(&mut next, account())).count()
        };
        assert_eq!(granted_after(0), 0);
        assert_eq!(granted_after(-1000), 0, "the clock was set back");
        assert_eq!(granted_after(1800), 1);
        assert_eq!(granted_after(3600), 2);
    }

    #[test]
    fn a_damaged_file_is_told_of_and_another_form_too() {
        let home = tempfile::tempdir().unwrap();
        let file = CountsFile::beside(home.path());
        for text in [
            "",
            "{",
            "{\"version\":1}",
            "{\"version\":9,\"at\":\"2026-01-01T00:00:00Z\",\"counted\":{\"meters\":[],\"shared\":[]}}",
        ] {
            std::fs::write(home.path().join(NAME), text).unwrap();
            assert!(matches!(file.read(at(0)), Err(Fault::Corrupt { .. })), "{text}");
        }
        file.write(&Counted::default(), at(0)).unwrap();
        assert!(file.read(at(0)).unwrap().is_empty());
    }
}
