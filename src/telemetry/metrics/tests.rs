//! The exposition as a scraper gets it, and the document that explains it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::names::{ALL, Kind};
use super::*;
use crate::telemetry::health::{Health, Part, ServerStanding};

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");
/// Where the names of events are explained.
const EVENTS: &str = include_str!("../../../docs/events.md");

fn metrics() -> (Metrics, Arc<Health>) {
    let about = About {
        version: "1.2.3",
        config: AboutConfig {
            digest: "0123456789ab".into(),
            limits: true,
            mail_security: "starttls",
        },
        started: 1_700_000_000.5,
    };
    let health = Arc::new(Health::default());
    (Metrics::new(&about, &health), health)
}

/// With everything in it, so that no series is missing.
fn full() -> (Metrics, Arc<Health>) {
    let (metrics, health) = metrics();
    for part in Part::ALL {
        health.note(part, part != Part::Mail, || 0);
    }
    health.servers_by(|| {
        let server = |site: &str, is_in| ServerStanding {
            site: site.to_owned(),
            server: "10.0.0.1:5000".to_owned(),
            is_in,
            open: 0,
            failures: 0,
        };
        vec![
            server("main", true),
            server("main", false),
            server("main", true),
            server("wiki", false),
        ]
    });
    (metrics, health)
}

#[test]
fn the_exposition_is_openmetrics() {
    let (metrics, _) = full();
    let requests = &metrics.proxy.requests;
    requests.done(Outcome::Forwarded, 200, Some(Duration::from_millis(3)));
    requests.done(Outcome::Forwarded, 101, None);
    requests.done(Outcome::Challenged, 303, Some(Duration::from_micros(200)));
    requests.done(Outcome::Failed, 502, Some(Duration::from_mins(1)));
    requests.done(Outcome::Aborted, 0, None);
    requests.upstream_failed(UpstreamError::ConnectTimeout);
    metrics.proxy.connections.opened();
    metrics.proxy.connections.opened();
    metrics.proxy.connections.closed();
    metrics.proxy.connections.refused_to_client();
    metrics.proxy.connections.handshake_failed(HandshakeFailure::Timeout);
    metrics.proxy.connections.breached(Breach::Flood);
    metrics.proxy.streams.opened(StreamKind::WebSocket);
    metrics.proxy.streams.opened(StreamKind::WebSocket);
    metrics
        .proxy
        .streams
        .ended(StreamKind::WebSocket, StreamEnd::SessionEnded);
    metrics.facts.resets.count(&["withheld", "shared-email"]);
    metrics.facts.events.count(&["never.heard.of"]);
    metrics.work.set_hashing(HashingFigures {
        running: 1,
        queued: [2, 7],
        completed: 30,
        shed: [0, 4],
        abandoned: 5,
    });
    metrics.work.set_store_faults([1, 0, 2, 0]);
    metrics.work.outbox_oldest_due.set(12.5);
    metrics.machine.certificate_expiry.set(1_800_000_000.0);
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"));
    insta::assert_snapshot!("exposition", text);
}

/// The series of the exposition: each name with its type, and the labels of its samples.
fn exposed(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (sample, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = ["", "_total", "_info", "_sum", "_count", "_bucket"]
                .iter()
                .filter_map(|suffix| sample.strip_suffix(suffix))
                .find(|name| found.contains_key(*name));
            let labels = labels.trim_end_matches('}').split("\",");
            let labels = labels.filter_map(|label| label.split_once('=').map(|(name, _)| name.to_owned()));
            let known = &mut found.get_mut(family.unwrap()).unwrap().1;
            known.extend(labels.filter(|label| label != "le"));
        }
    }
    found
}

#[test]
fn what_is_exposed_is_the_list_of_names() {
    let (metrics, _) = full();
    let exposed = exposed(&metrics.text());
    let listed: BTreeMap<String, (String, BTreeSet<String>)> = ALL
        .iter()
        .map(|name| {
            let labels = name.labels.iter().map(|label| (*label).to_owned()).collect();
            (name.name.to_owned(), (name.kind.as_str().to_owned(), labels))
        })
        .collect();
    assert_eq!(exposed, listed);
    for name in ALL {
        assert!(
            name.name.starts_with("sekisho_") || name.name == "process_start_time_seconds",
            "{name:?}"
        );
    }
}

