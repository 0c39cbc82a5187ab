//! `sekisho limits export`: the banned addresses for firewalls that stand before the gateway.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::app;
use crate::config::Config;
use crate::domain::order::blocklist::{Blocked, blocked};
use crate::domain::order::{Decree, Order};

use super::super::open;
use super::super::output::{Output, Several};
use super::campaigns::readable;
use super::policies;
use super::terms::{end, span};

#[derive(Args)]
pub struct Export {
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    /// The jail of fail2ban that the addresses go into
    #[arg(long, value_name = "NAME", default_value = "sekisho", value_parser = jail)]
    jail: String,
    /// Add the sources of attacks under way, for this long or, with --campaigns alone, for an hour; never an address that the
    /// configuration calls its own
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h", value_parser = span)]
    campaigns: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Commands of fail2ban-client
    Fail2ban,
    /// A table for nft -f
    Nftables,
    /// A network a line
    Plain,
}

fn jail(text: &str) -> Result<String, &'static str> {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.chars().all(right) {
        Ok(text.to_owned())
    } else {
        Err("the name of a jail has letters, digits, hyphens and underscores")
    }
}

impl Export {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (orders, sources, now) = open::office(path, async |office, config| {
            let (orders, now) = (office.orders.list().await?, office.orders.world.now());
            let sources = match self.campaigns {
                Some(_) => {
                    let living = readable(office.campaigns.living().await?);
                    app::Office::campaign_sources(&living, config, &exempt(&orders, config, now)?)
                }
                None => Vec::new(),
            };
            Ok((orders, sources, now))
        })?;
        let sources_until = self.campaigns.map_or(now, |span| end(now, span));
        let list = blocked(&orders, sources, sources_until, now);
        output.text(&match self.format {
            Format::Fail2ban => fail2ban(&list, &self.jail),
            Format::Nftables => nftables(&list, now),
            Format::Plain => plain(&list),
        })
    }
}

/// Whom no rule counts, no filter keeps out either: by order, by the policy of the configuration, and by the one that is
/// applied for a while.
///
/// # Errors
/// When one of these policies cannot be read: nobody knows then whom they exempt.
fn exempt(orders: &[Order], config: &Config, now: Timestamp) -> anyhow::Result<Vec<IpNet>> {
    let mut exempt = Vec::new();
    for order in orders.iter().filter(|order| !order.is_over(now)) {
        match &order.decree {
            Decree::Exempt(network) => exempt.push(*network),
            Decree::Apply(source) => exempt.extend(app::read_policy(source).map_err(Several)?.exempt),
            Decree::Ban(_) => {}
        }
    }
    if config.limits.enabled {
        exempt.extend(&policies::in_force(config)?.policy.exempt);
    }
    Ok(exempt)
}

fn plain(list: &[Blocked]) -> String {
    whole(list).into_iter().fold(String::new(), |mut text, network| {
        let _ = writeln!(text, "{}", shown(network));
        text
    })
}

/// The networks without their times: what is in pieces since its parts end at different times is whole again.
fn whole(list: &[Blocked]) -> Vec<IpNet> {
    let networks: Vec<IpNet> = list.iter().map(|blocked| blocked.network).collect();
    IpNet::aggregate(&networks)
}

/// Commands for `sh`. fail2ban lets go of them when the time of its jail is over, so this is to be done again before.
fn fail2ban(list: &[Blocked], jail: &str) -> String {
    whole(list).into_iter().fold(String::new(), |mut text, network| {
        let _ = writeln!(text, "fail2ban-client set {jail} banip {}", shown(network));
        text
    })
}

/// A table that takes the place of the one before in one transaction. Loading it twice changes nothing.
fn nftables(list: &[Blocked], now: Timestamp) -> String {
    let set = |name: &str, kind: &str, is_v6: bool| {
        let of_kind = list
            .iter()
            .filter(|blocked| matches!(blocked.network, IpNet::V6(_)) == is_v6);
        let elements: Vec<String> = of_kind.filter_map(|blocked| element(blocked, now)).collect();
        let elements = match elements.as_slice() {
            [] => String::new(),
            elements => format!("\t\telements = {{\n\t\t\t{}\n\t\t}}\n", elements.join(",\n\t\t\t")),
        };
        format!("\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval, timeout\n{elements}\t}}\n\n")
    };
    format!(
        "#!/usr/sbin/nft -f\n# Addresses that Sekisho bans, as of {}\nadd table inet sekisho_bans\ndelete table inet \
         sekisho_bans\ntable inet sekisho_bans {{\n{}{}\tchain banned {{\n\t\ttype filter hook input priority -10; policy \
         accept;\n\t\tip saddr @banned_v4 drop\n\t\tip6 saddr @banned_v6 drop\n\t}}\n}}\n",
        Timestamp::from_second(now.as_second()).unwrap_or(now),
        set("banned_v4", "ipv4_addr", false),
        set("banned_v6", "ipv6_addr", true),
    )
}

