//! `sekisho limits simulate`: how far an attack gets in a day. Nothing is sent anywhere.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::domain::limits::simulate::{Attack, REUSED, Scenario, Simulated, simulate};

use super::super::output::{BAD, CARE, GOOD, Output};
use super::super::table::{Styled, Table};
use super::policies;

#[derive(Args)]
pub struct SimulateArgs {
    /// Which attack
    #[arg(value_enum)]
    attack: Kind,
    /// The policy: a file, or relaxed, standard or strict [default: the one in force]
    #[arg(long, value_name = "POLICY")]
    against: Option<String>,
    /// How many accounts it is aimed at [default: what is usual for the attack]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: Option<u32>,
    /// From how many addresses, five of each /24 [default: what is usual for the attack]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    addresses: Option<u32>,
    /// How often one address tries in an hour, at most [default: what is usual for the attack]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pace: Option<u32>,
    /// Another number, other addresses and moments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The commonest password at every account, then the next
    Spray,
    /// Pairs of name and password from elsewhere, each tried once
    Stuffing,
    /// One account, as many passwords as can be tried
    Targeted,
    /// One account, to keep its owner out
    Lockout,
}

impl SimulateArgs {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let named = policies::typed_or_in_force(self.against.as_deref(), config)?;
        let attack = match self.attack {
            Kind::Spray => Attack::Spray,
            Kind::Stuffing => Attack::Stuffing,
            Kind::Targeted => Attack::Targeted,
            Kind::Lockout => Attack::Lockout,
        };
        let usual = Scenario::usual(attack, self.seed);
        let scenario = Scenario {
            accounts: self.accounts.unwrap_or(usual.accounts),
            addresses: self.addresses.unwrap_or(usual.addresses),
            pace: self.pace.unwrap_or(usual.pace),
            ..usual
        };
        let simulated = simulate(scenario, &named.policy);
        if self.json {
            output.json(&simulated)?;
            return Ok(ExitCode::SUCCESS);
        }
        tell(&simulated, &named.name, output)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(told: &Simulated, policy: &str, output: &mut Output) -> anyhow::Result<()> {
    let scenario = &told.scenario;
    output.line(format_args!(
        "A day of {} against {policy}: {} at {}, from {}, each up to {} times an hour\n",
        scenario.attack.as_str(),
        what(scenario.attack),
        counted(u64::from(scenario.accounts), "account", "accounts"),
        counted(u64::from(scenario.addresses), "address", "addresses"),
        scenario.pace,
    ))?;
    let mut table = Table::of_facts();
    let more = if told.cut {
        ", and more: not all of the day was simulated"
    } else {
        ""
    };
    table.fact("Attempts", format!("{}{more}", told.attempts));
    table.fact("Refused", told.refused.to_string());
    table.fact("Passwords tried", told.guesses.to_string());
    table.fact("at how many accounts", told.accounts.to_string());
    table.fact("at one account, at most", told.most.to_string());
    let style = if told.hits >= 1.0 {
        BAD
    } else if told.hits >= 0.1 {
        CARE
    } else {
        GOOD
    };
    table.fact(
        "Accounts opened, on average",
        Styled::new(&format!("{:.2}", told.hits), style),
    );
    let in_time = |times: u64| {
        let style = if times == told.owner.tries { GOOD } else { BAD };
        Styled::new(&format!("{times} of {} times", told.owner.tries), style)
    };
    table.fact("The owner gets in at her own browser", in_time(told.owner.known));
    table.fact("and at a new one", in_time(told.owner.new));
    let rules: Vec<_> = told
        .by
        .iter()
        .map(|(rule, count)| format!("{rule} ({count})"))
        .collect();
    table.fact(
        "Stopped by",
        if rules.is_empty() {
            "no rule".to_owned()
        } else {
            rules.join(", ")
        },
    );
    output.table(&table)?;
    output.line(format_args!("\n{}", reckoned(scenario.attack)))
}

const fn what(attack: Attack) -> &'static str {
    match attack {
        Attack::Spray | Attack::Targeted => "the commonest passwords",
        Attack::Stuffing => "a stolen pair each",
        Attack::Lockout => "wrong passwords without end",
    }
}

/// What the figure of accounts opened rests on.
fn reckoned(attack: Attack) -> String {
    match attack {
        Attack::Stuffing => format!("One in {:.0} such pairs is taken to fit.", 1.0 / REUSED),
        Attack::Spray | Attack::Targeted | Attack::Lockout => {
            "Passwords are taken to be as popular as where nothing keeps people from choosing them: the commonest is that of one \
             person in 110, all of the built-in list together are those of one in eight. Where passwords.rules refuse them, it is \
             less."
                .to_owned()
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
