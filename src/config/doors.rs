//! `[doors]`: the two public addresses every link is built from.

use serde_json::json;

use super::keys::forms::Text;
use super::keys::{Slot, Walker};
use crate::domain::doors::{Door, Doors};

/// The addresses of the example configuration.
pub(super) fn example() -> Doors {
    Doors {
        in_office: fixed("https://phone.office.example.com"),
        out_of_office: fixed("https://phone.example.com"),
    }
}

#[expect(clippy::expect_used, reason = "only given the two texts above, which a test reads")]
fn fixed(text: &str) -> Door {
    Door::parse(text).expect("a door of the example")
}

pub(super) fn walk(doors: &mut Doors, walker: &mut impl Walker) {
    walker.section(
        "doors",
        "Required. The two public addresses under which people reach the gateway. Every link in a letter is built from \
         these and from nothing a request says. Both may be the same.",
    );
    walker.key(
        "in_office",
        "How people reach the gateway inside the office network: https, a host and, where it is not 443, a port.",
        &door(),
        Slot::Required(&mut doors.in_office),
    );
    walker.key(
        "out_of_office",
        "How people reach it from anywhere else.",
        &door(),
        Slot::Required(&mut doors.out_of_office),
    );
}

fn door() -> Text<Door> {
    Text {
        // The text is not repeated: a mistaken address may hold a password.
        parse: |text| Door::parse(text).map_err(str::to_owned),
        print: Door::to_string,
        schema: json!({ "format": "uri" }),
    }
}
