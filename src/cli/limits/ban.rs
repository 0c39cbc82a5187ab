//! `sekisho limits ban` and `unban`.

use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use ipnet::IpNet;

use crate::app::Office;
use crate::config::Config;
use crate::domain::account::{Account, Extension};
use crate::domain::limits::NameDigest;
use crate::domain::order::{self, Decree, Order, OrderId, Target};
use crate::flows::GivenOrder;

use super::super::account::{no_such_account, person};
use super::super::open;
use super::super::output::{Output, aside};
use super::terms::{Time, Why, until_words};

/// A running gateway has taken an order up by then.
const TAKEN_UP: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Ban {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    words: Why,
    /// End the sessions of the account as well
    #[arg(long, requires = "account")]
    end_sessions: bool,
    /// Ban so large a network that it stands for everybody: more than a /8, or a /16 of IPv6
    #[arg(long)]
    danger_everybody: bool,
    /// Ban what the configuration calls its own: proxies, addresses that many people share, this machine
    #[arg(long)]
    danger_own_addresses: bool,
}

#[derive(Args)]
pub struct Unban {
    #[command(flatten)]
    whom: Whom,
}

/// Whom a ban is about.
#[derive(Args)]
#[group(id = "whom", required = true, multiple = false)]
struct Whom {
    /// An address or a network; to lift a ban, also its id
    #[arg(value_name = "ADDRESS|NETWORK")]
    client: Option<String>,
    /// The account with this extension number
    #[arg(long, value_name = "EXTENSION", value_parser = Extension::parse)]
    account: Option<Extension>,
    /// A browser, by the pseudonym that the log has for it
    #[arg(long, value_name = "PSEUDONYM", value_parser = pseudonym)]
    device: Option<NameDigest>,
    /// A name that is tried, existing or invented, by its pseudonym in records of attempts
    #[arg(long, value_name = "PSEUDONYM", value_parser = pseudonym)]
    pseudonym: Option<NameDigest>,
}

/// Reads a pseudonym, for the command line.
pub fn pseudonym(text: &str) -> Result<NameDigest, &'static str> {
    order::pseudonym(text).ok_or("a pseudonym is 32 hexadecimal digits in lower case, as the log and records have it")
}

impl Whom {
    /// The target, and the account when it is one.
    async fn target(&self, office: &Office) -> anyhow::Result<(Target, Option<Account>)> {
        if let Some(extension) = &self.account {
            let account = office.accounts.find(extension).await?;
            let account = account.ok_or_else(|| no_such_account(extension))?;
            return Ok((Target::Account(account.id), Some(account)));
        }
        let target = match (&self.client, self.device, self.pseudonym) {
            (Some(client), ..) => Target::from_client(client)?,
            (_, Some(device), _) => Target::Device(device),
            (_, _, Some(name)) => Target::Pseudonym(name),
            (None, None, None) => bail!("name an address, a network, --account, --device or --pseudonym"),
        };
        Ok((target, None))
    }
}

/// What the configuration says is the operator's own, and this machine.
fn own(config: &Config) -> Vec<(&'static str, IpNet)> {
    let named = [
        ("server.trusted_proxies", &config.server.trusted_proxies),
        ("server.proxy_protocol", &config.server.proxy_protocol),
        ("server.shared_addresses", &config.server.shared_addresses),
        ("forward_auth.proxies", &config.forward_auth.proxies),
    ];
    let mut own: Vec<_> = named
        .into_iter()
        .flat_map(|(key, networks)| networks.iter().map(move |network| (key, *network)))
        .collect();
    let loopback = ["127.0.0.0/8", "::1/128"]
        .into_iter()
        .filter_map(|text| text.parse().ok());
    own.extend(loopback.map(|network| ("this machine", network)));
    own
}

/// Why this network is not to be banned by mistake.
fn mistake(network: IpNet, ban: &Ban, config: &Config) -> Option<String> {
    if order::everybody(network) && !ban.danger_everybody {
        return Some(format!(
            "{network} stands for everybody; ban a smaller network, or say --danger-everybody"
        ));
    }
    let (key, own) = own(config)
        .into_iter()
        .find(|(_, own)| order::overlapping(network, &[*own]).is_some())?;
    (!ban.danger_own_addresses).then(|| {
        format!("{network} has addresses of your own in it ({key}: {own}): all who come that way would be kept out; if that \
                 is meant, say --danger-own-addresses")
    })
}

impl Ban {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (given, whom, now) = open::office(path, async |office, config| {
            let (target, account) = self.whom.target(office).await?;
            if let Some(mistake) = target.network().and_then(|network| mistake(network, self, config)) {
                bail!(mistake);
            }
            let now = office.orders.world.now();
            let terms = self.words.terms(self.time.until(now)?);
            let given = office.orders.ban(target, terms).await?;
            if let (true, Some(extension)) = (self.end_sessions, &self.whom.account) {
                // Whoever signs in before the gateway has taken the ban up is out as well: a sign-in that is under way then
                // comes to nothing, since its generation is over.
                tokio::time::sleep(TAKEN_UP).await;
                office.accounts.end_sessions(extension).await?;
            }
            Ok((given, whom(&target, account.as_ref()), now))
        })?;
        replaced(&given, output);
        output.line(format!(
            "{whom} is banned {}.",
            until_words(given.order.until, now, output)
        ))?;
        if self.whom.account.is_some() && !self.end_sessions {
            aside("Sessions that are open live on; --end-sessions ends them as well.");
        }
        Ok(())
    }
}

