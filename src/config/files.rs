//! What must hold of the machine for a configuration to work: files that exist, can be read and are
//! nobody else's to read.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::limits_file::LimitsFile;
use super::{Config, Listen, Problem};

/// No file the configuration names is anywhere near this large; a device would never end.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Permission bits of everybody who is neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// [`OTHERS`], and writing by the group.
const OTHERS_AND_GROUP_WRITE: u32 = 0o027;

impl Config {
    /// Checks the files and directories that the configuration names, as the user who runs this.
    pub fn check_files(&self) -> Vec<Problem> {
        let mut problems = self.check_files_to_start();
        // A candidate that is not there is none.
        let candidate = self.limits.candidate.iter().filter(|path| path.exists());
        problems.extend(candidate.flat_map(|path| wrong_in(path)));
        problems
    }

    /// The same without the candidate policy of the limits, which stops nobody and no start.
    pub fn check_files_to_start(&self) -> Vec<Problem> {
        let mut problems = self.check_files_but_policies();
        problems.extend(self.limits.policy.iter().flat_map(|path| wrong_in(path)));
        problems
    }

    /// The same without the policies of the limits, which are read anew by themselves.
    pub fn check_files_but_policies(&self) -> Vec<Problem> {
        let mut checks = Checks::default();
        checks.certificates("server.tls_certificate", &self.server.tls_certificate);
        checks.private_key("server.tls_key", &self.server.tls_key);
        if let Some(path) = &self.server.client_ca_file {
            checks.certificates("server.client_ca_file", path);
        }
        for more in &self.server.more_certificates {
            checks.certificates("server.more_certificates", &more.certificate);
            checks.private_key("server.more_certificates", &more.key);
        }
        for site in self.all_sites() {
            if let Some(path) = &site.upstream.ca_file {
                checks.certificates(&site.key("upstream.ca_file"), path);
            }
            if let Some(path) = &site.upstream.client_certificate {
                checks.certificates(&site.key("upstream.client_certificate"), path);
            }
            if let Some(path) = &site.upstream.client_key {
                checks.private_key(&site.key("upstream.client_key"), path);
            }
        }
        if let Some(path) = &self.mail.ca_file {
            checks.certificates("mail.ca_file", path);
        }
        if let Some(path) = &self.mail.password_file {
            checks.password("mail.password_file", path);
        }
        for place in &self.server.listen {
            if let Listen::Unix(socket) = place {
                checks.place_of_socket("server.listen", socket);
            }
        }
        checks.directory("store.directory", &self.store.directory);
        checks.directory("secrets.directory", &self.secrets.directory);
        checks.secrets(&self.secrets.directory, &self.store.directory);
        for path in &self.passwords.blocklist {
            checks.openable("passwords.blocklist", path);
        }
        if let Some(path) = &self.branding.logo {
            checks.readable("branding.logo", path);
        }
        checks.problems
    }

    /// What of these files weakens the gateway although it is allowed. Looks at the disk, as the checks do.
    pub fn warnings_of_files(&self) -> Vec<Problem> {
        let policies = [
            ("limits.policy", &self.limits.policy),
            ("limits.candidate", &self.limits.candidate),
        ];
        let exposed =
            |(key, path): (&str, &Option<PathBuf>)| Some(Problem::of_key(key, open_to_writers(path.as_ref()?)?));
        policies.into_iter().filter_map(exposed).collect()
    }

    /// The files and directories whose content a reload takes up, besides the configuration itself. The certificate and
    /// the secrets are not among them.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.passwords.blocklist.clone();
        let (mail, branding) = (&self.mail, &self.branding);
        for site in self.all_sites() {
            files.extend(site.upstream.files().cloned());
        }
        files.extend(
            [&mail.ca_file, &mail.password_file, &branding.logo, &branding.theme]
                .into_iter()
                .flatten()
                .cloned(),
        );
        files
    }
}

