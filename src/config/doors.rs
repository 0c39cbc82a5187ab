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

/// The addresses of the site in the example.
pub(super) fn example_of_site() -> Doors {
    Doors {
        in_office: fixed("https://wiki.office.example.com"),
        out_of_office: fixed("https://wiki.example.com"),
    }
}

#[expect(clippy::expect_used, reason = "only given the texts above, which a test reads")]
fn fixed(text: &str) -> Door {
    Door::parse(text).expect("a door of the example")
}

/// What holds where a door is not written.
#[derive(Clone, Copy)]
pub(super) enum Otherwise<'a> {
    /// It must be.
    Nothing,
    /// The door of the main site.
    Of(&'a Doors),
}

pub(super) fn walk(doors: &mut Doors, walker: &mut impl Walker, otherwise: Otherwise<'_>) {
    walker.section(
        "doors",
        match otherwise {
            Otherwise::Nothing => {
                "Required. The two public addresses under which people reach the gateway. Every link in a letter is built \
                 from these and from nothing a request says. Both may be the same."
            }
            Otherwise::Of(_) => {
                "The addresses of this site. Links in letters that are asked for there lead there, those of Welcome \
                 letters to the main site."
            }
        },
    );
    let in_office = match otherwise {
        Otherwise::Nothing => (
            "How people reach the gateway inside the office network: https, a host and, where it is not 443, a port.",
            Slot::Required(&mut doors.in_office),
        ),
        Otherwise::Of(main) => (
            "How people reach it inside the office network. Without it, by the door of the main site.",
            Slot::Derived(&mut doors.in_office, main.in_office.clone()),
        ),
    };
    walker.key("in_office", in_office.0, &door(), in_office.1);
    let out_of_office = match otherwise {
        Otherwise::Nothing => (
            "How people reach it from anywhere else.",
            Slot::Required(&mut doors.out_of_office),
        ),
        Otherwise::Of(main) => (
            "How people reach it from anywhere else. Without it, by the door of the main site.",
            Slot::Derived(&mut doors.out_of_office, main.out_of_office.clone()),
        ),
    };
    walker.key("out_of_office", out_of_office.0, &door(), out_of_office.1);
}

fn door() -> Text<Door> {
    Text {
        // The text is not repeated: a mistaken address may hold a password.
        parse: |text| Door::parse(text).map_err(str::to_owned),
        print: Door::to_string,
        schema: json!({ "format": "uri" }),
    }
}
