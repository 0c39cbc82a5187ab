//! `sekisho limits campaigns`: attacks, listed and shown.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use anyhow::anyhow;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::app::world;
use crate::domain::account::{AccountId, Extension};
use crate::domain::campaigns::{Campaign, CampaignId, Kind};
use crate::domain::session::earlier;
use crate::ports::Stored;

use super::super::event::People;
use super::super::open;
use super::super::output::{BAD, CARE, FAINT, Output, STRONG, aside};
use super::super::table::{Styled, Table};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Campaigns {
    #[command(subcommand)]
    one: Option<One>,
    /// Those that were seen within this time, such as 7d
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span)]
    since: Duration,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum One {
    /// Show one attack with its sources, its accounts and what it got into
    Show(Show),
}

#[derive(Args)]
struct Show {
    /// Its number, as the list and letters have it
    #[arg(value_name = "ID", value_parser = id)]
    id: CampaignId,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

/// Those that can be understood; of each other one it is said that it is left out.
pub fn readable(stored: Vec<Stored>) -> Vec<Campaign> {
    let read = |stored: Stored| {
        stored
            .inspect_err(|fault| aside(format_args!("{CARE}left out:{CARE:#} {}", fault.chain())))
            .ok()
    };
    stored.into_iter().filter_map(read).collect()
}

/// The most that are listed.
const MOST: usize = 1000;

fn span(text: &str) -> Result<Duration, &'static str> {
    // humantime takes a bare zero, which has no unit.
    humantime::parse_duration(text)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or("a time is a number and its unit, such as 7d or 12h")
}

fn id(text: &str) -> Result<CampaignId, &'static str> {
    CampaignId::parse(text)
        .ok_or("an attack is numbered in lower-case letters and digits; see: sekisho limits campaigns")
}

impl Campaigns {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        match &self.one {
            Some(One::Show(show)) => show.run(path, output),
            None => self.list(path, output),
        }
    }

    fn list(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let since = earlier(world().now(), self.since);
        let (campaigns, people) = open::office(path, async |office, _| {
            let campaigns = readable(office.campaigns.list(since, MOST).await?);
            Ok((campaigns, everybody(&office.accounts.list().await?)))
        })?;
        if campaigns.len() >= MOST {
            aside(format_args!(
                "{CARE}Only the newest {MOST} are listed.{CARE:#} Whatever got in is among the events: sekisho event list"
            ));
        }
        if self.json {
            let entries: Vec<_> = campaigns.iter().map(|campaign| Entry::of(campaign, &people)).collect();
            return output.json(&entries);
        }
        if campaigns.is_empty() {
            return output.line("No attack was seen in this time.");
        }
        output.table(&table(&campaigns, output))
    }
}

impl Show {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (campaign, people) = open::office(path, async |office, _| {
            let campaign = office.campaigns.find(self.id).await?;
            Ok((campaign, everybody(&office.accounts.list().await?)))
        })?;
        let id = self.id;
        let campaign =
            campaign.ok_or_else(|| anyhow!("there is no attack {id}; see: sekisho limits campaigns --since 365d"))?;
        if self.json {
            return output.json(&Entry::of(&campaign, &people));
        }
        output.table(&facts(&campaign, &people, output))?;
        output.line("")?;
        let mut sources = Table::new(["From", "Attempts", ""]);
        for source in campaign.sources.top().into_iter().take(SOURCES_SHOWN) {
            let note = if source.has_people { "people work there" } else { "" };
            sources.row([
                source.network().to_string().into(),
                source.attempts.to_string().into(),
                Styled::faint(note),
            ]);
        }
        output.table(&sources)
    }
}

/// More of them are in JSON.
const SOURCES_SHOWN: usize = 20;

fn everybody(listings: &[crate::ports::AccountListing]) -> People {
    People::of(listings.iter().map(|listing| listing.account.clone()))
}

