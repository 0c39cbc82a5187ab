//! `sekisho upstream`: plays attacker to the web client and says what it wrongly lets in.

mod attacks;
mod judge;
mod lure;
mod report;
mod sides;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::app::world;
use crate::config::{Address, Config, Site};
use crate::crypto::jwt::forge::{Flaw, NO_EXTENSION, TEST_NAME};
use crate::crypto::jwt::{Forger, KeyRing};
use crate::domain::assertion::AssertionTerms;
use crate::domain::site::SiteName;
use crate::flows::World;

use super::output::Output;
use super::{open, runtime};
use attacks::{ATTACKS, Attack, Part, Sends};
use judge::{Doubt, Judge, Signs, Verdict};
use lure::{Lure, Set};
use report::{Report, Row};
use wire::{Answer, Way};

/// Longest wait for a connection that only shows that it can be made.
const KNOCK: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub enum Command {
    /// Try out whether the web client refuses what it must refuse
    #[command(
        after_help = "Sends the web client one genuine statement, which it must accept, and some forty requests that it must \
        refuse. All are GET, and all statements are about nobody: no account has their id, they carry no group, and the \
        genuine one is valid for 30 seconds. The gateway's key signs them, so this runs on the gateway's machine as its \
        user, and is recorded as an event.\n\n\
        Exit code 0: all was refused; 1: something was accepted, or an error; 2: nothing is proved, since the genuine \
        statement was not accepted.\n\n\
        Examples:\n  sekisho upstream verify http://127.0.0.1:5000\n  \
        sekisho upstream verify http://127.0.0.1:5000 --path /me --marker \"Sign out\""
    )]
    Verify(Verify),
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(verify) => verify.run(path, output),
        }
    }
}

#[derive(Args)]
pub struct Verify {
    /// Its address, without the gateway: upstream.url, as a rule
    url: Url,
    /// The site whose web client it is; without it, the site that has this address, or else the main one
    #[arg(long, value_name = "NAME", value_parser = SiteName::parse)]
    site: Option<SiteName>,
    /// A path that everybody signed in may see, and nobody else; without it, where the site begins
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The status that shows an accept, where it is not that of the genuine statement
    #[arg(long, value_name = "STATUS")]
    accept_status: Option<StatusCode>,
    /// A text that only an accepted answer has, where both have the same status
    #[arg(long, value_name = "TEXT")]
    marker: Option<String>,
    /// An extension that the web client knows, for Remote-User: finds out whether it believes plain headers
    #[arg(long, value_name = "EXTENSION", default_value = NO_EXTENSION)]
    remote_user: String,
    /// Even though the address is neither upstream.url nor on this machine
    #[arg(long)]
    elsewhere: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let config = open::config(path)?;
        let site = self.site(&config)?;
        let way = Way::to(self.target(&site)?, &site)?;
        let origin = way.url().origin().ascii_serialization();
        let ring = open::office(path, async |office, config| {
            Ok(office.test_ring(config, origin).await?)
        })?;
        let report = runtime::brief()?.block_on(self.attack(&way, ring, &config, &site))?;
        if self.json {
            output.json(&report)?;
        } else {
            report.tell(output)?;
        }
        Ok(report.exit_code())
    }

    /// Each site has an audience of its own, and its web client refuses statements for another.
    fn site(&self, config: &Config) -> anyhow::Result<Site> {
        let sites = config.all_sites();
        let chosen = match &self.site {
            Some(name) => sites.iter().find(|site| site.name == *name),
            None => sites.iter().find(|site| has(site, &self.url)).or(sites.first()),
        };
        chosen.cloned().with_context(|| {
            let names: Vec<_> = sites.iter().map(|site| site.name.as_str()).collect();
            format!("there is no such site; there is {}", names.join(", "))
        })
    }

    fn target(&self, site: &Site) -> anyhow::Result<Url> {
        let url = &self.url;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            bail!("the address must start with http:// or https:// and name a host");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            bail!(
                "the address is a scheme, a host and a port, such as http://127.0.0.1:5000; the path goes into --path"
            );
        }
        let path = self.path.as_deref().unwrap_or(site.path.as_str());
        // Two of them would name another host.
        if !path.starts_with('/') || path.starts_with("//") {
            bail!("--path starts with a slash, and with one only");
        }
        if !self.elsewhere && !is_here(url) && !has(site, url) {
            bail!(
                "{} is neither upstream.url nor on this machine. A genuine statement about nobody, valid for 30 seconds, \
                 would be sent there; say --elsewhere when that is what you want",
                url.origin().ascii_serialization()
            );
        }
        url.join(path).context("--path is no path")
    }

    async fn attack(&self, way: &Way, ring: KeyRing, config: &Config, site: &Site) -> anyhow::Result<Report> {
        let address = match knock(way.url()).await {
            Ok(address) => address,
            Err(why) => return Ok(Report::silent(way.url(), &format!("{why:#}"))),
        };
        let lure = Lure::at(address.ip()).await?;
        let terms = AssertionTerms {
            audience: site.audience.clone(),
            ..config.assertion.terms.clone()
        };
        let forger = Forger::new(ring, terms, lure.url().to_owned())?;
        let siege = Siege {
            lure: lure.set(forger.strangers_jwks(), forger.strangers_certificate()),
            header: HeaderName::try_from(&config.assertion.header)?,
            remote_user: HeaderValue::from_str(&self.remote_user).context("--remote-user is no value of a header")?,
            world: world(),
            forger,
            way,
        };
        let signs = Signs {
            status: self.accept_status,
            marker: self.marker.clone(),
        };
        siege.lay(signs).await
    }
}

