//! What a policy of the limits comes to, in sentences.

mod en;
mod ja;

use std::time::Duration;

use crate::domain::language::Language;
use crate::domain::limits::advice::Advice;
use crate::domain::limits::allowance::{Allowance, DAY, HOUR};
use crate::domain::limits::reading::Statement;

/// A statement about a policy.
pub fn statement(language: Language, statement: &Statement) -> String {
    match language {
        Language::En => en::statement(statement),
        Language::Ja => ja::statement(statement),
    }
}

/// Something to think over.
pub fn advice(language: Language, advice: &Advice) -> String {
    match language {
        Language::En => en::advice(advice),
        Language::Ja => ja::advice(advice),
    }
}

/// How much gets through in the long run, in the unit that tells it without a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Hourly { hour: u64, day: u64 },
    Daily(u64),
    OneIn(Duration),
}

impl Rate {
    fn of(allowance: &Allowance) -> Self {
        let (hour, day) = (allowance.lasting(HOUR), allowance.lasting(DAY));
        if hour > 0 && hour.saturating_mul(24) == day {
            Self::Hourly { hour, day }
        } else if day > 0 {
            Self::Daily(day)
        } else {
            Self::OneIn(allowance.interval())
        }
    }
}

/// With a comma between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
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
    use crate::config::limits_file::{Preset, parse};
    use crate::domain::limits::policy::Policy;

    fn said(language: Language, policy: &Policy) -> String {
        let statements = policy.statements();
        let statements = statements.iter().map(|said| statement(language, said));
        let advice = policy.advice();
        let advice = advice
            .iter()
            .map(|said| format!("warning: {}", advice_in(language, said)));
        statements.chain(advice).collect::<Vec<_>>().join("\n")
    }

    fn advice_in(language: Language, said: &Advice) -> String {
        advice(language, said)
    }

    #[test]
    fn the_presets_are_said_in_both_languages() {
        for preset in Preset::ALL {
            for language in Language::ALL {
                let name = format!("{}_{}", preset.as_str(), language.tag());
                insta::assert_snapshot!(name, said(language, &preset.policy()));
            }
        }
    }

    #[test]
    fn whatever_is_odd_about_a_policy_is_said_in_both_languages() {
        let odd = parse(
            r#"
            exempt = ["0.0.0.0/0"]
            [[rule]]
            name = "rare"
            endpoint = "sign-in"
            key = "account"
            quota = "1 per 7d"
            [[rule]]
            name = "never"
            endpoint = "sign-in"
            key = "account"
            quota = "5 per 1h"
            in_flight = 9
            [[rule]]
            name = "all"
            endpoint = ["sign-in", "forgot-password"]
            key = "global"
            quota = "100 per 1day"
            [[rule]]
            name = "network"
            endpoint = "sign-in"
            key = "subnet"
            quota = "1000000 per 7h"
            "#,
        )
        .unwrap();
        let none = Policy::default();
        for language in Language::ALL {
            insta::assert_snapshot!(format!("odd_{}", language.tag()), said(language, &odd));
            insta::assert_snapshot!(format!("none_{}", language.tag()), said(language, &none));
        }
    }

    #[test]
    fn the_sentence_of_the_guide_is_said_word_for_word() {
        let policy = parse(
            "[[rule]]\nname = \"guesses\"\nendpoint = \"sign-in\"\nkey = \"account\"\nquota = \"12 per 1h\"\nlane = \"strangers\"",
        )
        .unwrap();
        assert_eq!(
            statement(Language::En, &policy.statements()[0]),
            "A stranger gets at most 12 guesses an hour for one account, 288 a day, wherever they come from (300 in the \
             first day, since 12 may come at once)."
        );
    }

    #[test]
    fn thousands_are_told_apart() {
        let shown = [0, 999, 1_000, 36_000, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "36,000", "1,234,567"]);
    }
}
