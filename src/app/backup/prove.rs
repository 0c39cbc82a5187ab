//! Proving what a backup promises: that whoever has the file, and nothing else, learns no password, no token, no
//! private key and no pepper from it. One check for each way it could fail, each with what it looked at.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::scan::{self, holds_token};
use super::workplace::{PROVING, Workplace};
use super::{BackupProblem, Origin, could_not, open, origin};
use crate::config::Config;
use crate::crypto::hashing::HashKind;
use crate::crypto::seal;
use crate::crypto::secrets::{KnownSecret, PresentSecrets, SECRET_BYTES, SealingKey};
use crate::domain::api_token::ApiToken;
use crate::domain::fault::Fault;
use crate::store::archive::{Archive, DATABASE_PART};
use crate::store::sqlite::{Cell, DatabaseCopy, Read, emptied, schema_version};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Proved,
    /// It does not.
    Failed,
    /// It could not be done here; why is said with it.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its stable name.
    pub name: &'static str,
    /// What it looked for.
    pub looked_for: &'static str,
    /// Where.
    pub place: &'static str,
    /// How many values it looked at.
    pub looked_at: u64,
    /// What it found.
    pub verdict: Verdict,
    /// What is wrong, or why it was skipped; never a part of a secret.
    pub notes: Vec<String>,
}

/// More notes than this help nobody.
const MOST_NOTES: usize = 20;

impl Check {
    fn new(name: &'static str, looked_for: &'static str, place: &'static str) -> Self {
        Self {
            name,
            looked_for,
            place,
            looked_at: 0,
            verdict: Verdict::Proved,
            notes: Vec::new(),
        }
    }

    /// Proved when nothing was found.
    fn found(mut self, looked_at: usize, found: impl IntoIterator<Item = String>) -> Self {
        self.looked_at = u64::try_from(looked_at).unwrap_or(u64::MAX);
        let mut found = found.into_iter();
        self.notes.extend(found.by_ref().take(MOST_NOTES));
        let more = found.count();
        if more > 0 {
            self.notes.push(format!("and {more} more"));
        }
        if !self.notes.is_empty() {
            self.verdict = Verdict::Failed;
        }
        self
    }

    fn skipped(mut self, why: &str) -> Self {
        self.verdict = Verdict::Skipped;
        self.notes = vec![why.to_owned()];
        self
    }
}

/// Checks a backup. `own` is the configuration of this machine, whose secrets are looked for as well.
///
/// # Errors
/// When something needed for the checks does not work; a backup that is damaged is a failed check.
pub async fn prove(file: &Path, own: Option<&Config>) -> Result<Vec<Check>, BackupProblem> {
    let whole = Check::new(
        "file-whole",
        "bytes altered, missing or added since it was made",
        "the whole file, by SHA-256",
    );
    let archive = match open(file) {
        Ok(archive) => archive,
        Err(BackupProblem::Archive { problem, .. }) => return Ok(vec![whole.found(0, [problem.to_string()])]),
        Err(other) => return Err(other),
    };
    // Whoever may read the configuration need not be allowed to read the secrets: those checks are skipped then.
    let secrets = own.and_then(|config| PresentSecrets::look(&config.secrets.directory).ok());
    let key = secrets.as_ref().and_then(|secrets| secrets.sealing_key.as_ref());
    let workplace = Workplace::make(&std::env::temp_dir(), PROVING)?;
    let unpacked = workplace.path().join(DATABASE_PART);
    let failed = |error| could_not(format!("could not unpack into {}", unpacked.display()), error);
    let raw = File::options().read(true).write(true).create_new(true).open(&unpacked);
    let raw = raw.map_err(failed)?;
    archive.unpack(&raw).map_err(|problem| BackupProblem::Archive {
        file: file.to_owned(),
        problem,
    })?;
    let bytes = archive.manifest.parts.iter().map(|part| part.bytes).sum::<u64>();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);

    let mut checks = vec![whole.found(bytes, []), made_here(&archive, key)];
    let mut copy = match DatabaseCopy::open(&unpacked).await {
        Ok(copy) => copy,
        Err(fault) => {
            checks.push(sound().found(0, [fault.chain()]));
            return Ok(checks);
        }
    };
    let looked = look_inside(&archive, &mut copy, key, &mut checks).await;
    copy.close().await;
    if let Err(fault) = looked {
        // Nothing is proved of a database that cannot be read to its end.
        checks.push(sound().found(0, [fault.chain()]));
        return Ok(checks);
    }
    let searched = |error| could_not(format!("could not search {}", unpacked.display()), error);
    checks.push(
        Check::new(
            "private-key-forms",
            "private keys in PEM, PKCS #8, OpenSSH or JWK form",
            "every byte of the database",
        )
        .found(bytes, scan::private_key_forms(&raw).map_err(searched)?),
    );
    checks.push(
        Check::new(
            "bearer-forms",
            "links, cookies, bearer tokens and JWTs",
            "every byte of the database",
        )
        .found(bytes, scan::bearer_forms(&raw).map_err(searched)?),
    );
    checks.push(own_secrets(own, &archive, &unpacked, &raw, key).await?);
    Ok(checks)
}

