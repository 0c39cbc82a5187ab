//! A plot of characters: people stopped against guesses left.

use anstyle::Style;

use crate::domain::limits::tradeoff::{Point, Scale, Standing, magnitude, whole};

use super::super::output::{FAINT, GOOD};

const WIDTH: usize = 60;
const HEIGHT: usize = 14;

/// The points, guesses to the right by their magnitude, people upwards. Of points in one place the best shows.
pub fn scatter(points: &[(Point, Standing)]) -> Vec<String> {
    let most_stopped = points
        .iter()
        .map(|(point, _)| point.stopped)
        .max()
        .unwrap_or_default()
        .max(1);
    let guesses = points.iter().map(|(point, _)| point.guesses);
    let (fewest, most) = (
        guesses.clone().min().unwrap_or_default(),
        guesses.clone().max().unwrap_or_default(),
    );
    let across = Scale::over(guesses.map(magnitude));
    let upwards = Scale {
        least: 0.0,
        most: whole(most_stopped),
    };
    let mut field: Vec<Vec<Option<Standing>>> = vec![vec![None; WIDTH]; HEIGHT];
    for (point, standing) in points {
        let x = step(&across, magnitude(point.guesses), WIDTH);
        let y = step(&upwards, whole(point.stopped), HEIGHT);
        if let Some(spot) = field.get_mut(HEIGHT - 1 - y).and_then(|row| row.get_mut(x)) {
            *spot = Some(spot.map_or(*standing, |known| better(known, *standing)));
        }
    }
    let margin = most_stopped.to_string().len().max(1);
    let mut lines = vec![format!("{FAINT}people stopped{FAINT:#}")];
    for (row, spots) in field.iter().enumerate() {
        let label = match row {
            0 => most_stopped.to_string(),
            row if row == HEIGHT - 1 => "0".to_owned(),
            _ => String::new(),
        };
        let spots: String = spots.iter().map(|spot| drawn(*spot)).collect();
        lines.push(
            format!("{FAINT}{label:>margin$} │{FAINT:#}{spots}")
                .trim_end()
                .to_owned(),
        );
    }
    let axis = "─".repeat(WIDTH);
    lines.push(format!("{FAINT}{:>margin$} └{axis}{FAINT:#}", ""));
    let ends = format!(
        "{fewest}{most:>rest$}",
        rest = WIDTH.saturating_sub(fewest.to_string().len())
    );
    lines.push(format!("{FAINT}{:>margin$}  {ends}{FAINT:#}", ""));
    lines.push(format!("{FAINT}{:>margin$}  {:>WIDTH$}{FAINT:#}", "", "guesses a day"));
    lines.push(format!(
        "{GOOD}◆{GOOD:#} the knee   ● nothing beats it   {FAINT}· beaten{FAINT:#}"
    ));
    lines
}

const fn better(one: Standing, other: Standing) -> Standing {
    match (one, other) {
        (Standing::Knee, _) | (_, Standing::Knee) => Standing::Knee,
        (Standing::Front, _) | (_, Standing::Front) => Standing::Front,
        _ => Standing::Beaten,
    }
}

fn drawn(spot: Option<Standing>) -> String {
    let (mark, style) = match spot {
        None => return " ".to_owned(),
        Some(Standing::Knee) => ('◆', GOOD),
        Some(Standing::Front) => ('●', Style::new()),
        Some(Standing::Beaten) => ('·', FAINT),
    };
    format!("{style}{mark}{style:#}")
}

/// Which of `steps` places a value has.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a plot of a few dozen"
)]
fn step(scale: &Scale, value: f64, steps: usize) -> usize {
    let part = scale.place(value).unwrap_or_default().clamp(0.0, 1.0);
    (part * (steps - 1) as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(stopped: u64, guesses: u64) -> Point {
        Point {
            quota: "1 per 1m".parse().unwrap(),
            stopped,
            guesses,
        }
    }

    #[test]
    fn a_plot_shows_each_standing_and_both_ends_of_each_axis() {
        let points = [
            (point(40, 10), Standing::Front),
            (point(3, 100), Standing::Knee),
            (point(0, 5000), Standing::Front),
            (point(40, 900), Standing::Beaten),
        ];
        let text = anstream::adapter::strip_str(&scatter(&points).join("\n")).to_string();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_and_one_point_are_drawn_too() {
        assert!(scatter(&[]).len() > HEIGHT);
        let text = scatter(&[(point(0, 0), Standing::Knee)]).join("\n");
        assert_eq!(text.matches('◆').count(), 2, "the point, and what it means");
    }
}
