//! From text to records: RFC 4180 with the freedoms real files take, and a broken line costs that line alone.
//!
//! A CSV reader that runs over the whole text takes everything after a quote that is never closed for one field. Here
//! a quote may hold a line break only where the lines together make a record of as many fields as the heading has.

use csv_core::{ReadRecordResult, ReaderBuilder, Terminator};

/// Most bytes of one record.
pub const MAX_RECORD: usize = 64 * 1024;

/// Most lines one record may stand on.
const MAX_LINES: usize = 50;

/// What a line says, or why it cannot be read.
pub type Fields = Result<Vec<String>, LineProblem>;

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// A quote is opened and never closed.
    #[error("a quote (\") is opened and not closed")]
    OpenQuote,
    /// Something stands between a closing quote and the next field.
    #[error("a quote (\") ends inside a field; a quote that belongs to the text is written twice")]
    StrayQuote,
    /// More than `MAX_RECORD`.
    #[error("the line is longer than 64 KiB")]
    TooLong,
    /// Bytes that mean nothing in the encoding of the file.
    #[error(
        "it has bytes that are no text in the encoding of the file; save it as UTF-8, or name the encoding with --encoding"
    )]
    BadBytes,
}

/// The records of a text.
pub struct Records<'a> {
    lines: Vec<&'a str>,
    next: usize,
    delimiter: u8,
    /// Fields of the heading, once it has been read: a record on several lines must have as many.
    expected: Option<usize>,
}

impl<'a> Records<'a> {
    /// Records with this character between fields.
    pub fn of(text: &'a str, delimiter: u8) -> Self {
        // Some old programs end lines with a carriage return alone.
        let end = if text.contains('\n') { '\n' } else { '\r' };
        let mut lines: Vec<&str> = text
            .split(end)
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .collect();
        // Excel's own way to say which character separates fields.
        let next = usize::from(
            lines
                .first()
                .is_some_and(|line| line.len() == 5 && line.starts_with("sep=")),
        );
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        Self {
            lines,
            next,
            delimiter,
            expected: None,
        }
    }

    /// From now on a record on several lines must have so many fields.
    pub fn expect(&mut self, fields: usize) {
        self.expected = Some(fields);
    }

    /// Lines read so far.
    pub fn lines_read(&self) -> usize {
        self.next
    }

    /// Lines there are.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    fn read(&mut self) -> Fields {
        let first = self.next;
        self.next += 1;
        let line = self.lines[first];
        let mut quoting = Quoting::default();
        quoting.feed(line, self.delimiter)?;
        if quoting.state != State::Quoted {
            return self.split(line);
        }
        let mut joined = line.to_owned();
        for last in first + 1..self.lines.len().min(first + MAX_LINES) {
            joined.push('\n');
            joined.push_str(self.lines[last]);
            if joined.len() > MAX_RECORD || quoting.feed("\n", self.delimiter).is_err() {
                break;
            }
            if quoting.feed(self.lines[last], self.delimiter).is_err() {
                break;
            }
            if quoting.state != State::Quoted {
                let fields = self.split(&joined)?;
                if self.expected.is_none_or(|expected| expected == fields.len()) {
                    self.next = last + 1;
                    return Ok(fields);
                }
                break;
            }
        }
        Err(LineProblem::OpenQuote)
    }

    fn split(&self, record: &str) -> Fields {
        if record.len() > MAX_RECORD {
            return Err(LineProblem::TooLong);
        }
        if record.contains([char::REPLACEMENT_CHARACTER, '\0']) {
            return Err(LineProblem::BadBytes);
        }
        split(record, self.delimiter)
    }
}

impl Iterator for Records<'_> {
    /// The number of the first line, counted from one, and its fields.
    type Item = (usize, Fields);

    fn next(&mut self) -> Option<Self::Item> {
        // Spreadsheets leave lines of nothing but separators behind.
        while let Some(line) = self.lines.get(self.next) {
            let blank = |byte: u8| byte == self.delimiter || byte.is_ascii_whitespace();
            if !line.bytes().all(blank) {
                let number = self.next + 1;
                return Some((number, self.read()));
            }
            self.next += 1;
        }
        None
    }
}

