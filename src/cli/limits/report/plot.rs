//! Plots as SVG inside the page. Colours, and dashes for those who tell no colours apart, are classes of its style sheet;
//! every figure that a plot shows is in a table, too.

use std::fmt::Write as _;

use super::escaped;
use crate::domain::limits::replay::Series;
use crate::domain::limits::tradeoff::{Point, Scale, Standing, magnitude, whole};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// What was tried, as an area, and what of it each policy refused, as lines.
pub fn over_time(label: &str, all: &Series, refused: &[&Series], time: impl Fn(usize) -> String) -> String {
    let steps = all.buckets.len().max(1);
    let most = all
        .buckets
        .iter()
        .map(|bucket| bucket.attempts)
        .max()
        .unwrap_or_default()
        .max(1);
    let top = round_up(most);
    let x = |index: usize| LEFT + (WIDTH - LEFT - RIGHT) * count(index) / count(steps);
    let y = |value: u64| scaled(whole(value), whole(top));
    let stairs = |value: &dyn Fn(usize) -> u64| {
        let mut path = String::new();
        for index in 0..steps {
            let height = y(value(index));
            let _infallible = write!(path, " L{:.1} {height:.1} L{:.1} {height:.1}", x(index), x(index + 1));
        }
        path
    };
    let mut svg = begin(label, HEIGHT);
    grid(&mut svg, top);
    let base = y(0);
    let area = stairs(&|index| all.buckets.get(index).map_or(0, |bucket| bucket.attempts));
    let _infallible = write!(
        svg,
        "<path class=\"all\" d=\"M{LEFT} {base:.1}{area} L{:.1} {base:.1} Z\"/>",
        x(steps)
    );
    for (series, class) in refused.iter().zip(["a", "b"]) {
        let line = stairs(&|index| series.buckets.get(index).map_or(0, |bucket| bucket.refused));
        let first = y(series.buckets.first().map_or(0, |bucket| bucket.refused));
        let _infallible = write!(svg, "<path class=\"{class}\" d=\"M{LEFT} {first:.1}{line}\"/>");
    }
    let labels = 5.min(steps);
    for number in 0..labels {
        let index = number * steps / labels;
        let _infallible = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(index),
            HEIGHT - 12.0,
            escaped(&time(index))
        );
    }
    svg + "</svg>"
}

/// A bar for each name and policy.
pub fn bars(label: &str, rows: &[(String, Vec<u64>)]) -> String {
    const ROW: f64 = 20.0;
    const NAMES: f64 = 240.0;
    let most = rows
        .iter()
        .flat_map(|(_, values)| values)
        .copied()
        .max()
        .unwrap_or_default()
        .max(1);
    let lines: usize = rows.iter().map(|(_, values)| values.len() + 1).sum();
    let mut svg = begin(label, (count(lines) * ROW).max(ROW));
    let mut y = 0.0;
    for (name, values) in rows {
        let _infallible = write!(
            svg,
            "<text class=\"name\" x=\"0\" y=\"{:.1}\">{}</text>",
            y + 14.0,
            escaped(name)
        );
        for (value, class) in values.iter().zip(["bar-a", "bar-b"]) {
            let width = (WIDTH - NAMES - 90.0) * whole(*value) / whole(most);
            let _infallible = write!(
                svg,
                "<rect class=\"{class}\" x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"13\" rx=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                y + 3.0,
                width.max(1.0),
                NAMES + width + 8.0,
                y + 14.0,
                grouped(*value)
            );
            y += ROW;
        }
        y += ROW / 2.0;
    }
    svg + "</svg>"
}

