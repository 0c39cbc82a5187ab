//! The bodies of the fuzz targets on a bounded number of inputs, made from the same seeds: for every machine, also one
//! that has no fuzzer. The same inputs each time.

#[path = "../fuzz/bodies/csv.rs"]
mod csv;
#[path = "../fuzz/bodies/hashes.rs"]
mod hashes;

use std::fs;
use std::path::Path;

/// Pieces that mean something to one of the parsers.
const PIECES: [&[u8]; 24] = [
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
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut text = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 if at < text.len() => text[at] ^= 1 << self.below(8),
                1 => text.truncate(at),
                2 => drop(text.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
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

/// Runs `body` over every seed and over so many mutations.
fn run(target: &str, mutations: usize, body: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
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
    let mut draw = Draw(1);
    for _ in 0..mutations {
        body(&draw.mutate(&seeds));
    }
}

#[test]
fn no_mutation_of_an_imported_file_panics_its_reader() {
    run("csv", 4_000, csv::csv);
}

#[test]
fn no_mutation_of_a_password_hash_panics_its_judge() {
    run("hashes", 40_000, |bytes| {
        hashes::hashes(&String::from_utf8_lossy(bytes));
    });
}