/// One element of a set; `None` when its time is over by now.
fn element(blocked: &Blocked, now: Timestamp) -> Option<String> {
    let mut text = shown(blocked.network);
    if let Some(until) = blocked.until {
        let seconds = until.duration_since(now).as_secs();
        if seconds < 1 {
            return None;
        }
        let _ = write!(text, " timeout {}", timeout(seconds));
    }
    if let Some(why) = &blocked.why {
        let _ = write!(text, " comment \"{}\"", comment(why.as_str()));
    }
    Some(text)
}

/// As nft writes times. It takes a hundred years, and not a thousand.
fn timeout(seconds: i64) -> String {
    const MOST: i64 = 36_500 * 86_400;
    let seconds = seconds.min(MOST);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let mut text = String::new();
    for (count, unit) in [(days, 'd'), (hours, 'h'), (minutes, 'm'), (seconds % 60, 's')] {
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    text
}

/// The words of an operator within what a comment of nft may be: a quotation mark cannot be written in it, nor more than 128
/// bytes.
fn comment(words: &str) -> String {
    let mut text = String::new();
    for c in words.chars() {
        let c = if matches!(c, '"' | '\\') { '\'' } else { c };
        if text.len() + c.len_utf8() > 120 {
            break;
        }
        text.push(c);
    }
    text
}

/// One address without the length of its network.
fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::tests::{ban, order};
    use crate::domain::order::{PolicySource, Words};
    use crate::domain::session::tests::at;

    fn list() -> Vec<Blocked> {
        let mut reasoned = ban(1, "203.0.113.7", Some(7261));
        reasoned.reason = Some(Words::parse("the \"stuffing\" of \\ 3 March, 田中").unwrap());
        let orders = [
            reasoned,
            ban(2, "198.51.100.0/24", None),
            ban(3, "2001:db8:1::/48", Some(90 * 86_400)),
            ban(4, "2001:db8:2::1/128", None),
        ];
        blocked(&orders, [], at(0), at(0))
    }

    #[test]
    fn a_list_for_nftables_has_sets_with_timeouts_and_comments() {
        insta::assert_snapshot!(nftables(&list(), at(0)));
        let empty = nftables(&[], at(0));
        assert!(!empty.contains("elements") && empty.contains("delete table inet sekisho_bans"));
    }

    #[test]
    fn a_plain_list_and_one_for_fail2ban_have_a_network_a_line() {
        assert_eq!(
            plain(&list()),
            "198.51.100.0/24\n203.0.113.7\n2001:db8:1::/48\n2001:db8:2::1\n"
        );
        let around = [ban(1, "203.0.113.0/24", Some(9)), ban(2, "203.0.113.7", None)];
        assert_eq!(
            plain(&blocked(&around, [], at(0), at(0))),
            "203.0.113.0/24\n",
            "in one piece"
        );
        let commands = fail2ban(&list(), "sekisho");
        assert!(
            commands.starts_with("fail2ban-client set sekisho banip 198.51.100.0/24\n"),
            "{commands}"
        );
        assert_eq!(commands.lines().count(), 4);
    }

    #[test]
    fn whoever_a_policy_exempts_is_on_no_block_list_and_one_that_cannot_be_read_makes_none() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("limits.toml");
        let mut config = Config::default();
        config.limits.policy = Some(file.clone());
        let applied = |text: &str| {
            let (name, text) = ("mine.toml".to_owned(), text.to_owned());
            order(1, Decree::Apply(PolicySource::File { name, text }), Some(10))
        };
        let orders = [applied("preset = \"strict\"\nexempt = [\"192.0.2.0/24\"]\n")];
        let exempt = |orders: &[Order], second| exempt(orders, &config, at(second));
        std::fs::write(&file, "preset = \"strict\"\nexempt = [\"198.51.100.0/24\"]\n").unwrap();
        let both: Vec<IpNet> = ["192.0.2.0/24", "198.51.100.0/24"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(exempt(&orders, 0).unwrap(), both);
        assert_eq!(exempt(&orders, 10).unwrap(), both[1..], "its time is over");
        std::fs::write(&file, "exempt = [").unwrap();
        exempt(&orders, 0).unwrap_err();
    }

    #[test]
    fn nothing_that_an_operator_writes_leaves_its_comment() {
        assert_eq!(comment("a\" drop; \\"), "a' drop; '");
        assert!(comment(&"田".repeat(200)).len() <= 120);
    }

    #[test]
    fn a_timeout_is_written_as_nft_reads_it() {
        assert_eq!(timeout(7261), "2h1m1s");
        assert_eq!(timeout(59), "59s");
        assert_eq!(timeout(400 * 86_400), "400d");
        assert_eq!(timeout(i64::MAX), "36500d");
        assert_eq!(element(&list()[1], at(7261)), None);
    }

    #[test]
    fn a_jail_is_named_so_that_no_shell_reads_more_into_it() {
        assert!(jail("sekisho-web_2").is_ok());
        for bad in ["", "a b", "$(id)", "a;b", "a'b"] {
            assert!(jail(bad).is_err(), "{bad}");
        }
    }
}
