//! Readiness: every component names why it cannot serve.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The readiness of a process: ready when every component is and no drain has begun.
/// Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    components: Vec<(&'static str, Option<String>)>,
    draining: bool,
}

/// One component's say in the readiness. Clones speak for the same component.
#[derive(Clone, Debug)]
pub struct Component {
    health: Health,
    index: usize,
}

impl Health {
    /// No components yet, which is ready: register them before anything is served.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a component, not ready because it is `starting`.
    #[must_use = "a component that is never made ready keeps the process unready"]
    pub fn component(&self, name: &'static str) -> Component {
        let mut state = self.state();
        state.components.push((name, Some("starting".to_owned())));
        let index = state.components.len() - 1;
        drop(state);
        Component { health: self.clone(), index }
    }

    /// Ready, or every reason why not, in order of registration.
    ///
    /// # Errors
    /// The components that are not ready with their reasons; a drain is named `shutdown`.
    pub fn ready(&self) -> Result<(), Vec<(&'static str, String)>> {
        let state = self.state();
        let draining = state.draining.then(|| ("shutdown", "draining".to_owned()));
        let waiting = state.components.iter();
        let waiting = waiting.filter_map(|(name, why)| why.clone().map(|why| (*name, why)));
        let reasons: Vec<_> = draining.into_iter().chain(waiting).collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// From here on not ready, whatever the components say. Call it first in a drain, so that load
    /// balancers stop sending before the listener closes.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain data behind, never half an invariant.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Component {
    /// This component can serve.
    pub fn ready(&self) {
        self.set(None);
    }

    /// This component cannot serve. The reason is shown on the admin listener: no secrets.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        if let Some(component) = self.health.state().components.get_mut(self.index) {
            component.1 = why;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_each_component_that_waits_and_a_drain_outlasts_them() {
        let health = Health::new();
        let (kafka, store) = (health.component("kafka"), health.component("store"));
        kafka.ready();
        assert_eq!(health.ready(), Err(vec![("store", "starting".to_owned())]));
        store.clone().ready();
        assert_eq!(health.ready(), Ok(()));
        kafka.not_ready("no broker");
        assert_eq!(health.ready(), Err(vec![("kafka", "no broker".to_owned())]));
        health.drain();
        kafka.ready();
        assert_eq!(health.ready(), Err(vec![("shutdown", "draining".to_owned())]));
    }
}
