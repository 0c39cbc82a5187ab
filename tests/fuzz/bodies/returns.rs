//! What the fuzz target `returns` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use http::HeaderValue;
use sekisho::domain::target::ReturnTo;
use url::Url;

/// Where browsers are when they follow a return path.
const PLACES: [&str; 3] = [
    "https://door.example/",
    "https://door.example/login?return_to=%2F",
    "https://door.example:8443/.sekisho/a/b",
];

/// No text panics the reader of return paths, and no browser leaves the origin by one that is taken: neither as it is,
/// nor after somebody decoded it once more.
pub fn returns(text: &str) {
    let Some(path) = ReturnTo::parse(text) else { return };
    assert_eq!(path.as_str(), text, "nothing is repaired");
    assert_eq!(ReturnTo::parse(path.as_str()), Some(path.clone()), "it is taken again");
    assert!(
        HeaderValue::from_str(path.as_str()).is_ok(),
        "{text:?} is no header value"
    );
    let (way, _) = text.split_once('?').unwrap_or((text, ""));
    let decoded = url::form_urlencoded::parse(format!("way={}", way.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned());
    for place in PLACES {
        let place = Url::parse(place).expect("a place is an address");
        for spelling in [Some(text.to_owned()), decoded.clone()].into_iter().flatten() {
            let there = place.join(&spelling).map(|there| there.origin());
            assert_eq!(there, Ok(place.origin()), "{spelling:?} leads away");
        }
    }
}