/// The attacker.
struct Siege<'a> {
    way: &'a Way,
    forger: Forger,
    lure: Set,
    header: HeaderName,
    remote_user: HeaderValue,
    world: World,
}

impl Siege<'_> {
    async fn lay(&self, signs: Signs) -> anyhow::Result<Report> {
        let genuine = self.ask_genuine().await?;
        let nothing = self.way.ask(HeaderMap::new()).await;
        let mut report = Report::begin(self.way.url(), &genuine, &nothing);
        let judge = match Judge::new(&genuine, &nothing, signs) {
            Ok(judge) => judge,
            Err(doubt) => {
                report.doubt(&doubt);
                return Ok(report);
            }
        };
        for attack in &ATTACKS {
            report.rows.push(self.try_out(attack, &judge).await?);
        }
        report.rows.push(Row::of_lure(self.lure.asked()));
        self.look_beside(&judge, &mut report).await?;
        // Whoever shuts an attacker out after some attempts refuses the rest for another reason than its flaw.
        let again = self.ask_genuine().await?;
        if judge.verdict(&again) != Verdict::Accepted {
            report.shut_out(&again);
        }
        Ok(report)
    }

    async fn ask_genuine(&self) -> anyhow::Result<Answer> {
        let token = self.part(Part::Genuine, self.world.now())?;
        Ok(self.way.ask(self.headers_of([token])).await)
    }

    async fn try_out(&self, attack: &Attack, judge: &Judge) -> anyhow::Result<Row> {
        let Some(headers) = self.headers(attack.sends, self.world.now())? else {
            return Ok(Row::untried(
                attack,
                "only one key is published; try again after sekisho key rotate",
            ));
        };
        let answer = self.way.ask(headers).await;
        let mut verdict = judge.verdict(&answer);
        if verdict == Verdict::Stumbled && matches!(attack.sends, Sends::Oversized(_)) && answer.status().is_none() {
            // Hanging up on a head that is too large is as good as a refusal.
            verdict = Verdict::Refused;
        }
        Ok(Row::of(attack, verdict, &answer))
    }

    /// What an attack sends; `None` where it cannot be made.
    fn headers(&self, sends: Sends, now: Timestamp) -> anyhow::Result<Option<HeaderMap>> {
        let headers = match sends {
            Sends::Text(text) => self.headers_of([HeaderValue::from_static(text)]),
            Sends::Flawed(flaw) => match self.forger.flawed(flaw, now)? {
                Some(token) => self.headers_of([HeaderValue::try_from(token)?]),
                None => return Ok(None),
            },
            Sends::Twice(first, second) => self.headers_of([self.part(first, now)?, self.part(second, now)?]),
            Sends::Joined(first, second) => {
                let (first, second) = (self.part(first, now)?, self.part(second, now)?);
                let joined = [first.as_bytes(), second.as_bytes()].join(&b", "[..]);
                self.headers_of([HeaderValue::from_bytes(&joined)?])
            }
            Sends::Underscores => {
                let mut headers = HeaderMap::new();
                let name = self.header.as_str().replace('-', "_");
                headers.insert(HeaderName::try_from(name)?, self.part(Part::Genuine, now)?);
                headers
            }
            Sends::Oversized(bytes) => {
                let forged = self.part(Part::Forged, now)?;
                let mut long = forged.as_bytes().to_vec();
                long.resize(bytes, b'A');
                self.headers_of([HeaderValue::from_bytes(&long)?])
            }
            Sends::Plain => self.plain(),
        };
        Ok(Some(headers))
    }

    fn headers_of<const N: usize>(&self, values: [HeaderValue; N]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&self.header, value);
        }
        headers
    }

    fn part(&self, part: Part, now: Timestamp) -> anyhow::Result<HeaderValue> {
        let token = match part {
            Part::Genuine => self.forger.genuine(now)?,
            Part::Forged => self.forger.flawed(Flaw::ForeignSignature, now)?.unwrap_or_default(),
        };
        Ok(HeaderValue::try_from(token)?)
    }

    fn plain(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in ["remote-user", "x-remote-user", "x-forwarded-user"] {
            headers.insert(name, self.remote_user.clone());
        }
        headers.insert("remote-name", HeaderValue::from_static(TEST_NAME));
        headers.insert("remote-email", HeaderValue::from_static(""));
        headers.insert("remote-groups", HeaderValue::from_static(""));
        headers
    }

    /// Where the web client is reached without the gateway, and whether it lets somebody in there.
    async fn look_beside(&self, judge: &Judge, report: &mut Report) -> anyhow::Result<()> {
        let port = self.way.url().port_or_known_default().unwrap_or_default();
        if !is_here(self.way.url()) {
            report.rows.push(Row::not_here());
            return Ok(());
        }
        let listeners = sides::of_port(port);
        if listeners.is_empty() {
            report.rows.push(Row::closed());
        }
        for listener in listeners {
            report.rows.push(Row::listens(listener));
            for address in sides::reached_at(listener) {
                if !matches!(
                    tokio::time::timeout(KNOCK, TcpStream::connect(address)).await,
                    Ok(Ok(_))
                ) {
                    continue;
                }
                let Some(beside) = self.way.beside(address) else {
                    continue;
                };
                for headers in [HeaderMap::new(), self.plain()] {
                    let answer = beside.ask(headers).await;
                    if judge.verdict(&answer) == Verdict::Accepted {
                        report.rows.push(Row::side_door(address, &answer));
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether it can be reached at all; answers with the address of this machine that it sees.
async fn knock(url: &Url) -> anyhow::Result<SocketAddr> {
    let addresses = url.socket_addrs(|| None)?;
    let connected = tokio::time::timeout(KNOCK, TcpStream::connect(&addresses[..])).await;
    Ok(connected.context("no answer in time")??.local_addr()?)
}

/// Whether it names this machine by its loopback addresses.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether it is a server of this site.
fn has(site: &Site, url: &Url) -> bool {
    let named = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return false,
    };
    site.upstream.servers.iter().any(|server| match server {
        Address::Host { tls, host, port } => {
            (url.scheme() == "https", named.as_str(), url.port_or_known_default()) == (*tls, host.as_str(), Some(*port))
        }
        Address::Socket(_) => false,
    })
}

impl Report {
    fn doubt(&mut self, doubt: &Doubt) {
        match doubt {
            Doubt::Silent(why) => self.unproved(format!("The web client does not answer: {why}.")),
            Doubt::GenuineRefused(status) => self.unproved(format!(
                "The web client answers {status} to a genuine statement, so that its refusals prove nothing. Can it fetch \
                 the gateway's keys? Are issuer, audience and header those of [assertion]? May everybody signed in see \
                 --path, even without a group?"
            )),
            Doubt::NoDifference(status) => self.open(*status),
        }
    }

    fn shut_out(&mut self, answer: &Answer) {
        let status = answer
            .status()
            .map_or_else(|| "nothing".to_owned(), |status| status.to_string());
        self.unproved(format!(
            "At the end the web client answers {status} to the genuine statement that it accepted at first: it may have \
             shut the attacker out, and then the refusals before prove nothing. Lift its limits for this machine meanwhile."
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::site::Prefix;

    fn verify(url: &str, elsewhere: bool) -> anyhow::Result<(Site, Url)> {
        let verify = Verify {
            url: url.parse()?,
            site: None,
            path: None,
            accept_status: None,
            marker: None,
            remote_user: NO_EXTENSION.to_owned(),
            elsewhere,
            json: false,
        };
        let server = |host: &str| Address::Host {
            tls: false,
            host: host.to_owned(),
            port: 5000,
        };
        let mut config = Config::default();
        config.upstream.servers = vec![Address::Socket("/run/web".into()), server("192.0.2.7")];
        let mut wiki = config.all_sites().remove(0);
        wiki.name = SiteName::parse("wiki").unwrap();
        wiki.path = Prefix::parse("/wiki").unwrap();
        wiki.upstream.servers = vec![server("192.0.2.8")];
        config.sites.push(wiki);
        let site = verify.site(&config)?;
        let target = verify.target(&site)?;
        Ok((site, target))
    }

    #[test]
    fn the_site_is_the_one_that_has_the_address() {
        for (url, name, target) in [
            ("http://192.0.2.7:5000", "main", "http://192.0.2.7:5000/"),
            ("http://192.0.2.8:5000", "wiki", "http://192.0.2.8:5000/wiki"),
            ("http://127.0.0.1:5000", "main", "http://127.0.0.1:5000/"),
        ] {
            let (site, found) = verify(url, false).unwrap();
            assert_eq!((site.name.as_str(), found.as_str()), (name, target));
        }
    }

    #[test]
    fn a_genuine_statement_goes_to_the_upstream_or_this_machine_and_elsewhere_only_when_told() {
        for url in [
            "http://192.0.2.7:5000",
            "http://127.0.0.1:1",
            "https://localhost",
            "http://[::1]:5000",
        ] {
            verify(url, false).unwrap();
        }
        for url in ["http://192.0.2.7:5001", "https://192.0.2.7:5000", "http://web.example"] {
            assert!(
                verify(url, false).unwrap_err().to_string().contains("--elsewhere"),
                "{url}"
            );
            verify(url, true).unwrap();
        }
        for url in ["ftp://127.0.0.1", "http://127.0.0.1/x", "http://u@127.0.0.1", "data:x"] {
            assert!(verify(url, true).is_err(), "{url}");
        }
    }
}