/// Takes a whole record apart.
fn split(record: &str, delimiter: u8) -> Fields {
    // Where a record ends is known already: a lone carriage return inside one is text.
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .terminator(Terminator::Any(0))
        .build();
    let mut output = vec![0; record.len() + 1];
    let mut ends = vec![0; record.bytes().filter(|byte| *byte == delimiter).count() + 2];
    let (mut read, mut written, mut count) = (0, 0, 0);
    loop {
        // An empty input at last tells the reader that the record ends there.
        let (result, taken, put, ended) =
            reader.read_record(&record.as_bytes()[read..], &mut output[written..], &mut ends[count..]);
        (read, written, count) = (read + taken, written + put, count + ended);
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record | ReadRecordResult::End => break,
            // Cannot be: no field is longer than its record.
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => return Err(LineProblem::TooLong),
        }
    }
    let mut start = 0;
    let mut fields = Vec::with_capacity(count);
    for end in ends[..count].iter().copied() {
        let field = output.get(start..end).map(String::from_utf8_lossy);
        fields.push(field.unwrap_or_default().into_owned());
        start = end;
    }
    Ok(fields)
}

/// Where in a record the quotes leave us.
#[derive(Default)]
struct Quoting {
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Bare,
    Quoted,
    /// After a quote inside a quoted field: it was the end, or the first half of a quote that belongs to the text.
    Closing,
}

impl Quoting {
    fn feed(&mut self, text: &str, delimiter: u8) -> Result<(), LineProblem> {
        for byte in text.bytes() {
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::Closing,
                (State::Start | State::Closing, b'"') | (State::Quoted, _) => State::Quoted,
                (_, byte) if byte == delimiter => State::Start,
                (State::Closing, _) => return Err(LineProblem::StrayQuote),
                (State::Start | State::Bare, _) => State::Bare,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &str) -> Vec<(usize, Fields)> {
        let mut records = Records::of(text, b',');
        let (_, heading) = records.next().unwrap();
        records.expect(heading.unwrap().len());
        records.collect()
    }

    fn fields(fields: &[&str]) -> Fields {
        let fields = fields.iter().map(|field| (*field).to_owned());
        fields.map(Ok).collect()
    }

    #[test]
    fn quotes_commas_line_breaks_and_every_line_end_are_read() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "1,\"x, \"\"y\"\"\"", "", ",", "2,"].join(end);
            assert_eq!(
                records(&text),
                [(2, fields(&["1", "x, \"y\""])), (5, fields(&["2", ""]))]
            );
        }
        let several = records("a,b,c\n1,\"two\nlines\",x\n2,y,z\n");
        assert_eq!(
            several,
            [(2, fields(&["1", "two\nlines", "x"])), (4, fields(&["2", "y", "z"]))]
        );
        assert_eq!(records("sep=,\na,b\n1,2"), [(3, fields(&["1", "2"]))]);
    }

    #[test]
    fn a_broken_quote_costs_its_own_line() {
        for broken in ["1,\"Yuki,x", "1,\"Yuki\" T,x", "1,\"Yuki,\"x\"", "\""] {
            let text = format!("a,b,c\n0,y,z\n{broken}\n2,\"Sam\",s\n3,u,v\n");
            let read = records(&text);
            assert_eq!(read.len(), 4, "{broken}: {read:?}");
            assert!(read[1].1.is_err(), "{broken}");
            assert_eq!(read[2], (4, fields(&["2", "Sam", "s"])), "{broken}");
        }
    }

    #[test]
    fn an_enormous_line_is_refused_and_the_next_one_read() {
        let text = format!("a,b\n1,{}\n2,x\n", "y".repeat(MAX_RECORD));
        let read = records(&text);
        assert_eq!(read[0], (2, Err(LineProblem::TooLong)));
        assert_eq!(read[1], (3, fields(&["2", "x"])));
        let many = format!("a,b\n{}", "1,\"x\n".repeat(2000));
        assert_eq!(records(&many).len(), 2000);
    }

    proptest! {
        #[test]
        fn what_a_writer_wrote_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a-z\",;\n 田]{0,8}", 3), 1..8)) {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            writer.write_record(["x", "y", "z"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read: Vec<_> = records(&text).into_iter().map(|(_, fields)| fields).collect();
            // Lines of blanks are skipped, and a quoted field may begin on a line that reads as one.
            let wanted: Vec<_> = rows.iter().filter(|row| row.iter().any(|field| !field.trim().is_empty() )).cloned().map(Ok).collect();
            if rows.iter().flatten().all(|field| !field.trim().is_empty()) {
                prop_assert_eq!(read, wanted);
            }
        }

        #[test]
        fn no_text_panics_or_loops(text in any::<String>(), delimiter in prop::sample::select(&b",;\t"[..])) {
            let mut records = Records::of(&text, delimiter);
            records.expect(3);
            let lines = records.lines();
            prop_assert!(records.by_ref().count() <= lines);
            prop_assert_eq!(records.next(), None);
        }

        #[test]
        fn no_mix_of_quotes_and_line_ends_panics(text in "[\",;\r\n\ta\u{fffd}]{0,200}") {
            let mut records = Records::of(&text, b',');
            records.expect(2);
            records.for_each(drop);
        }
    }
}