fn made_here(archive: &Archive, key: Option<&SealingKey>) -> Check {
    let check = Check::new(
        "made-here",
        "a seal made with this machine's sealing key",
        "the end of the file, by HMAC-SHA-256",
    );
    match origin(archive, key) {
        Origin::Ours => check.found(1, []),
        Origin::Forged => check.found(
            1,
            ["it names this machine's sealing key and was not made with it".to_owned()],
        ),
        Origin::OtherKey => check.skipped("made with another sealing key than the one here, or without any"),
        Origin::NoKeyHere => check.skipped("no sealing key is at hand to check with"),
    }
}

fn sound() -> Check {
    Check::new(
        "database-sound",
        "damage, free pages that may hold deleted rows, tables of another version",
        "the database",
    )
}

/// What is found by reading the database row by row.
async fn look_inside(
    archive: &Archive,
    copy: &mut DatabaseCopy,
    key: Option<&SealingKey>,
    checks: &mut Vec<Check>,
) -> Result<(), Fault> {
    let rows = copy.rows().await?;
    checks.push(soundness(archive, copy, rows.len()).await?);
    let alive = emptied().filter_map(|table| rows.get(table).filter(|rows| **rows > 0).map(|rows| (table, *rows)));
    checks.push(
        Check::new("nothing-alive", "rows of sessions, links and changes", "those tables").found(
            emptied().count(),
            alive.map(|(table, rows)| format!("{table} has {rows} rows")),
        ),
    );
    checks.push(password_hashes(copy).await?);
    let keys = copy.signing_keys().await?;
    checks.push(sealed_keys(&keys, key));
    checks.push(public_keys(&keys));
    checks.push(api_tokens(&copy.api_tokens().await?));
    let events = Check::new("events", "texts outside the closed list of facts", "events, every row");
    checks.push(understood(events, copy.events().await?));
    let letters = Check::new(
        "letters",
        "anything but known matters and addresses",
        "letters, every row",
    );
    checks.push(understood(letters, copy.letters().await?));
    let orders = Check::new("orders", "anything but known orders", "orders, every row");
    checks.push(understood(orders, copy.orders().await?));
    let attempts = Check::new(
        "attempts",
        "anything but times, addresses, keyed digests and names of rules",
        "attempts, every row",
    );
    checks.push(understood(attempts, copy.attempts().await?));
    checks.push(tokens(copy).await?);
    Ok(())
}

