//! `sekisho limits`: how often may be tried, tuned without fear, who tries, and who may not try at all.

mod apply;
mod ban;
pub mod campaigns;
mod chart;
mod check;
mod diff;
mod example;
mod exempt;
mod export;
mod list;
mod past;
mod policies;
mod promote;
mod replay;
mod report;
mod simulate;
mod suggest;
mod sweep;
mod terms;
mod trace;
mod watch;
mod words;

pub use ban::pseudonym;
pub use terms::until_words;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Try a policy on attempts that were really made, beside the one in force
    #[command(
        after_help = "Attempts are those that the gateway keeps (limits.keep_attempts), or those of another system's log. \
        Nobody is stopped by it. How logs are mapped is in docs/limits.md.\n\nExamples:\n  \
        sekisho limits replay --since 30d --policy new.toml --report out.html\n  \
        sekisho limits replay --from access.log --format nginx --map path=/signin --map succeeded=302 --active standard\n  \
        sekisho limits replay --from logins.csv --map time=ts --map client=ip --active standard --policy strict"
    )]
    Replay(replay::ReplayArgs),
    /// Try a rule with many quotas, and draw people stopped against guesses left
    #[command(
        after_help = "Example:\n  sekisho limits sweep --rule sign-in.client+account --quota 3..50 --per 5m..1h --report out.html"
    )]
    Sweep(sweep::SweepArgs),
    /// Say which quotas would fit better what people did, and why
    #[command(after_help = "Example:\n  sekisho limits suggest --since 90d")]
    Suggest(suggest::SuggestArgs),
    /// Play an attack through for a day, without a network, and say how far it gets
    #[command(
        after_help = "Examples:\n  sekisho limits simulate spray --against strict\n  sekisho limits simulate lockout"
    )]
    Simulate(simulate::SimulateArgs),
    /// Say what is wrong with a policy, or in sentences what it comes to
    #[command(
        after_help = "The figures are those of all rules together. The exit code is 0 when the gateway would take the policy \
        up, warnings or not, and 1 otherwise.\n\nExample:\n  sekisho limits check /etc/sekisho/limits.toml --lang ja"
    )]
    Check(check::Check),
    /// Say what another policy would change, rule by rule
    #[command(
        after_help = "Compares the policy in force with limits.candidate, or with the file or preset that is named. The exit \
        code is 0 when both say the same, and 3 otherwise.\n\nExample:\n  sekisho limits diff strict"
    )]
    Diff(diff::Diff),
    /// Put the policy on trial in the place of the one in force
    #[command(
        after_help = "limits.candidate becomes limits.policy in one moment, and the former policy is kept beside it as         FILE.before. A running gateway takes it up at once; what was counted stays with rules of the same name."
    )]
    Promote(promote::Promote),
    /// Go back to the policy before the last promotion
    #[command(
        after_help = "limits.policy and FILE.before change places, so that a second revert undoes the first. A running         gateway takes it up at once."
    )]
    Revert(promote::Revert),
    /// Print a preset with every rule and what it is for: a policy to start from
    #[command(after_help = "Example:\n  sekisho limits example > /etc/sekisho/limits.toml")]
    Example(example::Example),
    /// Keep out an address, a network, an account or a device
    #[command(
        after_help = "Examples:\n  sekisho limits ban 203.0.113.7 --for 2h --reason \"guessing\"\n  \
        sekisho limits ban 2001:db8:1::/48 --until 2027-01-31\n  \
        sekisho limits ban --account 101 --forever --end-sessions\n\nThe running gateway takes it up within a second. \
        Connections from a banned address are closed before TLS; behind a trusted proxy its requests are answered 403. An \
        address of IPv6 stands for its /64; write /128 for it alone. Nobody can sign in to a banned account, and nobody is \
        told why: it looks like a wrong password. A ban survives restarts, upgrades and an outage of the store. A second ban \
        of the same takes the place of the first."
    )]
    Ban(ban::Ban),
    /// Lift a ban before its time
    Unban(ban::Unban),
    /// Have no rule of the limits count clients of a network
    #[command(
        after_help = "Example:\n  sekisho limits exempt 192.0.2.0/24 --for 8h --reason \"load test\"\n\nA ban holds for them \
        all the same, and so do passwords: whoever is exempt may only try as often as they like."
    )]
    Exempt(exempt::Exempt),
    /// Have the rules count them again
    Unexempt(exempt::Unexempt),
    /// Put another policy into force for a while; it reverts by itself
    #[command(
        after_help = "Examples:\n  sekisho limits apply strict --for 2h --reason \"spray since noon\"\n  \
        sekisho limits apply tonight.toml --until \"2027-01-31 06:00\"\n  sekisho limits apply --end\n\nThe policy is a preset \
        or a file, which is read now and as a whole. The running gateway takes it up within a second, and returns to the \
        policy of the configuration at the time that is set, also when it was not running then. The policy on trial stays. \
        `sekisho limits list` shows who applied it and what is left."
    )]
    Apply(apply::Apply),
    /// Show who is banned and exempt, and which policy is applied: by whom, why, since when and for how long
    List(list::List),
    /// Print the banned addresses as a block list for a firewall
    #[command(
        after_help = "Examples:\n  sekisho limits export --format nftables | sudo nft -f -\n  \
        sekisho limits export --format fail2ban | sudo sh\n  \
        sekisho limits export --format plain --campaigns\n\nFor nftables it is a table of its own, sekisho_bans, which takes \
        the place of the one before as a whole; each element goes away by itself when its ban is over."
    )]
    Export(export::Export),
    /// List attacks, or show one: where it comes from, whom it is aimed at, and whether it got in
    #[command(
        after_help = "Examples:\n  sekisho limits campaigns --since 7d\n  sekisho limits campaigns show mtpa9wn5\n\nAn attack \
        is under way until nothing of it has been seen for half an hour. Its record is stored at once when it begins, gets in \
        or ends, and once a minute as it grows; sekisho limits watch shows it as it is."
    )]
    Campaigns(campaigns::Campaigns),
    /// Look on: what is being tried, what is refused, and which attacks are under way
    #[command(
        after_help = "Looks anew each second; q ends it. Where the output is no terminal, it is a line each second; with --once \
        it is one look, with --once --json for programs. It asks the running gateway; where none is running, it shows the \
        attacks that are stored."
    )]
    Watch(watch::Watch),
}

impl Command {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Replay(replay) => replay.run(config, output),
            Self::Sweep(sweep) => sweep.run(config, output),
            Self::Suggest(suggest) => suggest.run(config, output),
            Self::Simulate(simulate) => simulate.run(config, output),
            Self::Check(check) => check.run(config, output),
            Self::Diff(diff) => diff.run(config, output),
            Self::Promote(promote) => promote.run(config, output),
            Self::Revert(revert) => revert.run(config, output),
            Self::Example(example) => example.run(output),
            Self::Ban(ban) => done(ban.run(config, output)),
            Self::Unban(unban) => done(unban.run(config, output)),
            Self::Exempt(exempt) => done(exempt.run(config, output)),
            Self::Unexempt(unexempt) => done(unexempt.run(config, output)),
            Self::Apply(apply) => done(apply.run(config, output)),
            Self::Campaigns(campaigns) => done(campaigns.run(config, output)),
            Self::Watch(watch) => done(watch.run(config, output)),
            Self::List(list) => done(list.run(config, output)),
            Self::Export(export) => done(export.run(config, output)),
        }
    }
}

fn done(run: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    run.map(|()| ExitCode::SUCCESS)
}
