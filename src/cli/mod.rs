//! The command line: what an operator types becomes one of the commands below, and what came of it an exit code.
//!
//! 0 is done, 1 is an error (one line on standard error), 2 is a command that cannot be understood, 3 that a look-over
//! found something. `mail bounce` answers its mail server in the codes of sysexits; `upstream verify` answers 1 for what
//! it found and 2 for nothing proved. No command sets, shows or takes a password.

mod account;
mod backup;
mod completions;
mod config;
mod demo;
mod event;
mod explain;
mod hash;
mod healthcheck;
mod key;
mod limits;
mod link;
mod mail;
mod open;
mod output;
mod passwords;
mod pepper;
mod progress;
mod reload;
mod runtime;
mod serve;
mod session;
mod table;
mod token;
mod upgrade;
mod upstream;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use output::{Output, ReaderGone};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Sekisho (関所): signs people in, in front of a web client
///
/// An authentication gateway: it owns sign-in, sessions and the letters with links, and hands each request of
/// somebody signed in to the web client behind it with a signed statement of who that is.
#[derive(Parser)]
#[command(name = "sekisho", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "Examples:\n  \
    sekisho demo\n  \
    sekisho serve --config /etc/sekisho/sekisho.toml\n  \
    sekisho account add 100 --name \"Sam Taylor\" --email sam@example.com --role admin\n  \
    sekisho account add --help")]
struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SEKISHO_CONFIG",
        hide_env_values = true,
        default_value = "/etc/sekisho/sekisho.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway in the foreground
    #[command(
        after_help = "Prints a line `listening on ADDRESS` for each address and then `ready`; logs to standard error. \
        SIGTERM and SIGINT stop it in order: open requests are finished first. A second signal ends it at once."
    )]
    Serve(serve::Serve),
    /// Let a new version of this program take the place of the running gateway, without an interruption
    #[command(
        after_help = "Install the new program where the running gateway was started from, then run this. The new process \
        is handed the sockets, the store and what the limits have counted. Once it is ready it serves, and the old one \
        takes no more connections: it finishes its requests, and calls and streams that are open in it live on there until \
        they end, at most for server.upgrade_timeout. If the new program dies, is not ready in time or refuses the \
        configuration, the old one serves on, and the exit code is 1. Keys that otherwise wait for a restart are taken up, \
        but for store.directory."
    )]
    Upgrade,
    /// Tell the running gateway to take up its configuration, or hear what is wrong with it
    #[command(
        after_help = "The configuration and every file it names are checked as a whole. Then it is in force for every \
        request that comes in from then on, and nobody is interrupted; or it is refused, with each error on a line, and the \
        gateway goes on as before. Prints each key that changed, and which of them wait for a restart. The exit code is 0 \
        when it is in force and 1 otherwise.\n\nThe gateway does the same by itself within seconds after one of these \
        files has changed, and on SIGHUP."
    )]
    Reload,
    /// Try it out on this machine: gateway, sample web client and mail catcher, with sample accounts
    #[command(arg = unused_config())]
    Demo(demo::Demo),
    /// Add people, list them, keep them out
    #[command(subcommand)]
    Account(account::Command),
    /// Say what would become of a request, by which rule, and what the web client would be told
    #[command(
        after_help = "Example:\n  sekisho explain --url https://phone.example.com/admin/users --as 101 --from 203.0.113.7"
    )]
    Explain(explain::Explain),
    /// Play attacker to the web client, and say what it wrongly lets in
    #[command(subcommand)]
    Upstream(upstream::Command),
    /// See who is signed in, and end sessions
    #[command(subcommand)]
    Session(session::Command),
    /// Let programs in: make tokens for them, see what uses them, take them back
    #[command(subcommand)]
    Token(token::Command),
    /// See what happened
    #[command(subcommand)]
    Event(event::Command),
    /// See what became of letters
    #[command(subcommand)]
    Mail(mail::Command),
    /// List and rotate the keys that sign assertions and the pepper of password hashes
    #[command(subcommand)]
    Key(key::Command),
    /// Find the hashing parameters that this machine bears
    #[command(subcommand)]
    Hash(hash::Command),
    /// Make lists of passwords that nobody may choose
    #[command(subcommand)]
    Passwords(passwords::Command),
    /// Tune how often may be tried, see who tries and what a policy comes to, and keep out who guesses
    #[command(subcommand)]
    Limits(limits::Command),
    /// See what became of the links in letters
    #[command(subcommand)]
    Link(link::Command),
    /// Back the store up, put a backup in its place, or prove that one tells no secret
    #[command(subcommand)]
    Backup(backup::Command),
    /// Check, show or begin a configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Ask the running gateway whether it is ready; exit code 0 when it is
    #[command(
        after_help = "Connects to the first address of server.listen under the name of the in-office door. Prints nothing \
        when all is well, otherwise one line that says why not."
    )]
    Healthcheck,
    /// Print a completion script for a shell
    #[command(arg = unused_config())]
    #[command(after_help = "Example:\n  sekisho completions bash > /usr/share/bash-completion/completions/sekisho")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(arg = unused_config())]
    #[command(after_help = "Example:\n  sekisho man /usr/local/share/man/man1")]
    Man {
        /// The directory; made where it is missing
        directory: PathBuf,
    },
}

