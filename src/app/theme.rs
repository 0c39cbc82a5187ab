//! A theme directory: read once at start, refused as a whole when anything in it does not work.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::config::Config;
use crate::domain::fault::Fault;
use crate::mail::letters::{LetterPress, Templates};
use crate::web::{Theme, check_theme as check_pages};

/// The largest file of a theme, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// What a theme directory holds.
#[derive(Default)]
pub(super) struct ThemeFiles {
    /// For pages.
    pub pages: Theme,
    /// For letters.
    pub letters: Templates,
}

impl ThemeFiles {
    /// Reads the theme of the configuration; nothing where there is none.
    ///
    /// # Errors
    /// The first file that has no place in a theme or cannot be read.
    pub(super) fn of(config: &Config) -> Result<Self, Fault> {
        let (files, problems) = read(config);
        match problems.into_iter().next() {
            Some(problem) => Err(refusal(problem)),
            None => Ok(files),
        }
    }
}

/// Why a gateway does not start with this theme.
pub(super) fn refusal(problem: String) -> Fault {
    Fault::corrupt(
        "the theme cannot be used; everything that is wrong with it: sekisho config check",
        problem,
    )
}

/// Our own files, to start a theme from: the path below the theme's directory, and the bytes.
pub fn built_in_theme() -> Vec<(String, Vec<u8>)> {
    let letters = LetterPress::built_in()
        .into_iter()
        .map(|(name, text)| (format!("letters/{name}"), text.as_bytes().to_vec()));
    Theme::built_in().into_iter().chain(letters).collect()
}

/// Everything that is wrong with the theme of the configuration, a line each.
pub fn check_theme(config: &Config) -> Vec<String> {
    let (files, mut problems) = read(config);
    if config.branding.theme.is_none() {
        return problems;
    }
    match super::charter::settings(config, files.pages, |_| [0; 32]) {
        Ok(settings) => problems.extend(check_pages(&settings).iter().map(ToString::to_string)),
        Err(fault) => problems.push(fault.chain()),
    }
    match press(config, &files.letters) {
        Ok(press) => problems.extend(press.problems()),
        Err(fault) => problems.push(fault.chain()),
    }
    problems
}

/// Writes letters as the configuration and its theme have them.
pub(super) fn press(config: &Config, letters: &Templates) -> Result<LetterPress, Fault> {
    let press = LetterPress::new(
        &config.branding,
        config.doors.clone(),
        &config.routes,
        TimeZone::system(),
        letters,
    )?;
    let sites = config.sites.iter().map(|site| (site.name.clone(), site.doors.clone()));
    Ok(press.with_sites(sites.collect()))
}

/// What could be read, and what is wrong with the rest.
fn read(config: &Config) -> (ThemeFiles, Vec<String>) {
    let mut files = ThemeFiles::default();
    let mut problems = Vec::new();
    let Some(root) = &config.branding.theme else {
        return (files, problems);
    };
    match paths(root) {
        Ok(paths) => {
            for path in paths {
                if let Err(problem) = take(&mut files, root, &path) {
                    problems.push(format!("branding.theme: {problem}"));
                }
            }
        }
        Err(error) => problems.push(format!("branding.theme: {} cannot be read: {error}", root.display())),
    }
    (files, problems)
}

/// Every file, two levels deep at most. Hidden ones belong to editors and version control.
fn paths(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if hidden(&path) {
            continue;
        }
        // A link to a directory stays one entry, and is refused like any other link.
        if fs::symlink_metadata(&path)?.is_dir() {
            for inner in fs::read_dir(&path)? {
                found.push(inner?.path());
            }
        } else {
            found.push(path);
        }
    }
    found.retain(|path| !hidden(path));
    found.sort();
    Ok(found)
}

