//! The keys that e-mail addresses are compared by, kept as this version folds them. SQL cannot fold Unicode, so this
//! is no migration but a step of every start; it looks only at addresses on which versions can disagree.

use sqlx::{Row, query};

use super::SqliteStore;
use super::rows::Trouble;
use crate::domain::account::Email;

impl SqliteStore {
    /// Computes the key anew of each address that is not plain ASCII, or that names a domain in its ASCII form, and
    /// stores those that differ. Answers how many did.
    pub(super) async fn refold_addresses(&self) -> Result<usize, Trouble> {
        let found = query(
            "SELECT id, email, email_key FROM accounts \
             WHERE email GLOB '*[^ -~]*' OR email LIKE '%xn--%' OR (email IS NOT NULL AND email_key IS NULL)",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut moved = Vec::new();
        for row in &found {
            let (id, typed): (&str, &str) = (row.try_get("id")?, row.try_get("email")?);
            let stored: Option<&str> = row.try_get("email_key")?;
            // What cannot be read is left as it is: whoever reads the account says so.
            if let Ok(email) = Email::parse(typed)
                && stored != Some(email.key())
            {
                moved.push((id, stored, email));
            }
        }
        if moved.is_empty() {
            return Ok(0);
        }
        let mut tx = self.transaction().await?;
        for (id, stored, email) in &moved {
            query("UPDATE accounts SET email_key = $2 WHERE id = $1 AND email = $3")
                .bind(*id)
                .bind(email.key())
                .bind(email.as_typed())
                .execute(&mut *tx)
                .await?;
            query("UPDATE OR REPLACE dead_addresses SET email_key = $1 WHERE email_key = $2")
                .bind(email.key())
                .bind(*stored)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(moved.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Accounts, EmailMatch};

    #[tokio::test]
    async fn a_key_stored_by_an_older_version_is_folded_anew_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        let mut tx = store.transaction().await.unwrap();
        for (number, email, key) in [
            (1, "yuki@例え.jp", "yuki@例え.jp"),
            (2, "Straße@example.com", "straße@example.com"),
            (3, "plain@example.com", "plain@example.com"),
        ] {
            query(
                "INSERT INTO accounts (id, extension, name, email, email_key, role, groups_json, language, state, \
                 generation, created_at, updated_at) \
                 VALUES ($1, $2, 'A', $3, $4, 'user', '[]', 'ja', 'invited', 1, 0, 0)",
            )
            .bind(format!("00000000-0000-7000-8000-00000000000{number}"))
            .bind(format!("10{number}"))
            .bind(email)
            .bind(key)
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(store.refold_addresses().await.unwrap(), 2);
        assert_eq!(store.refold_addresses().await.unwrap(), 0);
        store.close().await;

        let store = SqliteStore::open(directory.path()).await.unwrap();
        for typed in ["yuki@xn--r8jz45g.jp", "STRASSE@example.com", "plain@example.com"] {
            let found = store.find_by_email(&Email::parse(typed).unwrap()).await.unwrap();
            assert!(matches!(found, EmailMatch::One(_)), "{typed}: {found:?}");
        }
        store.close().await;
    }
}
