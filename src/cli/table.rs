//! Tables for people: aligned whatever script a name is written in, light, in colour only on a terminal.

use std::borrow::Cow;

use anstyle::{AnsiColor, Effects, Style};
use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle, TableStyle,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::plain;

/// No lines but one under the head: what is read is the text.
const LIGHT: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// The widest name in a table that no terminal is there to break, in columns of the screen. One person with a name of a
/// hundred kanji must not make every row of everybody two hundred columns wide.
const WIDEST_NAME: usize = 40;

/// Rows under a head.
pub struct Table {
    whole: comfy_table::Table,
    /// The same with long names shortened.
    shortened: comfy_table::Table,
    is_shortened: bool,
    unbroken: Vec<usize>,
}

impl Table {
    /// An empty table with this head.
    pub fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = Self::bare();
        let bold = |word| Cell::new(word).add_attribute(Attribute::Bold);
        let head: Vec<_> = head.into_iter().map(bold).collect();
        table.shortened.set_header(head.clone());
        table.whole.set_header(head);
        table
    }

    /// A name and a value in each row, without a head.
    pub fn of_facts() -> Self {
        Self::bare()
    }

    fn bare() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(LIGHT).style_text_only();
        // Whether colour is wanted is decided in one place: where the text is written.
        table.enforce_styling();
        Self {
            shortened: table.clone(),
            whole: table,
            is_shortened: false,
            unbroken: Vec::new(),
        }
    }

    /// The texts in these columns are copied or compared as a whole: on a narrow terminal others are broken.
    #[must_use]
    pub fn unbroken(mut self, columns: &[usize]) -> Self {
        self.unbroken = columns.to_vec();
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Styled>) {
        let cells: Vec<_> = cells.into_iter().collect();
        self.is_shortened |= cells.iter().any(|cell| cell.shortened.is_some());
        let shortened = cells
            .iter()
            .map(|cell| cell.looking(cell.shortened.as_ref().unwrap_or(&cell.text)));
        self.shortened.add_row(shortened);
        self.whole.add_row(cells.iter().map(|cell| cell.looking(&cell.text)));
    }

    /// Adds a fact: its name, and what it is.
    pub fn fact(&mut self, name: &str, value: impl Into<Styled>) {
        self.row([Styled::faint(name), value.into()]);
    }

    /// Whether [`Table::lines`] leaves out a part of any name.
    pub const fn is_shortened(&self) -> bool {
        self.is_shortened
    }

    /// As wide as its content, one line a row: for programs such as grep. Names alone are shortened when they are very
    /// long; numbers, addresses, ids and what mail servers say are whole.
    pub fn lines(&self) -> String {
        let mut table = spaced(&self.shortened);
        table.force_no_tty();
        table.trim_fmt()
    }

    /// No wider than the terminal; long texts are broken inside their column.
    pub fn fitted(&self) -> String {
        let mut table = spaced(&self.whole);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        for index in &self.unbroken {
            if let Some(column) = table.column_mut(*index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }
}

/// Two blanks between columns: one of the padding, one where a line would be.
fn spaced(table: &comfy_table::Table) -> comfy_table::Table {
    let mut table = table.clone();
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

/// The text of a cell and how it looks.
pub struct Styled {
    text: String,
    /// What stands in its place where tables are not fitted to a terminal, when that is another text.
    shortened: Option<String>,
    style: Style,
}

impl Styled {
    /// Text that looks like this.
    pub fn new(text: &str, style: Style) -> Self {
        Self {
            text: plain(text).into_owned(),
            shortened: None,
            style,
        }
    }

    /// Somebody's name.
    pub fn name(name: &str) -> Self {
        Self::people([("", name)])
    }

    /// People by their extension numbers and names. Numbers are never shortened.
    pub fn people<'a>(people: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut whole, mut shortened) = (Vec::new(), Vec::new());
        for (number, name) in people {
            let name = plain(name);
            let of = |name: &str| format!("{number} {name}").trim_start().to_owned();
            whole.push(of(&name));
            shortened.push(of(&short(&name)));
        }
        let shortened = (whole != shortened).then(|| shortened.join(", "));
        Self {
            shortened,
            ..Self::from(whole.join(", "))
        }
    }

    /// Text that may be skipped.
    pub fn faint(text: &str) -> Self {
        Self::new(text, super::output::FAINT)
    }

    /// The text, or a dash that says that there is none.
    pub fn or_dash(text: Option<&str>) -> Self {
        match text {
            Some(text) if !text.is_empty() => text.into(),
            _ => Self::faint("–"),
        }
    }

    fn looking(&self, text: &str) -> Cell {
        let mut cell = Cell::new(text);
        if let Some(anstyle::Color::Ansi(colour)) = self.style.get_fg_color() {
            cell = cell.fg(terminal_colour(colour));
        }
        let effects = self.style.get_effects();
        if effects.contains(Effects::BOLD) {
            cell = cell.add_attribute(Attribute::Bold);
        }
        if effects.contains(Effects::DIMMED) {
            cell = cell.add_attribute(Attribute::Dim);
        }
        cell
    }
}

impl From<&str> for Styled {
    fn from(text: &str) -> Self {
        Self::new(text, Style::new())
    }
}

impl From<String> for Styled {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// A name that is no wider than names may be; what is left out is an ellipsis.
fn short(name: &str) -> Cow<'_, str> {
    if name.width() <= WIDEST_NAME {
        return Cow::Borrowed(name);
    }
    let mut kept = String::new();
    for c in name.chars() {
        if kept.width() + c.width().unwrap_or(0) >= WIDEST_NAME {
            break;
        }
        kept.push(c);
    }
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// The table writes its own colours; these are the ones that [`super::output`] names.
fn terminal_colour(colour: AnsiColor) -> Color {
    match colour {
        AnsiColor::Green => Color::DarkGreen,
        AnsiColor::Yellow => Color::DarkYellow,
        AnsiColor::Red => Color::DarkRed,
        AnsiColor::Cyan => Color::DarkCyan,
        _ => Color::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::{BAD, GOOD};
    use super::*;

    fn stripped(table: &Table) -> Vec<String> {
        let text = anstream::adapter::strip_str(&table.lines()).to_string();
        text.lines().map(str::to_owned).collect()
    }

    /// Columns on the screen before `needle`.
    fn screen_column(line: &str, needle: &str) -> usize {
        let before = &line[..line.find(needle).unwrap()];
        before
            .chars()
            .map(|c| if c.is_ascii() || c == ' ' { 1 } else { 2 })
            .sum()
    }

    #[test]
    fn columns_stand_under_each_other_whatever_script_a_name_is_in() {
        let mut table = Table::new(["Extension", "Name", "State"]);
        table.row(["101".into(), "田中 ゆき".into(), Styled::new("invited", BAD)]);
        table.row(["102".into(), "Sam Taylor".into(), Styled::new("active", GOOD)]);
        table.row(["1".into(), "ﾀﾅｶ".into(), Styled::or_dash(None)]);
        let lines = stripped(&table);
        let expected = screen_column(&lines[0], "State");
        assert_eq!(screen_column(&lines[2], "invited"), expected, "{lines:#?}");
        assert_eq!(screen_column(&lines[3], "active"), expected, "{lines:#?}");
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|line| line.trim_end() == line), "{lines:#?}");
    }

    #[test]
    fn a_narrow_terminal_breaks_prose_and_never_an_id() {
        let mut table = Table::new(["Id", "Words"]).unbroken(&[0]);
        table.row(["0190b5f2-7f3c-7d1e".into(), "accepted for delivery at last".into()]);
        table.whole.set_width(32);
        let fitted = anstream::adapter::strip_str(&table.fitted()).to_string();
        assert!(fitted.contains("0190b5f2-7f3c-7d1e"), "{fitted}");
        assert!(fitted.lines().all(|line| line.chars().count() <= 32), "{fitted}");
        assert!(fitted.lines().count() > 3, "{fitted}");
    }

    #[test]
    fn a_long_name_is_shortened_where_no_terminal_breaks_it_and_nothing_else_is() {
        let (long, kanji) = ("Yuki ".repeat(20), "田".repeat(100));
        let address = format!("{}@example.com", "y".repeat(64));
        let mut table = Table::new(["Account", "Name", "E-mail"]);
        table.row([
            Styled::people([("101", long.as_str()), ("12345678901234567890123456789012", "Sam")]),
            Styled::name(&kanji),
            address.as_str().into(),
        ]);
        assert!(table.is_shortened());
        let line = &stripped(&table)[2];
        assert!(line.starts_with("101 Yuki Yuki"), "{line}");
        assert!(line.contains("…, 12345678901234567890123456789012 Sam"), "{line}");
        assert!(line.contains(&address) && line.contains("田…"), "{line}");
        assert!(line.width() < 2 * WIDEST_NAME + 50 + address.len(), "{line}");
        table.whole.set_width(200);
        let fitted = anstream::adapter::strip_str(&table.fitted()).to_string();
        assert_eq!(fitted.matches('田').count(), 100, "a terminal breaks it: {fitted}");

        let mut table = Table::new(["Name"]);
        table.row([Styled::name("田中 ゆき")]);
        assert!(!table.is_shortened());
        assert_eq!(short(&"田".repeat(20)), "田".repeat(20), "just as wide as may be");
        assert_eq!(short(&"田".repeat(21)), format!("{}…", "田".repeat(19)));
    }

    #[test]
    fn a_long_text_stays_in_one_line_where_no_terminal_asks_for_less() {
        let mut table = Table::new(["Words"]);
        let long = "250 accepted ".repeat(40);
        table.row([long.as_str().into()]);
        assert_eq!(stripped(&table).len(), 3);
    }

    #[test]
    fn what_a_browser_calls_itself_cannot_colour_the_terminal() {
        let mut table = Table::of_facts();
        table.fact("Browser", "Evil\u{1b}[2J\nnext");
        assert_eq!(stripped(&table), ["Browser  Evil\\u{1b}[2J next"]);
    }
}