/// `--config` in the place of the global one, for commands that read no configuration: their help does not offer it.
fn unused_config() -> clap::Arg {
    clap::Arg::new("config")
        .long("config")
        .value_name("PATH")
        .help("Not used by this command")
        .value_parser(clap::value_parser!(PathBuf))
        .hide(true)
}

/// Does what the arguments ask for.
pub fn run<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Nobody is left to tell when even this cannot be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::standard();
    let done = cli.execute(&mut output).and_then(|code| output.flush().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn parse<I, T>(args: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = Cli::command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    if matches!(cli.command, Command::Demo(_)) && names_a_config(&matches) {
        return Err(Cli::command().error(
            clap::error::ErrorKind::ArgumentConflict,
            "the demo has a configuration of its own, config/demo.toml; leave out --config",
        ));
    }
    Ok(cli)
}

/// Whether `--config` was typed, before or after the command. The environment variable is meant for other commands.
fn names_a_config(matches: &ArgMatches) -> bool {
    matches.value_source("config") == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, inner)| names_a_config(inner))
}

impl Cli {
    fn execute(&self, output: &mut Output) -> anyhow::Result<ExitCode> {
        let config = &self.config;
        match &self.command {
            Command::Serve(serve) => serve.run(config)?,
            Command::Upgrade => return upgrade::run(config, output),
            Command::Reload => return reload::run(config, output),
            Command::Demo(demo) => demo.run(output)?,
            Command::Account(command) => return command.run(config, output),
            Command::Session(command) => command.run(config, output)?,
            Command::Token(command) => command.run(config, output)?,
            Command::Event(command) => command.run(config, output)?,
            Command::Mail(command) => return command.run(config, output),
            Command::Limits(command) => return command.run(config, output),
            Command::Link(command) => command.run(config, output)?,
            Command::Key(command) => command.run(config, output)?,
            Command::Hash(command) => return command.run(output),
            Command::Passwords(command) => command.run(output)?,
            Command::Backup(command) => return command.run(config, output),
            Command::Config(command) => return command.run(config, output),
            Command::Explain(explain) => explain.run(config, output)?,
            Command::Upstream(command) => return command.run(config, output),
            Command::Healthcheck => healthcheck::run(config)?,
            Command::Completions { shell } => completions::completions(Self::command(), *shell, output)?,
            Command::Man { directory } => completions::man(Self::command(), directory, output)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &[&str]) -> String {
        let args = [&["sekisho"], args].concat();
        parse(&args).err().unwrap().to_string()
    }

    fn read(args: &[&str]) -> Cli {
        let args = [&["sekisho"], args].concat();
        parse(&args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    fn each_command(command: &clap::Command, visit: &mut impl FnMut(&clap::Command)) {
        visit(command);
        for inner in command.get_subcommands() {
            each_command(inner, visit);
        }
    }

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_takes_a_password() {
        let mut seen = 0;
        each_command(&Cli::command(), &mut |command| {
            for arg in command.get_arguments() {
                seen += 1;
                let mut names = vec![arg.get_id().as_str()];
                names.extend(arg.get_long());
                names.extend(
                    arg.get_value_names()
                        .unwrap_or_default()
                        .iter()
                        .map(clap::builder::Str::as_str),
                );
                for name in names {
                    let name = name.to_lowercase();
                    let secret = ["password", "passwd", "passphrase", "secret", "pepper"];
                    assert!(
                        !secret.iter().any(|word| name.contains(word)) || name.ends_with("file"),
                        "{}: {name}",
                        command.get_name()
                    );
                }
            }
        });
        assert!(seen > 20);
    }

    #[test]
    fn every_command_and_argument_is_explained() {
        each_command(&Cli::command(), &mut |command| {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                let known = matches!(arg.get_id().as_str(), "help" | "version");
                assert!(
                    known || arg.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
        });
    }

    #[test]
    fn the_configuration_may_be_named_before_or_after_the_command() {
        for args in [["--config", "/x", "serve"], ["serve", "--config", "/x"]] {
            assert_eq!(read(&args).config, PathBuf::from("/x"));
        }
        assert_eq!(read(&["account", "list", "--config", "/x"]).config, PathBuf::from("/x"));
    }

    #[test]
    fn commands_that_read_no_configuration_do_not_offer_one() {
        for (command, offered) in [("demo", false), ("man", false), ("completions", false), ("serve", true)] {
            let help = refused(&[command, "--help"]);
            assert_eq!(help.contains("--config"), offered, "{help}");
        }
        assert_eq!(read(&["--config", "/x", "man", "pages"]).config, PathBuf::from("/x"));
    }

    #[test]
    fn every_promised_form_is_understood() {
        for line in [
            "serve",
            "config check",
            "config show",
            "config schema",
            "limits check",
            "limits check limits.toml --lang ja --json",
            "limits diff",
            "limits diff strict --json",
            "limits promote --json",
            "limits revert",
            "limits example",
            "limits example relaxed",
            "healthcheck",
            "explain --url https://phone.example.com/admin --as 101 --from 203.0.113.7 --method POST --json",
            "explain --url https://phone.example.com/api/x --token reports",
            "upstream verify http://127.0.0.1:5000 --site wiki --path /me --accept-status 200 --marker x --remote-user 101 --elsewhere --json",
            "account add 101 --name Yuki",
            "account add 101 --name Yuki --email y@a.example --language ja --role admin --group a --group b --no-welcome --json",
            "reload",
            "upgrade",
            "limits replay",
            "limits replay --since 30d --until 1d --policy new.toml --active strict --json --report out.html --lang ja",
            "limits replay --from x.log --format nginx --map path=/a --map succeeded=200 --skip-refused --active relaxed",
            "limits sweep --rule sign-in.client+account --quota 3..50 --per 5m..1h --policy x --json --report out.html --lang ja",
            "limits suggest --since 90d --policy x --json",
            "limits simulate spray --against strict --accounts 5 --addresses 6 --pace 7 --seed 8 --json",
            "limits simulate stuffing",
            "limits simulate targeted",
            "limits simulate lockout",
            "account list --json",
            "account show 101 --json",
            "account import people.csv --map email=Mail --map role= --encoding cp932 --sync --allow-many --welcome --apply",
            "account import - --skip-refused --language ja --most 9 --json",
            "account export people.csv --no-bom",
            "account lint --json",
            "mail progress --wait --json",
            "account welcome 101",
            "account change 101 --name Yuki --email y@a.example --language ja --role admin --group a --group b --json",
            "account change 101 --no-email --no-group",
            "account disable 101",
            "account enable 101",
            "account remove 101 --yes",
            "session list --account 101 --json",
            "session end 0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01",
            "session end --account 101",
            "token add reports --scope /api/* --scope /x --expires 90d --group a --group b --json",
            "token list --json",
            "token show reports --json",
            "token revoke 0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01",
            "limits ban 203.0.113.0/24 --for 2h --reason guessing --author sam",
            "limits ban 0.0.0.0/0 --forever --danger-everybody --danger-own-addresses",
            "limits ban --account 101 --until 2027-01-31T18:00:00Z --end-sessions",
            "limits ban --device 0123456789abcdef0123456789abcdef --for 7d",
            "limits ban --pseudonym 0123456789abcdef0123456789abcdef --for 7d",
            "limits unban 203.0.113.7",
            "limits unban --account 101",
            "limits exempt 10.0.0.0/8 --for 8h --danger-everybody",
            "limits unexempt 10.0.0.0/8",
            "limits apply strict --for 2h --reason spray --author sam",
            "limits apply tonight.toml --until 2027-01-31T18:00:00Z",
            "limits apply --end",
            "limits list --json",
            "limits export --format nftables",
            "limits export --format fail2ban --jail web",
            "limits export --format plain --campaigns",
            "limits export --format nftables --campaigns 30m",
            "key list --json",
            "key list pepper --json",
            "key rotate",
            "key rotate pepper",
            "key drop 003392d3 --yes",
            "hash tune --memory 512MiB --p95 300ms --peak 40/s --threads 2 --json",
            "passwords build list.txt -o known.filter --at-least 10 --json",
            "event list --account 101 --most 5 --json",
            "mail list --most 5 --json",
            "mail bounce",
            "mail bounce one.eml -",
            "mail bounce --recipient bounces+tag@a.example",
            "mail bounce --maildir /var/lib/sekisho/bounces",
            "mail preview --kind welcome --lang ja --open",
            "mail preview --kind new-device --html",
            "config theme /tmp/theme",
            "limits campaigns --since 7d --json",
            "limits campaigns show mtpa9wn5 --json",
            "limits watch",
            "limits watch --once --json",
            "backup create /b --force --json",
            "backup restore /b --replace --keys-lost",
            "backup prove /b --json",
            "link list --account 101 --most 5 --json",
            "account welcome 101 --print --html /tmp/sheet.html",
            "completions bash",
            "man /tmp/pages",
            "demo --fresh --data d --port 1 --client-port 2 --smtp-port 3 --inbox-port 4",
        ] {
            read(&line.split(' ').collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_the_reason() {
        assert!(refused(&["account", "show", "1/2"]).contains("an extension number has"));
        assert!(refused(&["account", "add", "101", "--name", "a", "--language", "fr"]).contains("ja"));
        assert!(refused(&["account", "import", "x", "--encoding", "klingon"]).contains("klingon"));
        assert!(refused(&["account", "import", "x", "--map", "tel=x"]).contains("none of the columns"));
        assert!(refused(&["account", "import", "x", "--allow-many"]).contains("--sync"));
        assert!(refused(&["session", "end"]).contains("SESSION_ID"));
        assert!(refused(&["session", "end", "yuki"]).contains("sekisho session list"));
        let scopeless = refused(&["token", "add", "reports", "--expires", "90d"]);
        assert!(scopeless.contains("--scope"), "{scopeless}");
        let endless = refused(&["token", "add", "reports", "--scope", "/api/*"]);
        assert!(endless.contains("--expires"), "{endless}");
        let public = [
            "token",
            "add",
            "reports",
            "--scope",
            "public /api/*",
            "--expires",
            "90d",
        ];
        assert!(refused(&public).contains("no method"));
        assert!(refused(&["token", "show", "No Such"]).contains("lower-case letters"));
        let timeless = refused(&["limits", "ban", "203.0.113.7"]);
        assert!(
            timeless.contains("--for") && timeless.contains("--forever"),
            "{timeless}"
        );
        let two = refused(&["limits", "ban", "203.0.113.7", "--account", "101", "--forever"]);
        assert!(two.contains("cannot be used with"), "{two}");
        let endless = refused(&["limits", "apply", "strict"]);
        assert!(endless.contains("--for") && !endless.contains("--forever"), "{endless}");
        assert!(refused(&["limits", "apply", "strict", "--end"]).contains("cannot be used with"));
        assert!(refused(&["limits", "apply", "--for", "2h"]).contains("PRESET|FILE"));
        assert!(refused(&["limits", "ban", "--device", "x", "--forever"]).contains("32 hexadecimal digits"));
        assert!(refused(&["demo", "--port", "0"]).contains("--port"));
        assert!(refused(&["demo", "--config", "/x"]).contains("config/demo.toml"));
        assert!(refused(&["--config", "/x", "demo"]).contains("config/demo.toml"));
    }
}
