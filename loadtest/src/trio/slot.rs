//! The place of one replica: what runs there comes and goes, its addresses, settings and log stay.

use anyhow::Context;

use super::member::{Member, Service as Kind};
use crate::child::{Launch, Seat, Service};

/// A replica, running or not.
pub(super) struct Slot {
    member: Member,
    kind: Kind,
    launch: Launch,
    environment: Vec<(String, String)>,
    seat: Seat,
    running: Option<Service>,
    is_paused: bool,
}

impl Slot {
    pub(super) fn new(
        (member, kind): (Member, Kind),
        launch: Launch,
        environment: Vec<(String, String)>,
        seat: Seat,
    ) -> Self {
        Self { member, kind, launch, environment, seat, running: None, is_paused: false }
    }

    pub(super) fn member(&self) -> Member {
        self.member
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The id of its process; none while nothing runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Service::pid)
    }

    /// Starts it, if it does not run; waits for nothing.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        if self.running.is_none() {
            let (name, prefix) = (self.kind.binary(), self.kind.prefix());
            let environment = self.environment.clone();
            let started = Service::seated(name, &self.launch, prefix, environment, &self.seat)?;
            self.running = Some(started);
            self.is_paused = false;
        }
        Ok(())
    }

    /// How it ended, if it did without having been told to; then nothing runs here.
    pub(super) fn ended(&mut self) -> Option<String> {
        let error = self.running.as_mut()?.alive().err()?;
        self.running = None;
        Some(format!("{}: {error:#}", self.member.name()))
    }

    /// kill -9.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(running) => running.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits for its end; what was wrong with that.
    pub(super) async fn stop(&mut self) -> Option<String> {
        let stopped = self.running.take()?.stop().await;
        stopped.err().map(|error| format!("{}: {error:#}", self.member.name()))
    }

    /// SIGSTOP.
    pub(super) async fn pause(&mut self) -> anyhow::Result<()> {
        let running = self.running.as_ref();
        running.context("nothing runs that could be paused")?.signal("STOP").await?;
        self.is_paused = true;
        Ok(())
    }

    /// SIGCONT, if it was paused.
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        if let (true, Some(running)) = (self.is_paused, &self.running) {
            running.signal("CONT").await?;
        }
        self.is_paused = false;
        Ok(())
    }
}