fn wrong_in(policy: &Path) -> Vec<Problem> {
    LimitsFile::load(policy).err().unwrap_or_default()
}

#[derive(Default)]
struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    fn report(&mut self, key: &str, message: String) {
        self.problems.push(Problem::of_key(key, message));
    }

    fn readable(&mut self, key: &str, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        read(path).map_err(|why| self.report(key, why)).ok()
    }

    /// A file of any size that can be read; what is in it shows when it is used.
    fn openable(&mut self, key: &str, path: &Path) {
        if let Err(error) = open(path) {
            self.report(key, unreachable(path, &error));
        }
    }

    /// A file that is no business of others.
    fn private(&mut self, key: &str, path: &Path, forbidden: u32) -> Option<Zeroizing<Vec<u8>>> {
        let content = self.readable(key, path)?;
        if let Ok(metadata) = fs::metadata(path)
            && let Some(why) = exposed(path, &metadata, forbidden)
        {
            self.report(key, why);
        }
        Some(content)
    }

    fn certificates(&mut self, key: &str, path: &Path) {
        let Some(content) = self.readable(key, path) else {
            return;
        };
        let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&content).collect();
        match all {
            Ok(certificates) if !certificates.is_empty() => {}
            Ok(_) => self.report(
                key,
                format!(
                    "{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
                    path.display()
                ),
            ),
            Err(error) => self.report(key, format!("{} is not PEM: {error}", path.display())),
        }
    }

    fn private_key(&mut self, key: &str, path: &Path) {
        if let Some(content) = self.private(key, path, OTHERS)
            && PrivateKeyDer::from_pem_slice(&content).is_err()
        {
            let message = format!(
                "{} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
                path.display()
            );
            self.report(key, message);
        }
    }

    fn password(&mut self, key: &str, path: &Path) {
        if let Some(content) = self.private(key, path, OTHERS_AND_GROUP_WRITE)
            && content.trim_ascii().is_empty()
        {
            self.report(key, format!("{} is empty; write the password into it", path.display()));
        }
    }

    /// A directory that exists or can be made. Whether this user may write there shows when it is used.
    fn directory(&mut self, key: &str, path: &Path) {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        for ancestor in absolute.ancestors() {
            match fs::metadata(ancestor) {
                Ok(metadata) if !metadata.is_dir() => {
                    self.report(
                        key,
                        format!("{} is in the way: it is not a directory", ancestor.display()),
                    );
                    return;
                }
                Ok(metadata) if ancestor != absolute && metadata.permissions().mode() & 0o222 == 0 => {
                    let message = format!(
                        "{} is missing and cannot be made, since nobody may write to {}; make it and give it to the user \
                         the gateway runs as",
                        path.display(),
                        ancestor.display()
                    );
                    self.report(key, message);
                    return;
                }
                Ok(_) => return,
                // A file among the ancestors is reported when the walk reaches it.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => {
                    self.report(key, unreachable(ancestor, &error));
                    return;
                }
            }
        }
    }

    /// A directory for a Unix socket, which the gateway does not make. One directly in `/run` the service manager makes at
    /// the start (`RuntimeDirectory=`).
    fn place_of_socket(&mut self, key: &str, socket: &Path) {
        let Some(directory) = socket.parent() else { return };
        match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.parent() == Some(Path::new("/run")) => {}
            Ok(_) => self.report(key, format!("{} is not a directory", directory.display())),
            Err(error) => self.report(key, unreachable(directory, &error)),
        }
    }

    /// The files that are already among the secrets are private, and really apart from the store.
    fn secrets(&mut self, directory: &Path, store: &Path) {
        const KEY: &str = "secrets.directory";
        if let (Ok(secrets), Ok(store)) = (fs::canonicalize(directory), fs::canonicalize(store))
            && secrets.starts_with(&store)
        {
            let message = format!(
                "{} leads into store.directory; choose a directory elsewhere",
                directory.display()
            );
            self.report(KEY, message);
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return,
            Err(error) => return self.report(KEY, unreachable(directory, &error)),
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.sort();
        for path in paths {
            if let Ok(metadata) = fs::metadata(&path)
                && metadata.is_file()
                && let Some(why) = exposed(&path, &metadata, OTHERS)
            {
                self.report(KEY, why);
            }
        }
    }
}

