//! `sekisho limits exempt` and `unexempt`.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::Args;

use crate::domain::order::{self, Decree, Order};

use super::super::open;
use super::super::output::Output;
use super::ban::replaced;
use super::terms::{Time, Why, until_words};

#[derive(Args)]
pub struct Exempt {
    /// The address or network
    #[arg(value_name = "ADDRESS|NETWORK")]
    network: String,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    words: Why,
    /// Exempt so large a network that it stands for everybody: more than a /8, or a /16 of IPv6
    #[arg(long)]
    danger_everybody: bool,
}

#[derive(Args)]
pub struct Unexempt {
    /// The address or network
    #[arg(value_name = "ADDRESS|NETWORK")]
    network: String,
}

impl Exempt {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let network = order::network(&self.network)?;
        if order::everybody(network) && !self.danger_everybody {
            bail!(
                "{network} stands for everybody, and then no limit holds; exempt a smaller network, or say --danger-everybody"
            );
        }
        let (given, now) = open::office(path, async |office, _| {
            let now = office.orders.world.now();
            let terms = self.words.terms(self.time.until(now)?);
            Ok((office.orders.exempt(network, terms).await?, now))
        })?;
        replaced(&given, output);
        output.line(format!(
            "No rule counts clients of {network} {}.",
            until_words(given.order.until, now, output)
        ))
    }
}

impl Unexempt {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let network = order::network(&self.network)?;
        let is_it = |order: &Order| order.decree == Decree::Exempt(network);
        let ended = open::office(path, async |office, _| Ok(office.orders.end(is_it).await?))?;
        ended.ok_or_else(|| anyhow!("{network} is not exempt by an order; see: sekisho limits list"))?;
        output.line(format!("The rules count clients of {network} again."))
    }
}
