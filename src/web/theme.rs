//! Colours from the operator's one accent: readable on every ground, in light and dark (WCAG 2.2, 1.4.3 and 1.4.11).

use std::fmt;

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour([u8; 3]);

const WHITE: Colour = Colour([255, 255, 255]);
const BLACK: Colour = Colour([0, 0, 0]);

/// The grounds of `style.css` that accent-coloured text stands on.
const LIGHT_GROUND: Colour = Colour([0xf3, 0xf1, 0xec]);
const DARK_GROUND: Colour = Colour([0x1d, 0x22, 0x2a]);

impl Colour {
    /// Reads `#rrggbb`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = value.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.040_45 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// This colour with `percent` of another in it.
    fn mixed(self, other: Self, percent: u16) -> Self {
        let mut channels = self.0;
        for (channel, towards) in channels.iter_mut().zip(other.0) {
            let sum = u16::from(*channel) * (100 - percent) + u16::from(towards) * percent;
            *channel = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(channels)
    }

    /// The nearest mixture with `towards` that stands out from `ground`.
    fn until(self, towards: Self, ground: Self, contrast: f64) -> Self {
        (0..=100)
            .map(|percent| self.mixed(towards, percent))
            .find(|mixture| mixture.contrast(ground) >= contrast)
            .unwrap_or(towards)
    }

    /// White where it can be read on this colour, else black: one of the two always can.
    fn ink(self) -> Self {
        if self.contrast(WHITE) >= 4.5 { WHITE } else { BLACK }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The style sheet that defines the accent's variables.
pub(super) fn style_sheet(accent: Colour) -> String {
    let light = accent.until(BLACK, LIGHT_GROUND, 3.0);
    let dark = accent.until(WHITE, DARK_GROUND, 3.0);
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        variables(
            light,
            accent.until(BLACK, LIGHT_GROUND, 4.8),
            accent.until(BLACK, WHITE, 8.0)
        ),
        variables(
            dark,
            accent.until(WHITE, DARK_GROUND, 5.5),
            accent.until(BLACK, WHITE, 13.0)
        ),
    )
}

fn variables(button: Colour, text: Colour, scene: Colour) -> String {
    let hover = button.mixed(if button.ink() == WHITE { BLACK } else { WHITE }, 14);
    format!(
        "--accent:{button};--accent-hover:{hover};--on-accent:{};--accent-text:{text};--scene:{scene}",
        button.ink()
    )
}

/// The built-in mark in the accent's colour, for browser tabs of either scheme.
pub(super) fn mark(svg: &str, accent: Colour) -> String {
    svg.replace("currentColor", &accent.until(BLACK, WHITE, 3.0).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_colour_reads_as_it_is_written() {
        assert_eq!(Colour::parse("#0F766e").unwrap().to_string(), "#0f766e");
        for bad in [
            "",
            "0f766e",
            "#0f766",
            "#0f766e0",
            "#0g766e",
            "teal",
            "#+f766e",
            "#ｆf766e",
        ] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9);
        let grey = Colour::parse("#767676").unwrap();
        assert!((grey.contrast(WHITE) - 4.54).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn every_accent_is_readable_wherever_it_is_used(channels: [u8; 3]) {
            let accent = Colour(channels);
            for (ground, towards) in [(LIGHT_GROUND, BLACK), (DARK_GROUND, WHITE)] {
                let button = accent.until(towards, ground, 3.0);
                prop_assert!(button.contrast(ground) >= 3.0);
                prop_assert!(button.ink().contrast(button) >= 4.5);
                let hover = button.mixed(if button.ink() == WHITE { BLACK } else { WHITE }, 14);
                prop_assert!(button.ink().contrast(hover) >= 4.5);
                prop_assert!(accent.until(towards, ground, 4.8).contrast(ground) >= 4.5);
            }
            prop_assert!(accent.until(BLACK, WHITE, 8.0).contrast(WHITE) >= 7.0);
        }
    }
}