/// An attack in JSON.
#[derive(Serialize)]
pub struct Entry<'a> {
    id: CampaignId,
    kind: Kind,
    began_at: Timestamp,
    last_at: Timestamp,
    ended_at: Option<Timestamp>,
    attempts: u64,
    stopped: u64,
    judged: u64,
    unknown: u64,
    names: u64,
    addresses: u64,
    subnets: u64,
    scattered: bool,
    sources: Vec<SourceEntry>,
    extensions: Vec<&'a Extension>,
    succeeded: u64,
    successes: Vec<SuccessEntry<'a>>,
    told_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct SourceEntry {
    address: IpAddr,
    network: String,
    attempts: u64,
    has_people: bool,
}

#[derive(Serialize)]
struct SuccessEntry<'a> {
    at: Timestamp,
    client: String,
    account: AccountId,
    extension: Option<&'a Extension>,
}

impl<'a> Entry<'a> {
    pub fn of(campaign: &Campaign, people: &'a People) -> Self {
        let extension = |id: AccountId| people.find(id).map(|account| &account.extension);
        let sources = campaign.sources.top().into_iter().map(|source| SourceEntry {
            address: source.address,
            network: source.network().to_string(),
            attempts: source.attempts,
            has_people: source.has_people,
        });
        let successes = campaign.successes.iter().map(|success| SuccessEntry {
            at: success.at,
            client: success.client.to_string(),
            account: success.person,
            extension: extension(success.person),
        });
        Self {
            id: campaign.id,
            kind: campaign.kind,
            began_at: campaign.began_at,
            last_at: campaign.last_at,
            ended_at: campaign.ended_at,
            attempts: campaign.attempts,
            stopped: campaign.stopped,
            judged: campaign.judged,
            unknown: campaign.unknown,
            names: campaign.accounts.count(),
            addresses: campaign.sources.addresses(),
            subnets: campaign.sources.subnets(),
            scattered: campaign.scattered,
            sources: sources.collect(),
            extensions: campaign.people.iter().filter_map(|id| extension(*id)).collect(),
            succeeded: campaign.succeeded,
            successes: successes.collect(),
            told_at: campaign.told_at,
        }
    }
}

/// What somebody is doing, in words.
pub const fn doing(kind: Kind) -> &'static str {
    match kind {
        Kind::Guessing => "the password of one account is guessed",
        Kind::Spraying => "one password is tried on many accounts",
        Kind::Stuffing => "pairs of names and passwords are tried",
        Kind::MailBomb => "letters with links are asked for, over and over",
        Kind::Probing => "names are tried, most of which do not exist",
    }
}

/// How much of it there is to worry about.
pub fn weight(campaign: &Campaign) -> Style {
    match (campaign.succeeded, campaign.is_living()) {
        (1.., _) => BAD,
        (0, true) => CARE,
        (0, false) => FAINT,
    }
}

/// So many addresses, in so many networks.
pub fn from(campaign: &Campaign) -> String {
    let (addresses, subnets) = (campaign.sources.addresses(), campaign.sources.subnets());
    match (addresses, subnets) {
        (1, _) => "1 address".to_owned(),
        (_, 1) => format!("{addresses} addresses, 1 network"),
        _ => format!("{addresses} addresses, {subnets} networks"),
    }
}

/// Attacks, a row each.
fn table(campaigns: &[Campaign], output: &Output) -> Table {
    let head = [
        "Id",
        "Kind",
        "Since",
        "Last seen",
        "Attempts",
        "Names",
        "From",
        "Got in",
        "State",
    ];
    let mut table = Table::new(head).unbroken(&[0, 1, 2, 3]);
    for campaign in campaigns {
        let style = weight(campaign);
        let got_in = match campaign.succeeded {
            0 => Styled::faint("–"),
            count => Styled::new(&count.to_string(), BAD),
        };
        table.row([
            campaign.id.to_string().into(),
            Styled::new(campaign.kind.as_str(), style),
            output.second(campaign.began_at).into(),
            output.second(campaign.last_at).into(),
            campaign.attempts.to_string().into(),
            campaign.accounts.count().to_string().into(),
            from(campaign).into(),
            got_in,
            Styled::new(if campaign.is_living() { "under way" } else { "over" }, style),
        ]);
    }
    table
}

