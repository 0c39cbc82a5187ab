//! Tables for people: aligned whatever script a name is written in, light, in colour only on a terminal.

use anstyle::{AnsiColor, Effects, Style};
use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle, TableStyle,
};

use super::output::plain;

/// No lines but one under the head: what is read is the text.
const LIGHT: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// Rows under a head.
pub struct Table {
    table: comfy_table::Table,
    unbroken: Vec<usize>,
}

impl Table {
    /// An empty table with this head.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        let mut table = Self::bare();
        table
            .table
            .set_header(head.map(|word| Cell::new(word).add_attribute(Attribute::Bold)));
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
            table,
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
        self.table
            .add_row(cells.into_iter().map(Styled::into_cell).collect::<Vec<_>>());
    }

    /// Adds a fact: its name, and what it is.
    pub fn fact(&mut self, name: &str, value: impl Into<Styled>) {
        self.row([Styled::faint(name), value.into()]);
    }

    /// As wide as its content, one line a row: for programs such as grep.
    pub fn whole(&self) -> String {
        let mut table = self.spaced();
        table.force_no_tty();
        table.trim_fmt()
    }

    /// No wider than the terminal; long texts are broken inside their column.
    pub fn fitted(&self) -> String {
        let mut table = self.spaced();
        table.set_content_arrangement(ContentArrangement::Dynamic);
        for index in &self.unbroken {
            if let Some(column) = table.column_mut(*index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }

    /// Two blanks between columns: one of the padding, one where a line would be.
    fn spaced(&self) -> comfy_table::Table {
        let mut table = self.table.clone();
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        table
    }
}

/// The text of a cell and how it looks.
pub struct Styled {
    text: String,
    style: Style,
}

impl Styled {
    /// Text that looks like this.
    pub fn new(text: &str, style: Style) -> Self {
        Self {
            text: plain(text).into_owned(),
            style,
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

    fn into_cell(self) -> Cell {
        let mut cell = Cell::new_owned(self.text);
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
        let text = anstream::adapter::strip_str(&table.whole()).to_string();
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
        table.table.set_width(32);
        let fitted = anstream::adapter::strip_str(&table.fitted()).to_string();
        assert!(fitted.contains("0190b5f2-7f3c-7d1e"), "{fitted}");
        assert!(fitted.lines().all(|line| line.chars().count() <= 32), "{fitted}");
        assert!(fitted.lines().count() > 3, "{fitted}");
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
