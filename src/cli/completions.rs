//! `sekisho completions` and `sekisho man`: what other programs want to know about this one's commands.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::Output;

/// Prints a completion script.
pub fn completions(mut command: clap::Command, shell: Shell, output: &mut Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "sekisho", &mut script);
    output.text(&String::from_utf8(script)?)
}

/// Writes a manual page for each command into a directory.
pub fn man(command: clap::Command, directory: &Path, output: &mut Output) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("could not make the directory {}", directory.display()))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let pages = write_pages(&command, directory)?;
    output.line(format_args!(
        "{pages} manual pages written to {dir}. Read one: man -l {dir}/sekisho.1",
        dir = directory.display()
    ))
}

fn write_pages(command: &clap::Command, directory: &Path) -> anyhow::Result<usize> {
    let version = concat!("sekisho ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).source(version).manual("Sekisho");
    page.generate_to(directory)
        .with_context(|| format!("could not write {} into {}", page.get_filename(), directory.display()))?;
    let mut pages = 1;
    for subcommand in command.get_subcommands() {
        pages += write_pages(subcommand, directory)?;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::output::tests::Sheet;
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        let home = tempfile::tempdir().unwrap();
        let sheet = Sheet::default();
        man(super::super::Cli::command(), home.path(), &mut sheet.output()).unwrap();
        for page in [
            "sekisho.1",
            "sekisho-serve.1",
            "sekisho-account.1",
            "sekisho-account-add.1",
            "sekisho-key-rotate.1",
        ] {
            assert!(home.path().join(page).is_file(), "{page}");
        }
        let page = fs::read_to_string(home.path().join("sekisho-account-add.1")).unwrap();
        assert!(page.contains("Welcome"), "{page}");
    }

    #[test]
    fn every_shell_gets_its_completions() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let sheet = Sheet::default();
            completions(super::super::Cli::command(), shell, &mut sheet.output()).unwrap();
            assert!(sheet.text().contains("healthcheck"), "{shell}");
        }
    }
}