fn facts(campaign: &Campaign, people: &People, output: &Output) -> Table {
    let mut table = Table::of_facts();
    table.fact("Id", Styled::new(&campaign.id.to_string(), STRONG));
    table.fact("Kind", Styled::new(campaign.kind.as_str(), STRONG));
    table.fact("", Styled::faint(doing(campaign.kind)));
    table.fact("Since", output.second(campaign.began_at));
    table.fact("Last seen", output.second(campaign.last_at));
    table.fact(
        "State",
        match campaign.ended_at {
            None => Styled::new("under way", CARE),
            Some(at) => Styled::faint(&format!("over since {}", output.second(at))),
        },
    );
    let about = |exact: bool| if exact { "" } else { "about " };
    table.fact(
        "Attempts",
        format!(
            "{}, of which the limits stopped {}",
            campaign.attempts, campaign.stopped
        ),
    );
    let names = format!("{}{}", about(campaign.accounts.is_exact()), campaign.accounts.count());
    table.fact(
        "Names",
        match campaign.judged {
            0 => names,
            judged => format!(
                "{names}; {} of {judged} attempts that were looked up at names that do not exist",
                campaign.unknown
            ),
        },
    );
    table.fact(
        "From",
        if campaign.scattered {
            format!("{}, of which none stands out", from(campaign))
        } else {
            from(campaign)
        },
    );
    for (index, id) in campaign.people.iter().take(SOURCES_SHOWN).enumerate() {
        table.fact(if index == 0 { "Accounts" } else { "" }, people.words(*id));
    }
    if campaign.people.len() > SOURCES_SHOWN {
        table.fact("", Styled::faint("and more; see --json"));
    }
    for success in &campaign.successes {
        let whom = people.find(success.person).map_or_else(
            || "a removed account".to_owned(),
            |account| format!("{} {}", account.extension, account.name),
        );
        let words = format!("{whom}, {}, from {}", output.second(success.at), success.client);
        table.fact("Got in", Styled::new(&words, BAD));
    }
    if campaign.successes.is_empty() {
        table.fact("Got in", Styled::or_dash(None));
    }
    if let Some(at) = campaign.told_at {
        table.fact("Told", format!("the administrators, at {}", output.second(at)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::super::account::tests::account;
    use super::super::super::output::tests::Sheet;
    use super::*;

    fn sample(living: bool) -> Campaign {
        Campaign::sample(living, "2026-01-02T03:04:05Z".parse().unwrap())
    }

    #[test]
    fn attacks_are_listed_with_their_size_and_whether_they_got_in() {
        let sheet = Sheet::default();
        let output = sheet.output();
        let rows = table(&[sample(true), sample(false)], &output);
        sheet.output().table(&rows).unwrap();
        let text = sheet.text();
        for words in [
            "spraying",
            "guessing",
            "240",
            "24 addresses, 1 network",
            "under way",
            "over",
            "2026-01-02 03:04:05",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn an_attack_is_shown_with_the_person_whose_account_it_got_into() {
        let campaign = sample(true);
        let mut yuki = account("101", "田中 ゆき");
        yuki.id = campaign.people[0];
        let people = People::of([yuki]);
        let sheet = Sheet::default();
        let rows = facts(&campaign, &people, &sheet.output());
        sheet.output().table(&rows).unwrap();
        let text = sheet.text();
        for words in [
            "one password is tried on many accounts",
            "101 田中 ゆき, 2026-01-02 03:04:05, from 203.0.113.7",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json = serde_json::to_value(Entry::of(&campaign, &people)).unwrap();
        assert_eq!(json["successes"][0]["extension"], "101");
        assert_eq!(json["extensions"], serde_json::json!(["101"]));
        assert_eq!((&json["kind"], &json["attempts"]), (&"spraying".into(), &240.into()));
        assert_eq!(json["sources"][0]["network"], "203.0.113.1/32");
        assert!(json.get("target").is_none(), "{json}");
    }

    #[test]
    fn a_time_has_a_unit_and_a_number_is_one_of_ours() {
        assert_eq!(span("7d"), Ok(Duration::from_hours(7 * 24)));
        assert!(span("7").is_err() && span("0").is_err());
        assert!(id("mtpa9wn5").is_ok() && id("MTPA").is_err() && id("../x").is_err());
    }
}
