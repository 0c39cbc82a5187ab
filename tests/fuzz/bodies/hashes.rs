//! What the fuzz target `hashes` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use sekisho::crypto::foreign::{Basis, basis_of, judge};

/// Whatever stands in the hash column of an import or in a stored row: it is judged without a panic, and what is taken
/// is judged alike when it is read again.
pub fn hashes(text: &str) {
    if let Ok(stored) = judge(text) {
        assert!(
            judge(stored.expose()).as_ref() == Ok(&stored),
            "what is stored is not taken again"
        );
        assert!(
            matches!(basis_of(&stored), Basis::Foreign(_)),
            "what is stored is no hash of another system"
        );
    }
}