async fn soundness(archive: &Archive, copy: &mut DatabaseCopy, tables: usize) -> Result<Check, Fault> {
    let mut wrong = copy.damage().await?;
    let free = copy.free_pages().await?;
    if free > 0 {
        wrong.push(format!("{free} free pages"));
    }
    let (schema, named, known) = (copy.schema_version().await?, archive.manifest.schema, schema_version());
    if schema != named {
        wrong.push(format!("its tables are at {schema}, its manifest says {named}"));
    }
    if schema > known {
        wrong.push(format!(
            "its tables are at {schema}, and this version knows them up to {known}: what it does not know it cannot judge"
        ));
    }
    Ok(sound().found(tables, wrong))
}

async fn password_hashes(copy: &mut DatabaseCopy) -> Result<Check, Fault> {
    let hashes = copy.password_hashes().await?;
    let wrong = hashes.iter().filter_map(|(extension, hash)| match HashKind::of(hash) {
        HashKind::Keyed { strong: true, .. } => None,
        HashKind::Keyed {
            parameters: (m, t, p), ..
        } => Some(format!(
            "{extension}: keyed with a pepper, but weaker than OWASP's floor (m={m}, t={t}, p={p}); renewed when they sign in"
        )),
        HashKind::Unkeyed { scheme } => Some(format!(
            "{extension}: not keyed with a pepper ({scheme}): can be guessed at by whoever has this file, until they sign in once"
        )),
    });
    let wrong: Vec<_> = wrong.collect();
    Ok(Check::new(
        "password-hashes",
        "hashes that can be guessed at without the pepper, or weaker than OWASP's floor",
        "accounts.password_hash",
    )
    .found(hashes.len(), wrong))
}

fn sealed_keys(keys: &Read<crate::domain::key::KeyRecord>, key: Option<&SealingKey>) -> Check {
    let check = Check::new(
        "signing-keys-sealed",
        "private keys that open without the sealing key, or with another",
        "signing_keys.sealed",
    );
    let wrong = keys.rows.iter().flat_map(|record| {
        let opens = |bytes| seal::open(&SealingKey::from_bytes(bytes), &record.kid, &record.sealed).is_ok();
        let moved = key.is_some_and(|key| seal::open(key, "another kid", &record.sealed).is_ok());
        let mut wrong = Vec::new();
        if record.sealed.first() != Some(&1) || record.sealed.len() < 1 + 12 + 32 + 16 {
            wrong.push(format!("{}: not in the sealed form", record.kid));
        }
        if opens([0; SECRET_BYTES]) || opens([0xff; SECRET_BYTES]) || moved {
            wrong.push(format!("{}: opens with another key", record.kid));
        }
        wrong
    });
    let wrong: Vec<_> = wrong.chain(keys.strange.iter().cloned()).collect();
    check.found(keys.rows.len(), wrong)
}

/// Members of a public key (RFC 7517, RFC 7518 section 6, RFC 8037); every other one could be private.
const PUBLIC_MEMBERS: [&str; 8] = ["kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"];

fn public_keys(keys: &Read<crate::domain::key::KeyRecord>) -> Check {
    let check = Check::new(
        "public-keys",
        "private members (d, p, q, k ...) in published keys",
        "signing_keys.public_jwk",
    );
    let wrong = keys.rows.iter().filter_map(|record| {
        let jwk: Result<serde_json::Map<_, _>, _> = serde_json::from_str(&record.public_jwk);
        let Ok(jwk) = jwk else {
            return Some(format!("{}: no JSON object", record.kid));
        };
        let other = jwk.keys().find(|name| !PUBLIC_MEMBERS.contains(&name.as_str()))?;
        Some(format!("{}: has the member {other}", record.kid))
    });
    let wrong: Vec<_> = wrong.collect();
    check.found(keys.rows.len(), wrong)
}

fn api_tokens(tokens: &Read<ApiToken>) -> Check {
    let check = Check::new(
        "api-tokens",
        "tokens that would work again, and anything but digests of them",
        "api_tokens, every row",
    );
    let alive = tokens.rows.iter().filter(|token| token.revoked_at.is_none());
    let wrong = alive.map(|token| format!("{}: not revoked", token.name));
    let wrong: Vec<_> = wrong.chain(tokens.strange.iter().cloned()).collect();
    check.found(tokens.rows.len() + tokens.strange.len(), wrong)
}

