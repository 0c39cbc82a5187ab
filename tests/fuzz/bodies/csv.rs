//! What the fuzz target `csv` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use std::collections::BTreeSet;

use sekisho::crypto::foreign::judge;
use sekisho::flows::import::{Reading, Sheet};

/// The headings that imported files have by themselves.
const HEAD: &[u8] = b"extension,name,email,groups,language,role,password_hash\n";

/// No bytes panic the reader of imported files, and every line is taken or refused once.
pub fn csv(bytes: &[u8]) {
    let reading = Reading {
        encoding: None,
        told: &[],
        judge_hash: &|text| judge(text).map_err(|problem| problem.to_string()),
        progress: &|read, lines| assert!(read <= lines),
    };
    let _ = Sheet::read(bytes, &reading);
    let Ok(sheet) = Sheet::read(&[HEAD, bytes].concat(), &reading) else {
        return;
    };
    let mut lines = BTreeSet::new();
    let mut extensions = BTreeSet::new();
    for row in &sheet.rows {
        assert!(lines.insert(row.line), "a line is taken twice");
        assert!(extensions.insert(row.extension.clone()), "a number is taken twice");
    }
    for refused in &sheet.refused {
        assert!(lines.insert(refused.line), "a line is judged twice");
    }
}
