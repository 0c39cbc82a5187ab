//! [`Roll`]: asks every loop that takes connections whether it is still there.

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// The loops that take connections.
#[derive(Debug, Default)]
pub struct Roll(Mutex<Vec<mpsc::Sender<oneshot::Sender<()>>>>);

/// The place of one loop on the roll.
#[derive(Debug)]
pub struct Place(mpsc::Receiver<oneshot::Sender<()>>);

impl Roll {
    /// One more loop, which answers from now on.
    pub fn enter(&self) -> Place {
        let (asking, asked) = mpsc::channel(1);
        self.0.lock().push(asking);
        Place(asked)
    }

    /// Whether all of them are there. One that hangs is waited for; one that has ended is not there.
    pub async fn call(&self) -> bool {
        let asked = self.0.lock().clone();
        for asking in asked {
            let (answer, answered) = oneshot::channel();
            if asking.send(answer).await.is_err() || answered.await.is_err() {
                return false;
            }
        }
        true
    }
}

impl Place {
    /// Answers the next call. May be dropped and called again while nobody calls.
    pub async fn answer(&mut self) {
        match self.0.recv().await {
            Some(asking) => drop(asking.send(())),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_or_has_ended_is_missed() {
        let roll = Roll::default();
        assert!(roll.call().await, "nobody is missing");
        let mut busy = roll.enter();
        let mut other = roll.enter();
        let serving = tokio::spawn(async move {
            loop {
                busy.answer().await;
            }
        });
        let called = tokio::time::timeout(Duration::from_mins(1), roll.call()).await;
        assert!(called.is_err(), "one hangs");
        tokio::spawn(async move {
            loop {
                other.answer().await;
            }
        });
        assert!(roll.call().await);
        serving.abort();
        assert!(!roll.call().await, "one has ended");
    }
}
