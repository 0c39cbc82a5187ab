//! The composition root: configuration becomes adapters, adapters become flows, flows become services.
//! The only module that knows everyone.

mod clock;
mod keys;
mod office;
mod peppers;
mod serve;
mod tasks;

pub use keys::SigningKeys;
pub use office::{Office, world};
pub use peppers::{PepperRotation, Reliance, Standing};
pub use serve::{Listening, serve};

pub use crate::store::StoreLock;
