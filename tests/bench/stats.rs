//! Medians and quartiles: what a few noisy turns have in common.

use std::fmt;

use serde::Serialize;

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the figures lie below.
    pub median: f64,
    /// A quarter of the figures lies below.
    pub lower: f64,
    /// A quarter of the figures lies above.
    pub upper: f64,
}

impl Spread {
    /// Of at least one figure; of none, everything is zero.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { median, lower, upper } = self;
        write!(f, "{median:.digits$} [{lower:.digits$}, {upper:.digits$}]")
    }
}

/// Interpolated between the two nearest figures.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a handful of figures, and a share between 0 and 1"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = last as f64 * share;
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or_default();
    at(below) + (at(below + 1) - at(below)) * place.fract()
}