fn hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn take(files: &mut ThemeFiles, root: &Path, path: &Path) -> Result<(), String> {
    refuse_links(path)?;
    let below = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let (directory, name) = below.split_once('/').unwrap_or(("", &below));
    let is_letter = directory == "letters" && LetterPress::built_in().iter().any(|(known, _)| *known == name);
    if !is_letter && !Theme::has_place_for(&below) {
        return Err(format!(
            "{} has no place in a theme, and would never be used; the files there may be: sekisho config theme --help",
            path.display()
        ));
    }
    let bytes = bytes(path)?;
    if directory == "assets" {
        files.pages.assets.insert(name.to_owned(), bytes.into());
        return Ok(());
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
    let place: &mut BTreeMap<String, String> = match directory {
        "pages" => &mut files.pages.pages,
        "text" => &mut files.pages.text,
        _ => &mut files.letters,
    };
    place.insert(name.to_owned(), text);
    Ok(())
}

/// What is in a theme is shown to strangers: a link could publish any file that the gateway may read, its secrets too.
fn refuse_links(path: &Path) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.is_symlink() {
        return Err(format!(
            "{} is a symbolic link; a theme is made of files of its own: put a copy in its place",
            path.display()
        ));
    }
    Ok(())
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let unfit = || format!("{} is not a file of at most 1 MiB", path.display());
    // A pipe or a device would be opened for ever.
    if !fs::symlink_metadata(path).map_err(failed)?.is_file() {
        return Err(unfit());
    }
    let no_links = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(no_links.cast_signed())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(unfit());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unfit());
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with a theme of these files.
    fn themed(files: &[(&str, &str)]) -> (tempfile::TempDir, Config) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut config = Config::default();
        config.branding.theme = Some(directory.path().to_owned());
        (directory, config)
    }

    /// The only problem there is.
    fn complaint(files: &[(&str, &str)]) -> String {
        let (_directory, config) = themed(files);
        let mut problems = check_theme(&config);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.remove(0)
    }

    #[test]
    fn our_own_files_make_a_sound_theme() {
        let files = built_in_theme();
        assert!(files.len() > 40, "{}", files.len());
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, bytes)| (path.as_str(), std::str::from_utf8(bytes).unwrap()))
            .collect();
        let (_directory, config) = themed(&files);
        assert_eq!(check_theme(&config), [""; 0]);
        assert_eq!(check_theme(&Config::default()), [""; 0]);
    }

    #[test]
    fn a_file_without_a_place_is_refused_and_a_hidden_one_is_passed_over() {
        for path in [
            "pages/Login.html",
            "login.html",
            "letters/login.html",
            "fonts/a.woff2",
            "assets/theme.css",
        ] {
            let problem = complaint(&[(path, "x"), (".git/config", "x"), ("pages/.login.html.swp", "x")]);
            assert!(
                problem.starts_with("branding.theme: ") && problem.contains(path),
                "{problem}"
            );
        }
        let mut config = Config::default();
        config.branding.theme = Some("/nowhere/theme".into());
        assert!(check_theme(&config)[0].contains("/nowhere/theme cannot be read"));
    }

    #[test]
    fn a_symbolic_link_publishes_nothing() {
        let secrets = tempfile::tempdir().unwrap();
        fs::write(secrets.path().join("pepper"), "hush").unwrap();
        fs::write(secrets.path().join("extra.css"), "hush").unwrap();
        let (directory, config) = themed(&[("pages/.keep", "")]);
        let assets = directory.path().join("assets");
        std::os::unix::fs::symlink(secrets.path(), &assets).unwrap();
        let told = format!("branding.theme: {} is a symbolic link", assets.display());
        assert!(check_theme(&config)[0].starts_with(&told), "{:?}", check_theme(&config));
        assert!(ThemeFiles::of(&config).is_err());
        fs::remove_file(&assets).unwrap();
        fs::create_dir(&assets).unwrap();
        let style = assets.join("extra.css");
        std::os::unix::fs::symlink(secrets.path().join("pepper"), &style).unwrap();
        let told = format!("branding.theme: {} is a symbolic link", style.display());
        assert!(check_theme(&config)[0].starts_with(&told), "{:?}", check_theme(&config));
        assert!(ThemeFiles::of(&config).is_err());
    }

    #[test]
    fn a_file_of_a_theme_is_a_regular_one_of_bounded_size() {
        let problem = complaint(&[("assets/extra.css", &"x".repeat(1 + (1 << 20)))]);
        assert!(problem.contains("is not a file of at most 1 MiB"), "{problem}");
        let problem = complaint(&[("assets/extra.css/x", "")]);
        assert!(
            problem.contains("has no place in a theme") || problem.contains("is not a file"),
            "{problem}"
        );
    }

    #[test]
    fn a_page_that_cannot_be_shown_is_named_with_its_line_and_what_it_asks_for() {
        let login = built_in_theme()
            .into_iter()
            .find(|(path, _)| path == "pages/login.html")
            .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
            .unwrap();
        let problem = complaint(&[("pages/login.html", &login.replace("{{ typed }}", "{{ tpyed }}"))]);
        assert!(
            problem.contains("pages/login.html: line 15: there is no tpyed here"),
            "{problem}"
        );
        assert!(problem.contains("typed"), "{problem}");
        let problem = complaint(&[("pages/login.html", &login.replace("brand.name", "brand.nmae"))]);
        assert!(problem.contains("there is no brand.nmae here"), "{problem}");
        let problem = complaint(&[("pages/login.html", "{% if %}")]);
        assert!(problem.contains("pages/login.html: syntax error"), "{problem}");
        let tokenless = login.replace("name=\"token\"", "name=\"t\"");
        let problem = complaint(&[("pages/login.html", &tokenless)]);
        assert!(problem.contains("its form has no field \"token\""), "{problem}");
    }

    #[test]
    fn a_page_that_would_leak_passwords_or_never_ends_is_refused() {
        let login = built_in_theme()
            .into_iter()
            .find(|(path, _)| path == "pages/login.html")
            .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
            .unwrap();
        let problem = complaint(&[("pages/login.html", &login.replace("method=\"post\"", "method=\"get\""))]);
        assert!(
            problem.contains("pages/login.html: a form without method=\"post\""),
            "{problem}"
        );
        let elsewhere = login.replace("{{ routes.login }}", "https://evil.example/");
        let problem = complaint(&[("pages/login.html", &elsewhere)]);
        assert!(problem.contains("would send what people type elsewhere"), "{problem}");
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let problem = complaint(&[("letters/password_changed.en.txt", &format!("Subject: a\n\n{endless}"))]);
        assert!(problem.contains("letters/password_changed.en.txt: line 3"), "{problem}");
        let (_directory, config) = themed(&[("pages/login.html", &format!("{login}{endless}"))]);
        let problems = check_theme(&config);
        assert!(problems.iter().any(|problem| problem.contains("fuel")), "{problems:?}");
    }

    #[test]
    fn messages_may_be_few_but_must_be_ours() {
        let (_directory, config) = themed(&[("text/en.ftl", "login-title = Come in\n")]);
        assert_eq!(check_theme(&config), [""; 0]);
        let problem = complaint(&[("text/en.ftl", "login-titel = Come in\n")]);
        assert!(
            problem.contains("text/en.ftl: there is no message login-titel"),
            "{problem}"
        );
        let problem = complaint(&[("text/ja.ftl", "login-title = { $brand }\n")]);
        assert!(
            problem.contains("text/ja.ftl: login-title has no variable brand"),
            "{problem}"
        );
        let problem = complaint(&[("text/en.ftl", "login-title = { $\n")]);
        assert!(problem.contains("text/en.ftl: "), "{problem}");
    }

    #[test]
    fn a_letter_that_breaks_for_disabled_accounts_alone_is_found() {
        for condition in ["disabled", "disabled and current", "disabled and not current"] {
            let text = format!("Subject: Hello\n\n{{% if {condition} %}}{{{{ nobody }}}}{{% endif %}}\n");
            let problem = complaint(&[("letters/email_changed.en.txt", &text)]);
            assert!(problem.contains("there is no nobody here"), "{condition}: {problem}");
        }
    }

    #[test]
    fn a_letter_keeps_its_subject_and_its_links() {
        let text = "Subject: Hello\n\n{{ in_office }}\n{{ out_of_office }}\n";
        let (_directory, config) = themed(&[("letters/welcome.en.txt", text)]);
        assert_eq!(check_theme(&config), [""; 0]);
        let problem = complaint(&[("letters/welcome.en.txt", "Subject: Hello\n\n{{ in_office }}\n")]);
        assert!(
            problem.contains("letters/welcome.en.txt: it does not show out_of_office"),
            "{problem}"
        );
        let problem = complaint(&[("letters/reset.ja.txt", &text[15..])]);
        assert!(
            problem.contains("letters/reset.ja.txt: the first line must be `Subject: "),
            "{problem}"
        );
        let problem = complaint(&[("letters/reset.ja.txt", &text.replace("Hello", "{{ whom }}"))]);
        assert!(
            problem.contains("letters/reset.ja.txt: line 1: there is no whom here"),
            "{problem}"
        );
    }
}