fn understood(check: Check, read: Read<()>) -> Check {
    check.found(read.rows.len() + read.strange.len(), read.strange)
}

async fn tokens(copy: &mut DatabaseCopy) -> Result<Check, Fault> {
    let (mut looked_at, mut found) = (0, Vec::new());
    copy.each_cell(|cell| {
        if !is_published(cell) {
            looked_at += 1;
            if holds_token(cell.value) {
                found.push(format!("{}.{} holds a word like a token", cell.table, cell.column));
            }
        }
    })
    .await?;
    Ok(Check::new(
        "token-forms",
        "words that look like tokens of links or sessions",
        "every text and blob but hashes and published keys",
    )
    .found(looked_at, found))
}

/// Values as long as a token that are public, or judged by a check of their own.
fn is_published(cell: &Cell<'_>) -> bool {
    match (cell.table, cell.column) {
        ("accounts", "password_hash" | "closed_hash")
        | ("signing_keys", "kid" | "public_jwk" | "sealed")
        | ("_sqlx_migrations", "checksum") => true,
        // The kid: the thumbprint of a public key.
        ("events", "detail") => cell.event == Some("key.rotated"),
        _ => false,
    }
}

async fn own_secrets(
    own: Option<&Config>,
    archive: &Archive,
    unpacked: &Path,
    raw: &File,
    key: Option<&SealingKey>,
) -> Result<Check, BackupProblem> {
    let check = Check::new(
        "own-secrets",
        "this machine's pepper, sealing key, mail password and signing keys: raw, hexadecimal, base64",
        "every byte of the database, and the manifest",
    );
    let Some(config) = own else {
        return Ok(check.skipped("no configuration is at hand that names this machine's secrets; add --config"));
    };
    let mut known = match files(config) {
        Ok(known) => known,
        Err(fault) => {
            return Ok(check.skipped(&format!(
                "this machine's secrets cannot be read here: {}",
                fault.chain()
            )));
        }
    };
    if let Some(key) = key {
        let mut copy = DatabaseCopy::open(unpacked).await?;
        for record in copy.signing_keys().await?.rows {
            if let Ok(private) = seal::open(key, &record.kid, &record.sealed) {
                known.push(KnownSecret::of_bytes(&format!("signing key {}", record.kid), &private));
            }
        }
        copy.close().await;
    }
    let short = known.iter().filter(|secret| secret.spellings().next().is_none());
    let short: Vec<_> = short
        .map(|secret| format!("{} is too short to be looked for", secret.name))
        .collect();
    let failed = |error| could_not("could not search the backup", error);
    let mut found = scan::known_secrets(raw, &known).map_err(failed)?;
    let manifest = serde_json::to_vec(&archive.manifest).unwrap_or_default();
    for secret in &known {
        if secret
            .spellings()
            .any(|spelling| manifest.windows(spelling.len()).any(|part| part == spelling))
        {
            found.push(format!("{} (in the manifest)", secret.name));
        }
    }
    if known.is_empty() {
        return Ok(check.skipped("there are no secrets on this machine"));
    }
    let found = found.into_iter().map(|name| format!("{name} is in it"));
    let mut check = check.found(known.len(), found);
    check.notes.extend(short);
    Ok(check)
}

/// The secrets in the files that the configuration names.
fn files(config: &Config) -> Result<Vec<KnownSecret>, Fault> {
    let directory = &config.secrets.directory;
    let mut files = Vec::new();
    match std::fs::read_dir(directory) {
        Ok(entries) => files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            let what = format!("could not read the directory {}", directory.display());
            return Err(Fault::unavailable(what, error));
        }
    }
    files.extend(config.mail.password_file.clone());
    files.retain(|file| file.is_file());
    files.sort();
    files.dedup();
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files
        .iter()
        .map(|file| KnownSecret::of_file(&name(file), file))
        .collect()
}