#[test]
fn the_document_explains_each_metric_with_its_type_and_labels() {
    let mut documented = BTreeMap::new();
    for line in DOCUMENT.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, kind, labels, meaning] = cells.as_slice()
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
            && (name.starts_with("sekisho_") || name.starts_with("process_"))
        {
            assert!(meaning.len() > 10, "{line}");
            let labels: Vec<String> = labels
                .split(", ")
                .map(|label| label.trim_matches('`').to_owned())
                .filter(|label| !label.is_empty())
                .collect();
            let twice = documented.insert(name.to_owned(), ((*kind).to_owned(), labels));
            assert!(twice.is_none(), "{name} is there twice");
        }
    }
    let listed: BTreeMap<String, (String, Vec<String>)> = ALL
        .iter()
        .map(|name| {
            let labels = name.labels.iter().map(|label| (*label).to_owned()).collect();
            (name.exposed(), (name.kind.as_str().to_owned(), labels))
        })
        .collect();
    assert_eq!(documented, listed);
}

#[test]
fn the_document_explains_each_value_of_a_label() {
    let (metrics, _) = full();
    let text = metrics.text();
    let mut values = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // What a configuration or a release says of itself is no closed list.
        if line.starts_with("sekisho_build") || line.starts_with("sekisho_config") {
            continue;
        }
        if let Some((_, labels)) = line.split_once('{') {
            let quoted = labels.split('"').skip(1).step_by(2);
            let numbers = |value: &&str| value.parse::<f64>().is_err();
            values.extend(quoted.filter(|value| *value != "+Inf").filter(numbers));
        }
    }
    let missing: Vec<&str> = values
        .into_iter()
        .filter(|value| {
            ![DOCUMENT, EVENTS]
                .iter()
                .any(|text| text.contains(&format!("`{value}`")))
        })
        .collect();
    assert!(missing.is_empty(), "docs/metrics.md does not explain {missing:?}");
}

#[test]
fn alerts_of_the_document_ask_for_series_that_exist() {
    let (metrics, _) = full();
    let text = metrics.text();
    let mut asked = 0;
    for query in DOCUMENT
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("expr: "))
        // What the scraper itself knows.
        .filter(|query| !query.starts_with("up{"))
    {
        for word in query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("sekisho_") {
                asked += 1;
                assert!(text.contains(&format!("\n{word}")), "{word} of {query}");
            }
        }
        for label in query.split(['{', ',']).filter_map(|piece| piece.split_once("=\"")) {
            let value = label.1.split('"').next().unwrap();
            assert!(
                text.contains(&format!("{}=\"{value}\"", label.0.trim())),
                "{label:?} of {query}"
            );
        }
    }
    assert!(asked > 5, "there are alerts");
}

#[test]
fn a_histogram_counts_each_duration_once_in_the_bucket_it_fits() {
    let histogram = Histogram::default();
    for milliseconds in [0, 1, 2, 3, 30_000, 30_001] {
        histogram.observe(Duration::from_millis(milliseconds));
    }
    let mut registry = Registry::default();
    registry.register("h", "h", histogram);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "h_sum 60.007",
        "h_count 6",
        "h_bucket{le=\"0.001\"} 2",
        "h_bucket{le=\"0.002\"} 3",
        "h_bucket{le=\"0.005\"} 4",
        "h_bucket{le=\"30.0\"} 5",
        "h_bucket{le=\"+Inf\"} 6",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
    }
}

#[test]
fn what_is_on_no_list_makes_no_new_series() {
    let (metrics, _) = full();
    let before = metrics.text().lines().count();
    metrics.facts.sign_ins.count(&["refused", "something-new"]);
    metrics.work.limit_decisions.count("any.rule", "granted");
    let text = metrics.text();
    assert_eq!(text.lines().count(), before);
    assert!(text.contains("sekisho_sign_ins_total{result=\"other\",reason=\"other\"} 1\n"));
    assert!(text.contains("sekisho_limit_decisions_total{rule=\"other\",decision=\"other\"} 1\n"));
}

#[test]
fn a_kind_has_the_suffix_that_openmetrics_asks_for() {
    for name in ALL {
        let exposed = name.exposed();
        assert_eq!(exposed.ends_with("_total"), name.kind == Kind::Counter, "{exposed}");
        assert_eq!(exposed.ends_with("_info"), name.kind == Kind::Info, "{exposed}");
    }
}
