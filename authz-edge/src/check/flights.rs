//! One fill a key at a time, in a task of its own: who asked first may leave, and the others get it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

type Flight<V, E> = Shared<BoxFuture<'static, Result<V, E>>>;

/// Fills under way.
pub struct Flights<K, V, E> {
    flights: Arc<Mutex<HashMap<K, Flight<V, E>>>>,
}

impl<K, V, E> Default for Flights<K, V, E> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

/// Takes the flight off the list when its task ends, however it ends.
struct Landing<K: Eq + Hash, V, E>(Arc<Mutex<HashMap<K, Flight<V, E>>>>, Option<K>);

impl<K: Eq + Hash, V, E> Drop for Landing<K, V, E> {
    fn drop(&mut self) {
        if let Some(key) = self.1.take() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

impl<K, V, E> Flights<K, V, E>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// The result of the fill of `key` that is under way, or of the one that `fill` begins; and whether
    /// it was begun here. `lost` is the error of a fill whose task died.
    pub async fn join<F>(&self, key: &K, fill: impl FnOnce() -> F, lost: E) -> (Result<V, E>, bool)
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        let (flight, begun) = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(key) {
                Some(flight) => (flight.clone(), false),
                None => {
                    let flight = self.begin(key.clone(), fill(), lost);
                    flights.insert(key.clone(), flight.clone());
                    (flight, true)
                }
            }
        };
        (flight.await, begun)
    }

    fn begin<F>(&self, key: K, fill: F, lost: E) -> Flight<V, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        let landing = Landing(Arc::clone(&self.flights), Some(key));
        let task = tokio::spawn(async move {
            let result = fill.await;
            // Before anyone sees the result: a later question begins a flight of its own.
            drop(landing);
            result
        });
        async move { task.await.unwrap_or(Err(lost)) }.boxed().shared()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_share_one_fill_and_who_leaves_cancels_nothing() {
        let flights = Flights::<u8, u32, &str>::default();
        let (fills, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(tokio::sync::Notify::new()));
        let fill = || {
            let (fills, gate) = (Arc::clone(&fills), Arc::clone(&gate));
            move || async move {
                gate.notified().await;
                Ok(fills.fetch_add(1, Ordering::SeqCst))
            }
        };
        let mut first = Box::pin(flights.join(&1, fill(), "lost"));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        let mut second = Box::pin(flights.join(&1, fill(), "lost"));
        assert!(futures::poll!(&mut second).is_pending());
        gate.notify_one();
        assert_eq!(second.await, (Ok(0), false));
        gate.notify_one();
        assert_eq!(flights.join(&1, fill(), "lost").await, (Ok(1), true));
    }

    #[tokio::test]
    async fn a_fill_that_dies_is_an_error_and_the_next_begins_anew() {
        let flights = Flights::<u8, u32, &str>::default();
        let dies = || async { panic!("a fill that dies") };
        assert_eq!(flights.join(&1, dies, "lost").await, (Err("lost"), true));
        assert_eq!(flights.join(&1, || async { Ok(7) }, "lost").await, (Ok(7), true));
    }
}
