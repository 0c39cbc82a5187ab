//! The composition root: configuration becomes adapters, adapters become flows, flows become services.
//! The only module that knows everyone.

mod applied;
mod backup;
mod campaigns;
mod charter;
mod clock;
mod closings;
mod control;
mod counts;
mod crowds;
mod doors;
mod duties;
mod exemptions;
mod floor;
mod keys;
mod lasting;
mod monitor;
mod notices;
mod office;
mod orders;
mod overdue;
mod peppers;
mod pool;
mod preview;
mod promotion;
mod regime;
mod reload;
mod serve;
mod stamp;
mod succession;
mod tasks;
mod theme;
mod trust;
mod watchdog;

pub use applied::read as read_policy;
pub use backup::{
    BackupProblem, Check, Created, Manifest, Origin, PepperStanding, Restored, Restoring, SealingStanding, Step,
    Verdict, create as create_backup, prove as prove_backup, restore as restore_backup,
};
pub use campaigns::Activity;
pub use charter::check_blocklists;
pub use control::{ask_for_activity, ask_to_govern, ask_to_reload, ask_to_upgrade};
pub use doors::survey as survey_certificates;
pub use keys::SigningKeys;
pub use office::{BounceDesk, Office, Printed, world};
pub use peppers::{PepperRotation, Reliance, Standing};
pub use preview::{KINDS, Preview, preview};
pub use promotion::{former as former_policy, promote as promote_policy, revert as revert_policy};
pub use regime::Governing;
pub use reload::Reloaded;
pub use serve::{Listening, Origins, serve};
pub use succession::{Predecessor, Upgraded, detach};
pub use theme::{built_in_theme, check_theme};
pub use trust::check_trust;

pub use crate::store::StoreLock;
