//! Whatever stands in the hash column of an import or in a stored row: it is judged without a panic, and what is taken
//! is judged alike when it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho::crypto::foreign::{Basis, basis_of, judge};

fuzz_target!(|text: &str| {
    if let Ok(stored) = judge(text) {
        assert!(judge(stored.expose()).as_ref() == Ok(&stored));
        assert!(matches!(basis_of(&stored), Basis::Foreign(_)));
    }
});
