//! Signals, drain and end: one trigger, any number of cheap handles.

use std::{io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio_util::sync::CancellationToken;

/// Tells when the process is to drain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(CancellationToken);

/// Starts the drain of every [`Shutdown`] made with it. Dropping it starts nothing.
#[derive(Debug)]
pub struct ShutdownTrigger(CancellationToken);

impl Shutdown {
    /// A trigger and the first handle.
    #[must_use]
    pub fn new() -> (ShutdownTrigger, Self) {
        let token = CancellationToken::new();
        (ShutdownTrigger(token.clone()), Self(token))
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once the drain has begun; at once if it already has.
    pub async fn draining(&self) {
        self.0.cancelled().await;
    }
}

impl ShutdownTrigger {
    /// Begins the drain. Repeating it is harmless.
    pub fn trigger(&self) {
        self.0.cancel();
    }
}

/// How long threads that go on may hold up the end of a process.
const LEFT: Duration = Duration::from_secs(2);

/// Runs a program to its end, on a runtime of its own. What still blocks a thread then is given up after two seconds:
/// nothing is left to be lost, and closing a Kafka consumer may take for ever (librdkafka#4884).
///
/// # Errors
/// The runtime cannot be made.
pub fn run<F: Future>(program: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(program);
    runtime.shutdown_timeout(LEFT);
    Ok(result)
}

/// Resolves on the first SIGTERM or SIGINT after it was first polled.
///
/// # Panics
/// Outside a tokio runtime with its signal driver.
pub async fn signal() {
    Signals::install().next().await;
}

/// Spawns the task that begins the drain on the first SIGTERM or SIGINT and ends the process at the
/// second, with 130 (SIGINT) or 143 (SIGTERM): an operator who insists is obeyed.
///
/// The handlers are installed before this returns, so that no signal is lost during start-up.
///
/// # Panics
/// Outside a tokio runtime with its signal driver.
pub fn on_signal(trigger: ShutdownTrigger) {
    let mut signals = Signals::install();
    tokio::spawn(async move {
        let first = signals.next().await;
        tracing::info!(signal = first.name, "draining; a second signal aborts");
        trigger.trigger();
        let second = signals.next().await;
        tracing::warn!(signal = second.name, "aborting");
        #[expect(clippy::disallowed_methods, reason = "the second signal asks for no order")]
        std::process::exit(second.exit_code);
    });
}

struct Received {
    name: &'static str,
    exit_code: i32,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> Self {
        let install = |kind| listen(kind).expect("SIGTERM and SIGINT can be handled at start-up");
        Self {
            terminate: install(SignalKind::terminate()),
            interrupt: install(SignalKind::interrupt()),
        }
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received { name: "SIGTERM", exit_code: 143 },
            _ = self.interrupt.recv() => Received { name: "SIGINT", exit_code: 130 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_handle_sees_the_drain_and_a_late_one_at_once() {
        let (trigger, shutdown) = Shutdown::new();
        let waiter = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.draining().await }
        });
        assert!(!shutdown.is_draining());
        trigger.trigger();
        trigger.trigger();
        waiter.await.unwrap();
        shutdown.clone().draining().await;
        assert!(shutdown.is_draining());
    }

    #[tokio::test]
    async fn a_dropped_trigger_does_not_drain() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        assert!(!shutdown.is_draining());
    }

    #[tokio::test]
    async fn a_signal_is_received_even_if_it_comes_before_anyone_waits() {
        let mut signals = Signals::install();
        for (name, exit_code) in [("TERM", 143), ("INT", 130)] {
            let pid = std::process::id().to_string();
            let kill = std::process::Command::new("kill").args(["-s", name, &pid]).status();
            assert!(kill.unwrap().success());
            assert_eq!(signals.next().await.exit_code, exit_code);
        }
    }
}