impl Unban {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (whom, lifted, rest) = open::office(path, async |office, _| {
            if let Some(id) = self.whom.client.as_deref().and_then(OrderId::parse) {
                let is_it = |order: &Order| order.id == id && matches!(order.decree, Decree::Ban(_));
                let lifted = office.orders.end(is_it).await?;
                let whom = lifted
                    .as_ref()
                    .map_or_else(|| id.to_string(), |order| order.decree.subject());
                return Ok((whom, lifted, Vec::new()));
            }
            let (target, account) = self.whom.target(office).await?;
            let is_it = |order: &Order| order.decree == Decree::Ban(target);
            let lifted = office.orders.end(is_it).await?;
            let rest = around(&target, &office.orders.list().await?);
            Ok((whom(&target, account.as_ref()), lifted, rest))
        })?;
        if lifted.is_none() && rest.is_empty() {
            return Err(anyhow!("{whom} is not banned; see: sekisho limits list"));
        }
        if lifted.is_some() {
            output.line(format!("{whom} is banned no more."))?;
        }
        for around in &rest {
            let words = format!("{whom} is still banned by the ban of {around}; see: sekisho limits list");
            if lifted.is_none() {
                return Err(anyhow!(words));
            }
            aside(words);
        }
        Ok(())
    }
}

/// The networks in whose bans a target lies.
fn around(target: &Target, orders: &[Order]) -> Vec<IpNet> {
    let Some(network) = target.network() else {
        return Vec::new();
    };
    let banned = orders.iter().filter_map(|order| match &order.decree {
        Decree::Ban(other) => other.network(),
        Decree::Exempt(_) | Decree::Apply(_) => None,
    });
    banned.filter(|around| around.contains(&network)).collect()
}

/// Whom a ban is about, in words.
pub fn whom(target: &Target, account: Option<&Account>) -> String {
    match (target, account) {
        (Target::Account(_), Some(account)) => format!("The account {}", person(account)),
        (Target::Account(id), None) => format!("The account {id}, which is gone"),
        (Target::Device(_), _) => format!("The device {}", target.value()),
        (Target::Pseudonym(_), _) => format!("The pseudonym {}", target.value()),
        (Target::Address(_) | Target::Network(_), _) => target.value(),
    }
}

/// Says that another order was in force until now.
pub fn replaced(given: &GivenOrder, output: &Output) {
    if let Some(before) = &given.instead_of {
        let until = before.until.map_or_else(
            || "for ever".to_owned(),
            |until| format!("until {}", output.time(until)),
        );
        aside(format_args!(
            "It takes the place of the order of {} ({until}).",
            before.author
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::tests::ban as order;

    fn ban(danger_everybody: bool, danger_own_addresses: bool) -> Ban {
        use clap::{Command, FromArgMatches};
        let command = Ban::augment_args(Command::new("ban"));
        let mut args = vec!["ban", "203.0.113.7", "--forever"];
        args.extend(danger_everybody.then_some("--danger-everybody"));
        args.extend(danger_own_addresses.then_some("--danger-own-addresses"));
        Ban::from_arg_matches(&command.get_matches_from(args)).unwrap()
    }

    #[test]
    fn nobody_is_banned_by_mistake_together_with_the_operator() {
        let mut config = Config::default();
        config.server.trusted_proxies = vec!["10.0.0.5/32".parse().unwrap()];
        config.server.shared_addresses = vec!["198.51.100.0/28".parse().unwrap()];
        let told = |network: &str, ban: &Ban| mistake(network.parse().unwrap(), ban, &config).unwrap_or_default();
        let (careful, bold, boldest) = (ban(false, false), ban(false, true), ban(true, true));
        assert!(told("0.0.0.0/0", &careful).contains("--danger-everybody"));
        assert!(told("0.0.0.0/0", &ban(true, false)).contains("--danger-own-addresses"));
        assert_eq!(told("0.0.0.0/0", &boldest), "");
        assert!(told("10.0.0.0/24", &careful).contains("server.trusted_proxies: 10.0.0.5/32"));
        assert!(told("198.51.100.3/32", &careful).contains("server.shared_addresses"));
        assert!(told("127.0.0.1/32", &careful).contains("this machine"));
        assert_eq!(told("10.0.0.0/24", &bold), "");
        assert_eq!(told("203.0.113.0/24", &careful), "");
    }

    #[test]
    fn who_is_lifted_from_a_ban_may_lie_in_another_one() {
        let target = Target::from_client("203.0.113.7").unwrap();
        let orders = [order(1, "203.0.113.0/24", None), order(2, "198.51.100.0/24", None)];
        assert_eq!(around(&target, &orders), ["203.0.113.0/24".parse().unwrap()]);
    }
}
