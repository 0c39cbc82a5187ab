//! From when on failures are an attack. The figures are those of a day in an office with room to spare: Monday morning, a
//! password that was changed on Friday, and a telephone that goes on with the old one.

use std::time::Duration;

/// *Guessing*: so many different passwords at one account, by browsers that it does not know. A person who has forgotten
/// hers tries a handful; a program with an old password tries the same one for ever.
pub const GUESSES: u64 = 20;

/// *Spraying*: the same password at so many accounts, none of which it opens. Two colleagues may have the same wrong one
/// in mind, ten have not.
pub const SPRAYED: u64 = 10;

/// *Stuffing* and *probing*: so many names from one client without a success of theirs, times the people the client
/// counts as. In an office whoever mistypes gets in a moment later.
pub const STUFFED: u64 = 20;

/// The same from everywhere together, where no client stands out.
pub const SCATTERED: u64 = 50;

/// From at least so many clients.
pub const SCATTERED_FROM: u64 = 10;

/// Names that fail are an attack only when they are more than so many times those that got in at the same place.
pub const FAILED_PER_ENTERED: u64 = 2;

/// *Probing*: of a hundred names that were looked up, at least so many do not exist.
pub const UNKNOWN_PERCENT: u64 = 80;

/// *Mail bomb*: so many letters asked for to one address.
pub const BOMBED: u64 = 10;

/// Or to so many addresses by one client, times the people it counts as.
pub const BOMBED_ADDRESSES: u64 = 30;

/// What lies further back than this does not count towards any of it; half of this time always does.
pub const WINDOW: Duration = Duration::from_hours(1);

/// A campaign of which nothing was seen for so long is over.
pub const QUIET: Duration = Duration::from_mins(30);

/// The most that are followed at once; another one takes the place of the one with the fewest attempts, of those first that
/// are aimed at nobody's account.
pub const MOST_LIVING: usize = 64;

/// The most budgets of one client that raise a figure.
pub const MOST_BUDGETS: u32 = 50;
