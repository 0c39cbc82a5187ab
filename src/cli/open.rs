//! Opens what the configuration names, for one command; says what to do when that is somebody else's.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::bail;

use crate::app::Office;
use crate::config::Config;

use super::output::Several;
use super::runtime;

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn config(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|errors| Several::of(&errors.0).into())
}

/// Does `work` with the store that the configuration names, and closes it again.
pub fn office<T>(path: &Path, work: impl AsyncFnOnce(&Office, &Config) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let config = config(path)?;
    refuse_foreign(&config.store.directory)?;
    runtime::brief()?.block_on(async {
        let office = Office::open(&config).await?;
        let done = work(&office, &config).await;
        office.close().await;
        done
    })
}

/// Whether there is a store already. Opening it makes one.
pub fn has_store(config: &Config) -> bool {
    STORE_FILES
        .first()
        .is_some_and(|database| config.store.directory.join(database).exists())
}

/// Refuses a store that belongs to another user, before a half-opened database explains it in its own words.
pub fn refuse_foreign(directory: &Path) -> anyhow::Result<()> {
    let whom = || Whom::of(directory);
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(whom().refusal(directory)),
        // Made in a moment, or explained when that fails.
        Err(_) => return Ok(()),
    };
    let empty = files.count() == 0;
    // Only the store's own files matter: a copy that somebody laid beside them is nobody's concern here.
    for file in STORE_FILES {
        if let Err(error) = File::options().read(true).write(true).open(directory.join(file))
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            bail!(whom().refusal(directory));
        }
    }
    let whom = whom();
    if empty && whom.me == Some(ROOT) && whom.owner.is_some_and(|owner| owner != ROOT) {
        // What root makes here, the server could not open.
        bail!(whom.refusal(directory));
    }
    Ok(())
}

const ROOT: u32 = 0;

/// What SQLite and the server keep in the store's directory.
const STORE_FILES: [&str; 4] = ["sekisho.db", "sekisho.db-wal", "sekisho.db-shm", "server.lock"];

/// Who runs this, and whose the store is.
struct Whom {
    me: Option<u32>,
    owner: Option<u32>,
}

impl Whom {
    fn of(directory: &Path) -> Self {
        let uid = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.uid());
        Self {
            me: uid(Path::new("/proc/self")),
            owner: uid(directory),
        }
    }

    fn refusal(&self, directory: &Path) -> String {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let directory = directory.display();
        let me = self.me.map_or_else(String::new, |me| {
            format!(", and this command runs as {}", user_name(&users, me))
        });
        match self.owner {
            Some(owner) if self.me != Some(owner) => {
                let owner = user_name(&users, owner);
                format!(
                    "the store in {directory} belongs to {owner}{me}; run it as that user: sudo -u {owner} sekisho ...",
                )
            }
            _ => format!(
                "the store in {directory} may not be used{me}; run it as the user that the gateway runs as: sudo -u USER \
                 sekisho ..."
            ),
        }
    }
}

/// The name of a user, or the form that sudo takes for a number.
fn user_name(passwd: &str, uid: u32) -> String {
    let uid = uid.to_string();
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("#{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nsekisho:x:998:998::/var/lib/sekisho:/usr/sbin/nologin\n";

    #[test]
    fn a_user_is_named_as_sudo_takes_it() {
        assert_eq!(user_name(PASSWD, 998), "sekisho");
        assert_eq!(user_name(PASSWD, 0), "root");
        assert_eq!(user_name(PASSWD, 5), "#5");
        assert_eq!(user_name("", 5), "#5");
    }

    #[test]
    fn a_refusal_says_whose_the_store_is_and_what_to_run() {
        let whom = Whom {
            me: Some(u32::MAX),
            owner: Some(0),
        };
        let line = whom.refusal(Path::new("/var/lib/sekisho"));
        assert!(
            line.starts_with("the store in /var/lib/sekisho belongs to root"),
            "{line}"
        );
        assert!(
            line.ends_with("run it as that user: sudo -u root sekisho ..."),
            "{line}"
        );

        let hidden = Whom { me: None, owner: None };
        assert!(hidden.refusal(Path::new("/x")).contains("sudo -u USER sekisho"));
    }

    #[test]
    fn a_store_that_is_mine_or_not_yet_made_is_not_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("sekisho.db"), "").unwrap();
        refuse_foreign(home.path()).unwrap();
        refuse_foreign(&home.path().join("not/yet")).unwrap();
    }
}
