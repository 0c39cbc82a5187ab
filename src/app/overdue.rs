//! [`Overdue`]: attacks that got in and were over before anybody was told of it, until somebody is.

use jiff::Timestamp;

use crate::domain::campaigns::{Campaign, CampaignId};

/// Those that wait. How many get in is for strangers to choose, and memory is not theirs to fill.
const MOST: usize = 256;

/// What is still to be told.
#[derive(Default)]
pub(super) struct Overdue {
    waiting: Vec<Campaign>,
    /// Those that found no room.
    left_out: usize,
}

impl Overdue {
    /// One that is over; it waits, once, when something worked in it of which nobody has been told.
    pub fn add(&mut self, campaign: Campaign) {
        let is_known = self.waiting.iter().any(|known| known.id == campaign.id);
        if campaign.succeeded == campaign.told || is_known {
            return;
        }
        if self.waiting.len() < MOST {
            self.waiting.push(campaign);
        } else {
            self.left_out += 1;
        }
    }

    /// Those that wait, in the order they came.
    pub fn waiting(&self) -> impl Iterator<Item = &Campaign> {
        self.waiting.iter()
    }

    /// The administrators are told of this one: as it is to be stored. `None` when it does not wait.
    pub fn tell(&mut self, id: CampaignId, now: Timestamp) -> Option<Campaign> {
        let place = self.waiting.iter().position(|campaign| campaign.id == id)?;
        let mut campaign = self.waiting.remove(place);
        campaign.tell(now);
        Some(campaign)
    }

    /// How many found no room since this was last asked.
    pub fn take_left_out(&mut self) -> usize {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::at;

    #[test]
    fn so_many_wait_and_how_many_more_there_are_is_known() {
        let mut overdue = Overdue::default();
        let mut last = None;
        for _ in 0..MOST + 3 {
            let id = CampaignId::after(last, at(0));
            last = Some(id);
            overdue.add(Campaign {
                id,
                ..Campaign::sample(false, at(0))
            });
        }
        assert_eq!((overdue.waiting().count(), overdue.take_left_out()), (MOST, 3));
        assert_eq!(overdue.take_left_out(), 0);
    }

    #[test]
    fn one_of_which_all_has_been_told_does_not_wait_and_one_that_is_told_of_waits_no_more() {
        let mut overdue = Overdue::default();
        let campaign = Campaign::sample(false, at(0));
        let mut told = campaign.clone();
        told.tell(at(1));
        overdue.add(told.clone());
        assert_eq!(overdue.waiting().count(), 0);
        overdue.add(campaign.clone());
        assert_eq!(overdue.tell(campaign.id, at(1)), Some(told));
        assert_eq!(overdue.tell(campaign.id, at(1)), None);
    }
}