/// People stopped upwards, guesses left to the right by their magnitude.
pub fn tradeoff(label: &str, axes: [&str; 2], points: &[(Point, Standing)]) -> String {
    const TALL: f64 = 380.0;
    let top = round_up(
        points
            .iter()
            .map(|(point, _)| point.stopped)
            .max()
            .unwrap_or_default()
            .max(1),
    );
    let across = Scale::over(points.iter().map(|(point, _)| magnitude(point.guesses)));
    let x = |guesses: u64| {
        let part = across.place(magnitude(guesses)).unwrap_or(0.5);
        LEFT + 20.0 + (WIDTH - LEFT - RIGHT - 60.0) * part
    };
    let y = |stopped: u64| TOP + (TALL - TOP - BOTTOM - 14.0) * (1.0 - whole(stopped) / whole(top));
    let mut svg = begin(label, TALL);
    let (base, right) = (y(0), WIDTH - RIGHT);
    let _infallible = write!(
        svg,
        "<path class=\"axis\" d=\"M{LEFT} {TOP} V{base:.1} H{right}\"/><text x=\"{LEFT}\" y=\"{:.1}\" text-anchor=\"end\" dx=\"-8\">{}</text>\
         <text x=\"{LEFT}\" y=\"{base:.1}\" text-anchor=\"end\" dx=\"-8\">0</text>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text><text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        TOP + 10.0,
        grouped(top),
        LEFT + 8.0,
        TOP + 10.0,
        escaped(axes[1]),
        TALL - 6.0,
        escaped(axes[0]),
    );
    let mut front: Vec<_> = points
        .iter()
        .filter(|(_, standing)| *standing != Standing::Beaten)
        .collect();
    front.sort_by_key(|(point, _)| point.guesses);
    let line: Vec<_> = front
        .iter()
        .map(|(point, _)| format!("{:.1},{:.1}", x(point.guesses), y(point.stopped)))
        .collect();
    let _infallible = write!(svg, "<polyline class=\"link\" points=\"{}\"/>", line.join(" "));
    // The best last, so that nothing lies over it.
    let rank = |standing: &Standing| match standing {
        Standing::Beaten => 0,
        Standing::Front => 1,
        Standing::Knee => 2,
    };
    let mut ordered: Vec<_> = points.iter().collect();
    ordered.sort_by_key(|(_, standing)| rank(standing));
    for (point, standing) in ordered {
        dot(&mut svg, [x(point.guesses), y(point.stopped)], point, *standing);
    }
    for (point, _) in [front.first(), front.last()].into_iter().flatten() {
        let _infallible = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(point.guesses),
            base + 16.0,
            grouped(point.guesses)
        );
    }
    svg + "</svg>"
}

fn dot(svg: &mut String, [x, y]: [f64; 2], point: &Point, standing: Standing) {
    let title = format!(
        "<title>{}: {} / {}</title>",
        point.quota,
        grouped(point.stopped),
        grouped(point.guesses)
    );
    let _infallible = match standing {
        Standing::Beaten => write!(
            svg,
            "<circle class=\"beaten\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\">{title}</circle>"
        ),
        Standing::Front => write!(
            svg,
            "<circle class=\"front\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\">{title}</circle>"
        ),
        Standing::Knee => write!(
            svg,
            "<path class=\"knee\" d=\"M{x:.1} {:.1} l9 9 l-9 9 l-9 -9 Z\">{title}</path><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            y - 9.0,
            x + 14.0,
            y - 8.0,
            point.quota
        ),
    };
}

fn begin(label: &str, height: f64) -> String {
    let label = escaped(label);
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{label}\">")
}

/// Lines at nothing, half and all, with their figures.
fn grid(svg: &mut String, top: u64) {
    for value in [0, top / 2, top] {
        let y = scaled(whole(value), whole(top));
        let _infallible = write!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {y:.1} H{:.1}\"/><text x=\"{LEFT}\" y=\"{:.1}\" text-anchor=\"end\" dx=\"-8\">{}</text>",
            WIDTH - RIGHT,
            y + 4.0,
            grouped(value)
        );
    }
}

fn scaled(value: f64, top: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top)
}

fn count(number: usize) -> f64 {
    whole(number as u64)
}

/// The next number that begins with 1, 2 or 5 and has noughts behind it.
fn round_up(value: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for times in [1, 2, 5] {
            let candidate = step.saturating_mul(times);
            if candidate >= value {
                // An even number has a whole half.
                return candidate.max(2);
            }
        }
        step = step.saturating_mul(10);
    }
}

/// A number with thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_thousands_and_axes_end_at_round_ones() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(
            [0, 1, 3, 5, 11, 4999, 5001].map(round_up),
            [2, 2, 5, 5, 20, 5000, 10_000]
        );
    }

    #[test]
    fn nothing_that_a_policy_is_called_breaks_out_of_a_plot() {
        let svg = bars("<b>\"", &[("</text><script>x</script>".to_owned(), vec![3, 1])]);
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
        assert!(!bars("x", &[]).is_empty() && !tradeoff("x", ["a", "b"], &[]).is_empty());
    }
}
