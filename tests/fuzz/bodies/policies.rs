//! What the fuzz target `policies` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use sekisho::config::limits_file::{MOST_RULES, parse, write};
use sekisho::domain::limits::difference::Difference;

/// No text panics the reader of policies, every problem is told in a line of its own, and what is taken reads back as the
/// same and has figures.
pub fn policies(text: &str) {
    match parse(text) {
        Ok(policy) => {
            assert!(!policy.rules.is_empty() && policy.rules.len() <= MOST_RULES);
            let again = parse(&write(&policy)).expect("what is written reads back");
            assert!(
                Difference::between(&policy, &again).is_empty(),
                "it reads back as another"
            );
            assert!(!policy.statements().is_empty());
            let _ = policy.advice();
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "it is refused and nobody knows why");
            let lines = text.matches('\n').count() + 1;
            for problem in problems {
                assert!(!problem.to_string().contains('\n'), "a problem of two lines: {problem}");
                assert!(
                    problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                    "{problem} is nowhere"
                );
            }
        }
    }
}
