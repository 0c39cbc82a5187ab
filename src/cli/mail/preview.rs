//! `sekisho mail preview`: a letter to look at, in the terminal or in a browser.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::app;
use crate::domain::language::Language;

use super::super::open;
use super::super::output::{Output, aside, plain};

#[derive(Args)]
pub struct Preview {
    /// Which letter
    #[arg(long, value_parser = PossibleValuesParser::new(app::KINDS))]
    kind: String,
    /// In which language [default: branding.language of the configuration]
    #[arg(long, value_parser = PossibleValuesParser::new(["ja", "en"]).try_map(|tag| tag.parse::<Language>()))]
    lang: Option<Language>,
    /// Write the HTML part to a file and open it in a browser
    #[arg(long, conflicts_with_all = ["html", "text"])]
    open: bool,
    /// Print the HTML part
    #[arg(long, conflicts_with = "text")]
    html: bool,
    /// Print subject and text part; so without --open and --html as well
    #[arg(long)]
    text: bool,
}

impl Preview {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        let language = self.lang.unwrap_or(config.branding.language);
        let letter = app::preview(&config, &self.kind, language)?;
        if self.html {
            return output.text(&letter.html);
        }
        if self.open {
            let file = write(&format!("{}.{language}.html", self.kind), &letter.html)?;
            output.line(format!("Written to {}", plain(&file.display().to_string())))?;
            return show(&file);
        }
        output.line(format!("Subject: {}\n", plain(&letter.subject)))?;
        output.text(&letter.text)
    }
}

/// Into a fresh directory of our own: a name that others can guess could lead elsewhere.
fn write(name: &str, html: &str) -> anyhow::Result<PathBuf> {
    let all = std::env::temp_dir();
    let mut number = 0_u32;
    let directory = loop {
        let directory = all.join(format!("sekisho-preview-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => break directory,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            Err(error) => return Err(error).context(format!("{} cannot be made", directory.display())),
        }
    };
    let file = directory.join(name);
    fs::write(&file, html).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

fn show(file: &Path) -> anyhow::Result<()> {
    let opened = Command::new("xdg-open")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("xdg-open could not open it ({status}); open the file yourself"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            aside("There is no xdg-open on this machine; open the file yourself.");
            Ok(())
        }
        Err(error) => Err(anyhow!("xdg-open could not be run: {error}; open the file yourself")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_preview_lies_in_a_directory_of_its_own() {
        let (one, other) = (write("a.html", "1").unwrap(), write("a.html", "2").unwrap());
        assert_ne!(one, other);
        let directory = one.parent().unwrap();
        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        for file in [one, other] {
            fs::remove_dir_all(file.parent().unwrap()).unwrap();
        }
    }
}
