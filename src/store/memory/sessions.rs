//! Sessions in memory, and the log of changes.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryStore, State};
use crate::domain::account::{Account, AccountId, AccountState};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::session::{Session, SessionId};
use crate::domain::token::TokenDigest;
use crate::ports::{Changed, Renewal, Room, Sessions};
use crate::store::change_time;

#[async_trait]
impl Sessions for MemoryStore {
    async fn begin(
        &self,
        session: &Session,
        replaces: Option<TokenDigest>,
        room: &Room<'_>,
        then: Consequences,
    ) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let Some(stored) = state.accounts.get_mut(&session.account).filter(|stored| {
            stored.account.state == AccountState::Active && stored.account.generation == session.generation
        }) else {
            return Ok(false);
        };
        stored.last_sign_in_at = Some(session.created_at);
        if let Some(digest) = replaces
            && state.sessions.remove(&digest).is_some()
        {
            state.note(session.created_at, Changed::Session(digest));
        }
        for (digest, id) in state.crowding(session, room.most) {
            state.sessions.remove(&digest);
            state.note(session.created_at, Changed::Session(digest));
            state.record(Consequences::event((room.ended)(id)));
        }
        state.sessions.insert(session.digest, session.clone());
        state.record(then);
        Ok(true)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<(Session, Account)>, Fault> {
        let state = self.state.lock();
        Ok(state
            .sessions
            .get(digest)
            .and_then(|session| state.with_account(session)))
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<(Session, Account)>, Fault> {
        let state = self.state.lock();
        let found = state.sessions.values().find(|session| session.id == id);
        Ok(found.and_then(|session| state.with_account(session)))
    }

    async fn end(&self, id: SessionId, then: Consequences) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let digest = state.digest_of(id);
        let Some(ended) = digest.and_then(|digest| state.sessions.remove(&digest)) else {
            return Ok(false);
        };
        let at = change_time(&then).unwrap_or(ended.last_seen_at);
        state.note(at, Changed::Session(ended.digest));
        state.record(then);
        Ok(true)
    }

    async fn renew(&self, renewal: &Renewal, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let renewed = state.renew(renewal, now);
        if renewed {
            state.record(then);
        }
        Ok(renewed)
    }

    async fn list(&self, account: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault> {
        let state = self.state.lock();
        let mut listed: Vec<_> = state
            .sessions
            .values()
            .filter(|session| account.is_none_or(|account| session.account == account))
            .filter_map(|session| state.with_account(session))
            .collect();
        listed.sort_by_key(|(session, _)| std::cmp::Reverse((session.created_at, session.id.to_string())));
        Ok(listed)
    }

    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Result<(), Fault> {
        let mut state = self.state.lock();
        for (id, at) in seen {
            if let Some(digest) = state.digest_of(*id)
                && let Some(session) = state.sessions.get_mut(&digest)
            {
                session.last_seen_at = session.last_seen_at.max(*at);
            }
        }
        Ok(())
    }

    async fn sweep(&self, begun_before: Timestamp, seen_before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let before = state.sessions.len();
        // The clock has ended these already, wherever they are remembered: that is no change to follow.
        state
            .sessions
            .retain(|_, session| session.created_at >= begun_before && session.last_seen_at >= seen_before);
        Ok((before - state.sessions.len()) as u64)
    }

    async fn changes_since(&self, cursor: Option<i64>) -> Result<(Vec<Changed>, i64), Fault> {
        let state = self.state.lock();
        let newest = state.changes.last().map(|change| change.seq);
        let Some(cursor) = cursor else {
            return Ok((Vec::new(), newest.unwrap_or(0)));
        };
        let later = state.changes.iter().filter(|change| change.seq > cursor);
        Ok((
            later.map(|change| change.what.clone()).collect(),
            newest.map_or(cursor, |newest| newest.max(cursor)),
        ))
    }

    async fn sweep_changes(&self, before: Timestamp) -> Result<(), Fault> {
        self.state.lock().changes.retain(|change| change.at >= before);
        Ok(())
    }
}

impl State {
    fn with_account(&self, session: &Session) -> Option<(Session, Account)> {
        let stored = self.accounts.get(&session.account)?;
        Some((session.clone(), stored.account.clone()))
    }

    fn digest_of(&self, id: SessionId) -> Option<TokenDigest> {
        let session = self.sessions.values().find(|session| session.id == id)?;
        Some(session.digest)
    }

    /// Whether this is a living session of the account, under the old token.
    pub(super) fn is_renewable(&self, renewal: &Renewal) -> bool {
        let Some(session) = self.sessions.get(&renewal.old) else {
            return false;
        };
        session.id == renewal.session && session.account == renewal.account && self.is_living(session)
    }

    /// Gives a living session its new token, used and authenticated as of `now`. `false` when it is not renewable.
    pub(super) fn renew(&mut self, renewal: &Renewal, now: Timestamp) -> bool {
        if !self.is_renewable(renewal) {
            return false;
        }
        let Some(mut session) = self.sessions.remove(&renewal.old) else {
            return false;
        };
        session.digest = renewal.new;
        session.authenticated_at = now;
        session.last_seen_at = session.last_seen_at.max(now);
        self.sessions.insert(renewal.new, session);
        self.note(now, Changed::Session(renewal.old));
        true
    }

    fn is_living(&self, session: &Session) -> bool {
        self.accounts.get(&session.account).is_some_and(|stored| {
            stored.account.state == AccountState::Active && stored.account.generation == session.generation
        })
    }

    /// The living sessions that leave a new one no room, those used longest ago, the oldest first.
    fn crowding(&self, new: &Session, most: usize) -> Vec<(TokenDigest, SessionId)> {
        let mut living: Vec<&Session> = self
            .sessions
            .values()
            .filter(|session| session.account == new.account && self.is_living(session))
            .collect();
        living.sort_by_key(|session| (session.last_seen_at, session.created_at, session.id.to_string()));
        let over = (living.len() + 1).saturating_sub(most).min(living.len());
        let crowding = living.into_iter().take(over);
        crowding.map(|session| (session.digest, session.id)).collect()
    }
}
