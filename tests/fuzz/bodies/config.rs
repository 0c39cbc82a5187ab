//! What the fuzz target `config` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use std::path::Path;

use sekisho::config::Config;

/// What has no default.
const HEAD: &str = r#"doors.in_office = "https://in.example"
doors.out_of_office = "https://out.example"
upstream.url = "http://127.0.0.1:5000"
mail.from = "no-reply@in.example"
mail.smtp_host = "127.0.0.1"
"#;

/// No text panics the reader of configurations, every problem is told in a line of its own, and what is taken reads
/// back as the same.
pub fn config(text: &str) {
    read(text);
    read(&format!("{HEAD}{text}"));
}

fn read(text: &str) {
    let file = Path::new("sekisho.toml");
    match Config::parse(text, file) {
        Ok(config) => {
            let shown = config.show();
            assert_eq!(
                Config::parse(&shown, file).as_ref(),
                Ok(&config),
                "it reads back as another"
            );
            assert!(config.changes(&config, &config).is_empty(), "it differs from itself");
            for warning in config.warnings() {
                assert!(!warning.to_string().contains('\n'), "a warning of two lines: {warning}");
            }
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "it is refused and nobody knows why");
            let lines = text.matches('\n').count() + 1;
            for problem in errors.0 {
                assert!(!problem.to_string().contains('\n'), "a problem of two lines: {problem}");
                assert!(
                    problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                    "{problem} is nowhere"
                );
            }
        }
    }
}
