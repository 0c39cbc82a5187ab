//! `sekisho limits list`: the orders in force.

use std::collections::HashMap;
use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::{Account, AccountId};
use crate::domain::order::{Decree, Order, OrderId, Target, Words};

use super::super::open;
use super::super::output::{BAD, CARE, GOOD, Output};
use super::super::table::{Styled, Table};
use super::terms::left;

#[derive(Args)]
pub struct List {
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (orders, accounts, now) = open::office(path, async |office, _| {
            let orders = office.orders.list().await?;
            let mut accounts = HashMap::new();
            for id in orders.iter().filter_map(|order| banned_account(&order.decree)) {
                if let Some(account) = office.accounts.accounts.find(id).await? {
                    accounts.insert(id, account);
                }
            }
            Ok((orders, accounts, office.orders.world.now()))
        })?;
        show(&orders, &accounts, now, self.json, output)
    }
}

fn banned_account(decree: &Decree) -> Option<AccountId> {
    match decree {
        Decree::Ban(target) => target.account(),
        Decree::Exempt(_) | Decree::Apply(_) => None,
    }
}

/// An order in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    id: OrderId,
    kind: &'static str,
    /// Of a ban: what kind of target.
    target: Option<&'static str>,
    /// The address or network, the account's id, the pseudonym, or the policy.
    value: String,
    extension: Option<&'a str>,
    name: Option<&'a str>,
    reason: Option<&'a str>,
    author: &'a str,
    made_at: Timestamp,
    until: Option<Timestamp>,
    seconds_left: Option<i64>,
}

impl<'a> Entry<'a> {
    fn of(order: &'a Order, accounts: &'a HashMap<AccountId, Account>, now: Timestamp) -> Self {
        let account = banned_account(&order.decree).and_then(|id| accounts.get(&id));
        let (target, value) = match &order.decree {
            Decree::Ban(target) => (Some(target.kind()), target.value()),
            Decree::Exempt(network) => (None, network.to_string()),
            Decree::Apply(source) => (None, source.parts().1.to_owned()),
        };
        Self {
            id: order.id,
            kind: order.decree.kind().as_str(),
            target,
            value,
            extension: account.map(|account| account.extension.as_str()),
            name: account.map(|account| account.name.as_str()),
            reason: order.reason.as_ref().map(Words::as_str),
            author: order.author.as_str(),
            made_at: order.made_at,
            until: order.until,
            seconds_left: order.until.map(|until| until.duration_since(now).as_secs()),
        }
    }
}

fn show(
    orders: &[Order],
    accounts: &HashMap<AccountId, Account>,
    now: Timestamp,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    if json {
        let entries: Vec<_> = orders.iter().map(|order| Entry::of(order, accounts, now)).collect();
        return output.json(&entries);
    }
    if orders.is_empty() {
        return output.line("Nobody is banned or exempt, and no other policy is applied.");
    }
    let mut table = Table::new(["Order", "Whom", "Since", "By", "Until", "Left", "Why"]).unbroken(&[4, 5]);
    for order in orders {
        let (what, whom) = match &order.decree {
            Decree::Ban(target) => (Styled::new("banned", BAD), whom(target, accounts)),
            Decree::Exempt(network) => (Styled::new("exempt", GOOD), network.to_string().into()),
            Decree::Apply(source) => (Styled::new("policy", CARE), source.to_string().into()),
        };
        let until = order.until.map(|until| output.time(until));
        table.row([
            what,
            whom,
            output.time(order.made_at).into(),
            order.author.as_str().into(),
            Styled::or_dash(until.as_deref()),
            order
                .until
                .map_or_else(|| "for ever".to_owned(), |until| left(until, now))
                .into(),
            Styled::or_dash(order.reason.as_ref().map(Words::as_str)),
        ]);
    }
    output.table(&table)
}

fn whom(target: &Target, accounts: &HashMap<AccountId, Account>) -> Styled {
    match target.account().map(|id| accounts.get(&id)) {
        Some(Some(account)) => Styled::people([(account.extension.as_str(), account.name.as_str())]),
        Some(None) => "an account that is gone".into(),
        None if target.network().is_some() => target.value().into(),
        None => target.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::order::PolicySource;
    use crate::domain::order::tests::{ban, order};
    use crate::domain::session::tests::{account, at};

    fn orders() -> Vec<Order> {
        let mut reasoned = ban(1, "203.0.113.0/24", Some(7200));
        reasoned.reason = Some(Words::parse("stuffing").unwrap());
        vec![
            reasoned,
            order(2, Decree::Ban(Target::Account(account().id)), None),
            order(3, Decree::Exempt("10.0.0.0/8".parse().unwrap()), Some(60)),
            order(4, Decree::Apply(PolicySource::Preset("strict".to_owned())), Some(3600)),
        ]
    }

    fn print(orders: &[Order], json: bool) -> String {
        let sheet = Sheet::default();
        let accounts = HashMap::from([(account().id, account())]);
        show(orders, &accounts, at(0), json, &mut sheet.output()).unwrap();
        sheet.text()
    }

    #[test]
    fn each_order_is_listed_with_by_whom_why_and_what_is_left() {
        let text = print(&orders(), false);
        for words in [
            "203.0.113.0/24",
            "stuffing",
            "root",
            "2h 0m",
            account().extension.as_str(),
            "for ever",
            "10.0.0.0/8",
            "preset strict",
            "1h 0m",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&print(&orders(), true)).unwrap();
        assert_eq!(json[0]["target"], "network");
        assert_eq!(
            (&json[0]["value"], &json[0]["seconds_left"]),
            (&"203.0.113.0/24".into(), &7200.into())
        );
        assert_eq!(json[1]["extension"], account().extension.as_str());
        assert_eq!(
            (&json[3]["kind"], &json[3]["value"]),
            (&"policy".into(), &"strict".into())
        );
    }

    #[test]
    fn an_empty_list_says_so() {
        assert!(print(&[], false).starts_with("Nobody is banned"));
        assert_eq!(print(&[], true).trim(), "[]");
    }
}
