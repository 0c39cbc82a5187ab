//! Cells that a spreadsheet would run: how they are written so that it does not, and how that is undone.
//!
//! OWASP, "CSV Injection": a cell that begins with one of a few characters is taken for a formula. An apostrophe before
//! it makes it text. What our own export guards, an import reads back to the letter.

use std::borrow::Cow;

/// The cell as a spreadsheet may show it.
pub fn guard(cell: &str) -> Cow<'_, str> {
    if is_formula(cell.trim_start_matches('\'')) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The opposite of [`guard`]; `None` when the cell looks like a formula and nobody guarded it.
pub fn unguard(cell: &str) -> Option<&str> {
    if !is_formula(cell.trim_start_matches('\'')) {
        return Some(cell);
    }
    cell.strip_prefix('\'')
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// Groups in one cell.
pub fn join_groups(groups: &[String]) -> String {
    let joined = groups.join(",");
    // Foreign files separate groups by semicolons or bars as well; a comma says that these belong to a name.
    if groups.len() == 1 && joined.contains([';', '|', '、']) {
        return format!("{joined},");
    }
    joined
}

/// The opposite of [`join_groups`]: by commas, or where there is none, by semicolons or bars.
pub fn split_groups(cell: &str) -> impl Iterator<Item = &str> {
    let separators: &[char] = if cell.contains(',') { &[','] } else { &[';', '|', '、'] };
    cell.split(separators).map(str::trim).filter(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_formula_is_refused_and_a_guarded_one_is_text() {
        for cell in ["=1+1", "+81", "-5", "@SUM(A1)", "＝1", "\t=1"] {
            assert_eq!(unguard(cell), None, "{cell}");
            assert_eq!(guard(cell), format!("'{cell}"));
        }
        for cell in ["", "101", "O'Hara", "'Abd", "a=b", "*101"] {
            assert_eq!((guard(cell).as_ref(), unguard(cell)), (cell, Some(cell)));
        }
    }

    #[test]
    fn groups_are_separated_as_files_do_it() {
        let read = |cell| split_groups(cell).collect::<Vec<_>>();
        assert_eq!(read("sales, it ,"), ["sales", "it"]);
        assert_eq!(read("sales;it|営業、総務"), ["sales", "it", "営業", "総務"]);
        assert_eq!(read("a;b,"), ["a;b"]);
        assert!(read(" ").is_empty());
    }

    proptest! {
        #[test]
        fn a_guarded_cell_reads_back_and_is_never_a_formula(cell in "['=+@a-]{0,6}") {
            let guarded = guard(&cell);
            prop_assert!(!is_formula(&guarded));
            prop_assert_eq!(unguard(&guarded), Some(cell.as_str()));
        }

        #[test]
        fn groups_read_back(groups in prop::collection::vec("[a-z;|、営]{1,5}", 0..4)) {
            let joined = join_groups(&groups);
            let read: Vec<_> = split_groups(&joined).map(str::to_owned).collect();
            prop_assert_eq!(read, groups);
        }
    }
}
