//! [`Closings`]: passwords that attacks got in with and that are to be taken away, until they are.

use std::collections::HashSet;

use crate::domain::account::AccountId;
use crate::domain::campaigns::{CampaignId, Success};
use crate::domain::fault::Fault;
use crate::ports::Change;

/// What is left to do.
#[derive(Default)]
pub(super) struct Closings {
    waiting: Vec<(CampaignId, Success)>,
    /// Accounts whose passwords cannot be taken away, so that each is told of once.
    stuck: HashSet<AccountId>,
}

impl Closings {
    /// One more.
    pub fn add(&mut self, campaign: CampaignId, success: Success) {
        self.waiting.push((campaign, success));
    }

    /// Tries each. An account that cannot be understood is tried again the next time, and holds up no other one.
    ///
    /// # Errors
    /// When the store does not answer: whatever is left waits for it.
    pub async fn work<F>(&mut self, close: impl Fn(CampaignId, Success) -> F + Send) -> Result<(), Fault>
    where
        F: Future<Output = Result<Change, Fault>> + Send,
    {
        let mut rest = std::mem::take(&mut self.waiting).into_iter();
        while let Some((campaign, success)) = rest.next() {
            let account = success.person;
            match close(campaign, success).await {
                Ok(Change::Done) => {
                    tracing::warn!(%campaign, %account, "a password that an attack got in with was taken away");
                }
                Ok(Change::Unchanged | Change::NotFound | Change::LastAdministrator) => {
                    tracing::info!(%campaign, %account, "the password that an attack got in with is there no more");
                }
                Err(fault @ Fault::Corrupt { .. }) => {
                    self.waiting.push((campaign, success));
                    if self.stuck.insert(account) {
                        tracing::error!(
                            %campaign, %account, fault = fault.chain(),
                            "a password that an attack got in with cannot be taken away; it is tried again"
                        );
                    }
                    continue;
                }
                Err(fault) => {
                    self.waiting.push((campaign, success));
                    self.waiting.extend(rest);
                    return Err(fault);
                }
            }
            self.stuck.remove(&account);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::session::tests::at;

    fn success(number: u128) -> Success {
        Success {
            at: at(0),
            client: ClientAddr::new([203, 0, 113, 7].into()),
            person: AccountId::new(Uuid::from_u128(number)),
        }
    }

    /// Tries once; answers whose were tried.
    async fn tried(closings: &mut Closings, close: impl Fn(u128) -> Result<Change, Fault> + Send + Sync) -> Vec<u128> {
        let tried = Mutex::new(Vec::new());
        let work = closings.work(|_, success| {
            let number = (0..9).find(|number| AccountId::new(Uuid::from_u128(*number)) == success.person);
            let number = number.unwrap();
            tried.lock().push(number);
            std::future::ready(close(number))
        });
        let _ = work.await;
        tried.into_inner()
    }

    #[tokio::test]
    async fn an_account_that_cannot_be_read_holds_up_no_other_closing() {
        let mut closings = Closings::default();
        let campaign = CampaignId::after(None, at(0));
        for number in 1..=3 {
            closings.add(campaign, success(number));
        }
        let unreadable = |number| match number {
            2 => Err(Fault::corrupt("could not read the account", "its role is none")),
            _ => Ok(Change::Done),
        };
        assert_eq!(tried(&mut closings, unreadable).await, [1, 2, 3]);
        closings.add(campaign, success(4));
        assert_eq!(tried(&mut closings, unreadable).await, [2, 4]);
        assert_eq!(
            tried(&mut closings, |_| Ok(Change::Done)).await,
            [2],
            "it is tried until it works"
        );
        assert_eq!(tried(&mut closings, |_| Ok(Change::Done)).await, [0; 0]);
    }

    #[tokio::test]
    async fn while_the_store_does_not_answer_all_of_them_wait() {
        let mut closings = Closings::default();
        for number in 1..=3 {
            closings.add(CampaignId::after(None, at(0)), success(number));
        }
        let down = |_| Err(Fault::unavailable("could not take the password away", "it is down"));
        assert_eq!(tried(&mut closings, down).await, [1], "nobody else is tried in vain");
        let mut later = tried(&mut closings, |_| Ok(Change::Done)).await;
        later.sort_unstable();
        assert_eq!(later, [1, 2, 3]);
    }
}
