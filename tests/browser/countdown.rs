//! What the gateway's script shows on a page of the web client. It stands apart from the page, where no CSS of the page
//! reaches it; so do the usual ways of finding things.

use fantoccini::key::Key;
use serde_json::Value;

use crate::browser::Browser;
use crate::harness::eventually;

const SAID: &str = "
    const root = document.querySelector('sekisho-session')?.shadowRoot;
    return root && ['p', 'time', 'button'].map((tag) => root.querySelector(tag).textContent);
";
const FOCUS: &str = "document.querySelector('sekisho-session').shadowRoot.querySelector('button').focus()";

/// Waits until it says this; what it says beside it: the time, and what can be done.
pub async fn says(browser: &Browser, words: &str) -> (String, String) {
    eventually(&format!("the script to say {words:?}"), async || {
        let [said, time, act] = now(browser).await?;
        said.contains(words).then_some((time, act))
    })
    .await
}

async fn now(browser: &Browser) -> Option<[String; 3]> {
    let Value::Array(said) = browser.ask(SAID, Vec::new()).await else {
        return None;
    };
    let said = said
        .into_iter()
        .map(|text| text.as_str().unwrap_or_default().to_owned());
    said.collect::<Vec<_>>().try_into().ok()
}

/// Presses its button, with the keyboard.
pub async fn press(browser: &Browser) {
    browser.ask(FOCUS, Vec::new()).await;
    browser.press(Key::Enter).await;
}