/// Opens a file to read. A pipe would be waited for until somebody writes, and a device may never end: they are refused.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let is_none = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
    // What is no file is not even opened, unless it was put there in this moment.
    if !fs::metadata(path)?.is_file() {
        return Err(is_none());
    }
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(at_once).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(is_none())
    }
}

/// All of a file, or why it cannot be had.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let (file, metadata) = open(path).map_err(|error| unreachable(path, &error))?;
    if metadata.len() > MOST_BYTES {
        return Err(format!(
            "{} is larger than 4 MiB, so it is not what it should be",
            path.display()
        ));
    }
    // Room for all of it at once: growing would leave copies of a secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len()).unwrap_or_default() + 1,
    ));
    file.take(MOST_BYTES)
        .read_to_end(&mut content)
        .map_err(|error| unreachable(path, &error))?;
    Ok(content)
}

fn unreachable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{path} does not exist"),
        io::ErrorKind::InvalidInput => format!("{path} is not a file"),
        io::ErrorKind::PermissionDenied => {
            format!(
                "{path} may not be read; give the user the gateway runs as the right to read it and to enter its directories"
            )
        }
        _ => format!("{path} cannot be read: {error}"),
    }
}

/// Why the file is not private enough, and how to mend it.
fn exposed(path: &Path, metadata: &Metadata, forbidden: u32) -> Option<String> {
    let mode = metadata.permissions().mode() & 0o777;
    let open = match mode & forbidden {
        0 => return None,
        bits if bits & 0o004 != 0 => "can be read by everybody",
        bits if bits & 0o002 != 0 => "can be written by everybody",
        bits if bits & 0o020 != 0 => "can be written by its group",
        _ => "is open to everybody",
    };
    let path = path.display();
    Some(format!(
        "{path} {open} (mode {mode:04o}); run: chmod {:04o} {path}",
        mode & !forbidden & 0o640
    ))
}

