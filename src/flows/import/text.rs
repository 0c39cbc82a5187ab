//! From the bytes of a file to its text: which encoding it is in, told or recognised.

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8};

/// A file as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text without a byte order mark. Bytes that mean nothing have become U+FFFD: their line is refused later.
    pub text: String,
    /// The name of the encoding, such as `UTF-8`.
    pub encoding: &'static str,
}

/// No encoding has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no encoding {0:?}; give utf-8, cp932, euc-jp, utf-16le or another name of the WHATWG encoding standard"
)]
pub struct UnknownEncoding(String);

/// The encoding of this name; CP932 is what browsers call `Shift_JIS`.
///
/// # Errors
/// When there is none.
pub fn encoding(name: &str) -> Result<&'static Encoding, UnknownEncoding> {
    match name.to_ascii_lowercase().as_str() {
        "cp932" | "ms932" | "932" => Ok(SHIFT_JIS),
        label => Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| UnknownEncoding(name.to_owned())),
    }
}

/// Reads the bytes. A byte order mark says what they are; without one the told encoding is believed; without that, text
/// that is no UTF-8 is taken for CP932, which spreadsheets in Japan write, when that leaves fewer odd lines.
pub fn decode(bytes: &[u8], told: Option<&'static Encoding>) -> Text {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    if let Some(encoding) = marked.or(told) {
        return with(encoding, bytes);
    }
    let unicode = with(UTF_8, bytes);
    let odd = odd_lines(&unicode.text);
    if odd == 0 {
        return unicode;
    }
    let japanese = with(SHIFT_JIS, bytes);
    if odd_lines(&japanese.text) < odd {
        japanese
    } else {
        unicode
    }
}

fn with(encoding: &'static Encoding, bytes: &[u8]) -> Text {
    let (text, used, _) = encoding.decode(bytes);
    Text {
        text: text.into_owned(),
        encoding: if used == SHIFT_JIS { "CP932" } else { used.name() },
    }
}

fn odd_lines(text: &str) -> usize {
    text.lines()
        .filter(|line| line.contains(char::REPLACEMENT_CHARACTER))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "内線,氏名\r\n101,田中 ゆき\r\n";

    #[test]
    fn a_file_is_read_in_the_encoding_it_was_written_in() {
        let utf8_with_mark = [b"\xef\xbb\xbf", TEXT.as_bytes()].concat();
        let utf16: Vec<u8> = std::iter::once(0xfeff)
            .chain(TEXT.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let japanese = SHIFT_JIS.encode(TEXT).0.into_owned();
        for (bytes, name) in [
            (TEXT.as_bytes().to_vec(), "UTF-8"),
            (utf8_with_mark, "UTF-8"),
            (utf16, "UTF-16LE"),
            (japanese, "CP932"),
        ] {
            let read = decode(&bytes, None);
            assert_eq!((read.text.as_str(), read.encoding), (TEXT, name));
        }
    }

    #[test]
    fn a_told_encoding_is_believed() {
        let euc = encoding("EUC-JP").unwrap();
        let bytes = euc.encode(TEXT).0;
        assert_eq!(decode(&bytes, Some(euc)).text, TEXT);
        assert_eq!(encoding("cp932").unwrap(), SHIFT_JIS);
        assert!(encoding("klingon").unwrap_err().to_string().contains("\"klingon\""));
    }

    #[test]
    fn one_broken_line_does_not_turn_a_file_into_another_encoding() {
        let bytes = [TEXT.as_bytes(), b"102,\xff\xfe broken\r\n103,Sam\r\n"].concat();
        let read = decode(&bytes, None);
        assert_eq!(read.encoding, "UTF-8");
        assert_eq!(odd_lines(&read.text), 1);
    }
}
