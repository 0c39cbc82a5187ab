//! Whether a page can be used by everybody, as far as axe-core can tell.

use serde_json::{Value, json};

use crate::browser::Browser;

const AXE: &str = include_str!("vendor/axe.min.js");

/// WCAG 2.2 at levels A and AA, and what axe's authors have learnt beyond it.
const STANDARDS: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const RUN: &str = "
    const [runOnly, done] = arguments;
    axe.run(document, { runOnly, resultTypes: ['violations'] }).then(
        ({ violations, passes }) => done({
            passed: passes.length,
            violations: violations.flatMap(({ id, impact, help, nodes }) =>
                nodes.map(({ target, html, failureSummary }) => ({ id, impact, help, target, html, failureSummary }))),
        }),
        (error) => done({ error: String(error) }));
";

/// What axe finds wrong with the page as it is shown now.
pub async fn violations(browser: &Browser) -> Vec<Value> {
    run(browser, json!({"type": "tag", "values": STANDARDS}), 10).await
}

/// What axe finds wrong with its colours alone.
pub async fn unreadable(browser: &Browser) -> Vec<Value> {
    run(
        browser,
        json!({"type": "rule", "values": ["color-contrast", "link-in-text-block"]}),
        1,
    )
    .await
}

async fn run(browser: &Browser, rules: Value, least: u64) -> Vec<Value> {
    if browser.ask("return typeof axe === 'undefined'", Vec::new()).await == true {
        browser.ask(AXE, Vec::new()).await;
    }
    let found = browser.ask_later(RUN, vec![rules]).await;
    let passed = found["passed"]
        .as_u64()
        .unwrap_or_else(|| panic!("axe did not run: {found}"));
    assert!(passed >= least, "axe looked at next to nothing: {found}");
    found["violations"].as_array().cloned().expect("a list")
}