/// That everybody on the machine may change this file, or put another one in its place, and how to mend it. `None` when they
/// may not, or when there is no such file.
pub(super) fn open_to_writers(path: &Path) -> Option<String> {
    const EVERYBODY_WRITES: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777);
    let own = mode(path)?;
    let (open, mode) = if own & EVERYBODY_WRITES != 0 {
        (path, own)
    } else {
        // In a sticky directory only the owner of a file replaces it.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        (
            parent,
            mode(parent).filter(|mode| mode & EVERYBODY_WRITES != 0 && mode & STICKY == 0)?,
        )
    };
    let (path, open) = (path.display(), open.display());
    Some(format!(
        "whoever has an account on this machine can change {path}, and so lift every limit: {open} can be written by \
         everybody (mode {mode:04o}); run: chmod o-w {open}"
    ))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::domain::site::SiteName;

    /// A machine on which everything the configuration names is as it should be.
    struct Machine {
        dir: TempDir,
        config: Config,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let mut config = Config::default();
            let machine = |name: &str, content: &str, mode: u32| {
                let path = dir.path().join(name);
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                path
            };
            let certificate = machine("cert.pem", &certified.cert.pem(), 0o644);
            config.server.tls_key = machine("key.pem", &certified.signing_key.serialize_pem(), 0o600);
            config.mail.password_file = Some(machine("password", "hunter2\n", 0o600));
            config.branding.logo = Some(machine("logo.svg", "<svg/>", 0o644));
            config.server.tls_certificate = certificate.clone();
            config.upstream.ca_file = Some(certificate.clone());
            config.upstream.client_certificate = Some(certificate.clone());
            config.upstream.client_key = Some(machine("client.key", &certified.signing_key.serialize_pem(), 0o600));
            config.mail.ca_file = Some(certificate);
            config.store.directory = dir.path().join("deep/down/store");
            config.secrets.directory = dir.path().join("secrets");
            Self { dir, config }
        }

        fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        /// The only problem there is, as a line.
        fn complaint(&self) -> String {
            let problems = self.config.check_files();
            assert_eq!(problems.len(), 1, "{problems:?}");
            let line = problems[0].to_string();
            assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
            line
        }
    }

    #[test]
    fn a_machine_on_which_all_is_well_has_no_problems() {
        assert_eq!(Machine::new().config.check_files(), []);
    }

    #[test]
    fn a_private_key_that_others_can_read_is_reported_with_its_remedy() {
        let machine = Machine::new();
        let key = &machine.config.server.tls_key;
        fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
        let expected = format!(
            "server.tls_key: {0} can be read by everybody (mode 0644); run: chmod 0640 {0}",
            key.display()
        );
        assert_eq!(machine.complaint(), expected);
        fs::set_permissions(key, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(machine.config.check_files(), [], "a group may read it");
    }

    #[test]
    fn a_policy_that_everybody_may_change_is_warned_of_with_its_remedy() {
        let mut machine = Machine::new();
        let (policy, candidate) = ("limits/policy.toml", "limits/candidate.toml");
        let [policy, candidate] = [policy, candidate].map(|name| machine.write(name, "preset = \"standard\"\n", 0o644));
        machine.config.limits.policy = Some(policy.clone());
        machine.config.limits.candidate = Some(candidate.clone());
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let warned = |machine: &Machine| -> Vec<String> {
            let warnings = machine.config.warnings_of_files();
            warnings.iter().map(Problem::to_string).collect()
        };
        assert_eq!(warned(&machine), [""; 0]);
        allow(&policy, 0o664);
        assert_eq!(warned(&machine), [""; 0], "a group may write it");
        allow(&policy, 0o666);
        let told = warned(&machine);
        assert_eq!(told.len(), 1, "{told:?}");
        let remedy = format!(
            "can be written by everybody (mode 0666); run: chmod o-w {}",
            policy.display()
        );
        assert!(
            told[0].starts_with("limits.policy: ") && told[0].ends_with(&remedy),
            "{told:?}"
        );
        assert_eq!(machine.config.check_files(), [], "it is used all the same");
        // Whoever may write to the directory puts another file there.
        allow(&policy, 0o644);
        let directory = policy.parent().unwrap();
        allow(directory, 0o777);
        let told = warned(&machine);
        let remedy = format!("chmod o-w {}", directory.display());
        assert!(
            told.len() == 2 && told.iter().all(|told| told.ends_with(&remedy)),
            "{told:?}"
        );
        allow(directory, 0o1777);
        assert_eq!(warned(&machine), [""; 0]);
    }

    #[test]
    fn the_key_shown_to_the_upstream_of_any_site_is_private_too() {
        let mut machine = Machine::new();
        let key = machine.config.upstream.client_key.clone().unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(machine.complaint().starts_with("upstream.client_key: "));

        let mut further = machine.config.all_sites().remove(0);
        further.name = SiteName::parse("crm").unwrap();
        machine.config.sites.push(further);
        machine.config.upstream.client_key = None;
        assert!(machine.complaint().starts_with("sites.crm.upstream.client_key: "));
    }

    #[test]
    fn a_password_file_is_neither_readable_by_all_nor_writable_by_the_group() {
        let mut machine = Machine::new();
        for (mode, reason) in [
            (0o604, "read by everybody"),
            (0o660, "written by its group"),
            (0o602, "written by everybody"),
        ] {
            machine.config.mail.password_file = Some(machine.write("password", "hunter2", mode));
            assert!(machine.complaint().contains(reason), "{mode:o}");
        }
        machine.config.mail.password_file = Some(machine.write("password", " \n", 0o600));
        assert!(machine.complaint().contains("is empty"));
    }

    #[test]
    fn a_missing_file_and_one_that_is_not_what_it_should_be_are_named() {
        let mut machine = Machine::new();
        let missing = machine.dir.path().join("nowhere/cert.pem");
        machine.config.server.tls_certificate = missing.clone();
        let line = machine.complaint();
        assert_eq!(
            line,
            format!("server.tls_certificate: {} does not exist", missing.display())
        );

        let mut machine = Machine::new();
        machine.config.server.tls_certificate = machine.config.server.tls_key.clone();
        assert!(machine.complaint().contains("holds no certificate"));

        let mut machine = Machine::new();
        machine.config.server.tls_key = machine.write("noise", "-----BEGIN", 0o600);
        assert!(machine.complaint().contains("holds no private key"));

        let mut machine = Machine::new();
        let torn = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        machine.config.mail.ca_file = Some(machine.write("torn.pem", torn, 0o644));
        assert!(machine.complaint().starts_with("mail.ca_file: "));

        let mut machine = Machine::new();
        machine.config.branding.logo = Some("/dev/zero".into());
        assert!(machine.complaint().contains("is not a file"));
    }

    #[test]
    fn a_pipe_is_waited_for_by_nobody() {
        let mut machine = Machine::new();
        let pipe = machine.dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let told = format!("{} is not a file", pipe.display());
        machine.config.passwords.blocklist.push(pipe.clone());
        assert!(machine.complaint().ends_with(&told));
        machine.config.passwords.blocklist.clear();
        machine.config.mail.password_file = Some(pipe.clone());
        assert!(machine.complaint().ends_with(&told));
        let problems = Config::load(&pipe).unwrap_err().0;
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0]
                .to_string()
                .ends_with("pipe: it cannot be read: it is not a file")
        );
    }

    #[test]
    fn a_socket_has_a_directory_to_be_in() {
        let mut machine = Machine::new();
        let mut complaint = |socket: PathBuf| {
            machine.config.server.listen = vec![Listen::Unix(socket)];
            machine
                .config
                .check_files()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let home = tempfile::tempdir().unwrap();
        assert_eq!(complaint(home.path().join("web.sock")), [""; 0]);
        let missing = home.path().join("run/web.sock");
        let told = format!("server.listen: {}/run does not exist", home.path().display());
        assert_eq!(complaint(missing), [told]);
        assert_eq!(complaint("/run/made-at-the-start/web.sock".into()), [""; 0]);
        fs::write(home.path().join("run"), "").unwrap();
        assert!(complaint(home.path().join("run/web.sock"))[0].ends_with("is not a directory"));
    }

    #[test]
    fn a_store_that_cannot_be_made_is_reported() {
        let mut machine = Machine::new();
        machine.config.store.directory = machine.write("a-file", "", 0o600).join("store");
        assert!(machine.complaint().contains("a-file is in the way"));

        let mut machine = Machine::new();
        let closed = machine.dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        machine.config.store.directory = closed.join("store");
        assert!(machine.complaint().contains("cannot be made"));
    }

    #[test]
    fn secrets_that_exist_are_private_and_apart_from_the_store() {
        let machine = Machine::new();
        machine.write("secrets/pepper", "p", 0o600);
        assert_eq!(machine.config.check_files(), []);
        let sealing = machine.write("secrets/sealing.key", "k", 0o604);
        let expected = format!(
            "secrets.directory: {0} can be read by everybody (mode 0604); run: chmod 0600 {0}",
            sealing.display()
        );
        assert_eq!(machine.complaint(), expected);

        let mut machine = Machine::new();
        fs::create_dir_all(machine.config.store.directory.join("inner")).unwrap();
        let link = machine.dir.path().join("link");
        std::os::unix::fs::symlink(machine.config.store.directory.join("inner"), &link).unwrap();
        machine.config.secrets.directory = link;
        assert!(machine.complaint().contains("leads into store.directory"));
    }
}
