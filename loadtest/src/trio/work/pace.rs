//! When things are sent: at a rate, whoever is slow; a turn for which nothing is free is left out. And when it ends.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::book::Book;

/// Says that nothing more is begun, and until when what is under way is tried.
#[derive(Debug, Clone)]
pub(super) struct Ending(watch::Receiver<Option<Instant>>);

impl Ending {
    /// One that the other end brings about.
    pub(super) fn new() -> (watch::Sender<Option<Instant>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// One that has begun and lasts until `deadline`.
    pub(super) fn at(deadline: Instant) -> Self {
        Self(watch::channel(Some(deadline)).1)
    }

    /// Waits until it begins.
    pub(super) async fn begun(&mut self) {
        // Nobody is left to say so: it has ended.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Whether nothing is tried any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Takes `rate` turns a second, of which at most `slots` are under way, until the ending has begun and all of them have
/// ended. `turn` is `None` when nothing is free.
///
/// # Errors
/// When a turn panicked.
pub(super) async fn paced<F>(
    (rate, slots): (u32, usize),
    mut ending: Ending,
    book: &Book,
    mut turn: impl FnMut() -> Option<F>,
) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(period) = Duration::from_secs(1).checked_div(rate) else { return Ok(()) };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = ending.begun() => break,
            _ = ticks.tick() => {}
        }
        while let Some(ended) = under_way.try_join_next() {
            ended.context("a turn")?;
        }
        let next = if under_way.len() < slots { turn() } else { None };
        match next {
            Some(next) => drop(under_way.spawn(next)),
            None => book.tell("turns left out", 1),
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended.context("a turn")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_is_not_free_is_left_out_and_never_queued() {
        let (end, ending) = Ending::new();
        let book = Arc::new(Book::new());
        let mut begun = 0;
        let turns = paced((1000, 3), ending, &book, || {
            begun += 1;
            Some(pending())
        });
        let waited = tokio::time::timeout(Duration::from_millis(200), turns).await;
        assert!(waited.is_err(), "turns that never end are waited for");
        assert_eq!(begun, 3);
        assert!(book.told()["turns left out"] > 0);
        drop(end);
    }

    #[tokio::test]
    async fn it_ends_once_what_is_under_way_has_ended() {
        let (end, ending) = Ending::new();
        let book = Book::new();
        let seen = ending.clone();
        let turns = paced((1000, 8), ending, &book, move || {
            let mut seen = seen.clone();
            Some(async move { seen.begun().await })
        });
        end.send_replace(Some(Instant::now()));
        turns.await.unwrap();
        assert!(Ending::at(Instant::now()).is_over());
    }
}
