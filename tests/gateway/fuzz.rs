//! The bodies of the fuzz targets on a bounded number of inputs, made from the same seeds: for every machine, also one
//! that has no fuzzer. The same inputs each time; `SEKISHO_MUTATIONS=10000000` asks for so many others.

#[path = "../fuzz/bodies/config.rs"]
mod config;
#[path = "../fuzz/bodies/cookies.rs"]
mod cookies;
#[path = "../fuzz/bodies/csv.rs"]
mod csv;
#[path = "../fuzz/bodies/forwarded.rs"]
mod forwarded;
#[path = "../fuzz/bodies/hashes.rs"]
mod hashes;
#[path = "../fuzz/bodies/logs.rs"]
mod logs;
#[path = "../fuzz/bodies/paths.rs"]
mod paths;
#[path = "../fuzz/bodies/policies.rs"]
mod policies;
#[path = "../fuzz/bodies/proxy.rs"]
mod proxy;
#[path = "../fuzz/bodies/returns.rs"]
mod returns;

use std::fs;
use std::path::{Path, PathBuf};

/// Pieces that mean something to what reads imports.
const OF_IMPORTS: &[&[u8]] = &[
    b"$",
    b",",
    b"=",
    b":",
    b"\"",
    b"\r\n",
    b"\n",
    b"\t",
    b";",
    b"{",
    b"}",
    b"\0",
    b"4294967296",
    b"0",
    b"-1",
    b"$2b$",
    b"rounds=",
    b"{CRYPT}",
    b"argon2",
    b"keyid=",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x81\x40",
    "１０１".as_bytes(),
];

/// Pieces that mean something to what reads requests, and what a proxy says of them.
const OF_REQUESTS: &[&[u8]] = &[
    b"/",
    b"//",
    b"..",
    b";",
    b"?",
    b"#",
    b"%",
    b"%2f",
    b"%2e",
    b"%25",
    b"%3b",
    b"%61",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b" ",
    b",",
    b"=",
    b":",
    b"\"",
    b"[",
    b"]",
    b"10.0.0.1",
    b"2001:db8::1",
    b"65536",
    b"__Host-sekisho=",
    b"X-Forwarded-For: ",
    b"Forwarded: for=",
    b"PROXY ",
    b"\xff",
    "\u{130}".as_bytes(),
    "．".as_bytes(),
];

/// Pieces that mean something to what reads configurations.
const OF_CONFIGS: &[&[u8]] = &[
    b"[",
    b"]",
    b"[[",
    b"{",
    b"}",
    b"=",
    b".",
    b",",
    b"#",
    b"\"",
    b"'",
    b"\"\"\"",
    b"\\u0000",
    b"\n",
    b"\0",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"\"0s\"",
    b"\"8 KiB\"",
    b"\"10 per 15m\"",
    b"true",
    b"nan",
    b"\"/*\"",
    b"[sites.a]",
    b"[[rule]]",
    b"\"sign-in\"",
    b"\"any-request\"",
    b"\"new-password\"",
    b"[\"a@example.com\"]",
    b"10.0.0.0/8",
    b"upstream.url",
    "内線".as_bytes(),
];

/// A small generator of numbers (Knuth's MMIX): what is drawn need not be unpredictable, only the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    /// Changes a text in a few places, each time in one of the ways that a fuzzer has.
    fn mutate(&mut self, seeds: &[Vec<u8>], pieces: &[&[u8]]) -> Vec<u8> {
        let mut text = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 if at < text.len() => text[at] ^= 1 << self.below(8),
                1 => text.truncate(at),
                2 => drop(text.splice(at..at, pieces[self.below(pieces.len())].iter().copied())),
                3 => {
                    let end = (at + 1 + self.below(8)).min(text.len());
                    text.drain(at.min(end)..end);
                }
                4 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    text.splice(at.., other[from..].iter().copied());
                }
                _ => {
                    let twice = text[at..].to_vec();
                    text.extend(twice);
                }
            }
            text.truncate(2048);
        }
        text
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// Runs `body` over every seed and over so many mutations.
fn run(target: &str, pieces: &[&[u8]], mutations: usize, body: impl Fn(&[u8])) {
    let directory = fuzz().join("seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 8, "seeds in {}", directory.display());
    for seed in &seeds {
        body(seed);
    }
    let (first, mutations) = match asked("SEKISHO_MUTATIONS") {
        // Others than those of every test run.
        Some(asked) => (2, asked),
        None => (1, mutations),
    };
    let mut draw = Draw(first);
    for _ in 0..mutations {
        body(&draw.mutate(&seeds, pieces));
    }
}

/// A number that somebody who has more time may choose.
fn asked(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_mutation_of_an_imported_file_panics_its_reader() {
    run("csv", OF_IMPORTS, 4_000, csv::csv);
}

#[test]
fn no_mutation_of_another_systems_log_panics_its_reader_or_loses_a_line() {
    run("logs", OF_IMPORTS, 20_000, logs::logs);
}

#[test]
fn no_mutation_of_a_password_hash_panics_its_judge() {
    run("hashes", OF_IMPORTS, 40_000, |bytes| {
        hashes::hashes(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn every_mutation_of_a_path_is_refused_or_harmless_in_every_reading() {
    run("paths", OF_REQUESTS, 40_000, |bytes| {
        paths::paths(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn no_mutation_of_a_return_path_leads_away() {
    run("returns", OF_REQUESTS, 40_000, |bytes| {
        returns::returns(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn no_mutation_of_a_cookie_line_takes_our_cookies_to_the_upstream() {
    run("cookies", OF_REQUESTS, 40_000, cookies::cookies);
}

#[test]
fn no_mutation_of_a_forwarded_line_lets_a_stranger_say_where_it_comes_from() {
    run("forwarded", OF_REQUESTS, 20_000, forwarded::forwarded);
}

#[test]
fn no_mutation_of_a_proxy_header_loses_what_follows_it() {
    run("proxy", OF_REQUESTS, 40_000, proxy::proxy);
}

#[test]
fn every_mutation_of_a_configuration_is_refused_with_a_reason_or_reads_back_as_the_same() {
    run("config", OF_CONFIGS, 1_000, |bytes| {
        config::config(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn every_mutation_of_a_policy_is_refused_with_a_reason_or_reads_back_as_the_same() {
    run("policies", OF_CONFIGS, 4_000, |bytes| {
        policies::policies(&String::from_utf8_lossy(bytes));
    });
}

/// Names at the beginning of lines such as `name = "value"`, commented out or not.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[test]
fn every_key_of_the_configuration_is_in_a_seed() {
    let example = include_str!("../../config/sekisho.toml");
    let seeds: String = fs::read_dir(fuzz().join("seeds/config"))
        .unwrap()
        .map(|seed| fs::read_to_string(seed.unwrap().path()).unwrap() + "\n")
        .collect();
    let known: Vec<_> = keys(&seeds).collect();
    let unknown: Vec<_> = keys(example).filter(|key| !known.contains(key)).collect();
    assert!(known.len() > 100 && unknown.is_empty(), "in no seed: {unknown:?}");
}

#[test]
fn every_fuzz_target_runs_here_too() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let here = include_str!("fuzz.rs");
    let targets: Vec<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .collect();
    assert!(targets.len() >= 8, "{targets:?}");
    for target in targets {
        assert!(
            here.contains(&format!("run(\"{target}\", ")),
            "{target} runs under the fuzzer alone"
        );
    }
}
