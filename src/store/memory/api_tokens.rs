//! API tokens in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::api_token::{ApiToken, ApiTokenId, LastUse};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::token::TokenDigest;
use crate::ports::{Adding, ApiTokens, Changed};

#[async_trait]
impl ApiTokens for MemoryStore {
    async fn add(&self, token: &ApiToken, then: Consequences) -> Result<Adding, Fault> {
        let mut state = self.state.lock();
        let mut valid = state.tokens.iter().filter(|other| other.revoked_at.is_none());
        if valid.any(|other| other.name == token.name) {
            return Ok(Adding::NameTaken);
        }
        state.tokens.push(token.clone());
        state.note(token.created_at, Changed::Token(token.id));
        state.record(then);
        Ok(Adding::Done)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, Fault> {
        let state = self.state.lock();
        Ok(state.tokens.iter().find(|token| token.digest == *digest).cloned())
    }

    async fn list(&self) -> Result<Vec<ApiToken>, Fault> {
        let mut listed = self.state.lock().tokens.clone();
        listed.sort_by_key(|token| std::cmp::Reverse((token.created_at, token.id)));
        Ok(listed)
    }

    async fn revoke(&self, id: ApiTokenId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let mut valid = state.tokens.iter_mut().filter(|token| token.revoked_at.is_none());
        let Some(token) = valid.find(|token| token.id == id) else {
            return Ok(false);
        };
        token.revoked_at = Some(now);
        state.note(now, Changed::Token(id));
        state.record(then);
        Ok(true)
    }

    async fn used(&self, uses: &[(ApiTokenId, LastUse)]) -> Result<(), Fault> {
        let mut state = self.state.lock();
        for (id, used) in uses {
            let token = state.tokens.iter_mut().find(|token| token.id == *id);
            if let Some(token) = token.filter(|token| token.used.is_none_or(|before| before.at < used.at)) {
                token.used = Some(*used);
            }
        }
        Ok(())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let all = state.tokens.len();
        // They opened nothing for long, wherever they are remembered: that is no change to follow.
        state.tokens.retain(|token| token.ends_at() >= before);
        Ok((all - state.tokens.len()) as u64)
    }
}
