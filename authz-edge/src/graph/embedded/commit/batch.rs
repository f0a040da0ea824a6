//! Commits on their way to the disk, many in one write.

use std::sync::Arc;

use service_kit::embedded::{Changes, DiskError, Room, Space};
use tokio::sync::oneshot;

use super::super::super::store::GraphError;
use super::super::log::Records;
use super::super::unavailable;
use super::{Core, Moment};

type Sender = oneshot::Sender<Result<u64, GraphError>>;

/// What goes in one write.
pub(super) struct Batch {
    changes: Changes,
    rooms: Vec<Room>,
    /// The graph with all of it.
    moment: Moment,
    waiting: Vec<(u64, Sender)>,
}

impl Batch {
    pub(super) fn new(moment: &Moment) -> Self {
        let (changes, moment) = (Changes::new(), moment.clone());
        Self { changes, rooms: Vec::new(), moment, waiting: Vec::new() }
    }

    /// Adds the next commit. What comes back is told when it is visible, or why it never will be.
    pub(super) fn add(
        &mut self,
        moment: Moment,
        records: Records,
        space: &Space,
        room: Room,
    ) -> oneshot::Receiver<Result<u64, GraphError>> {
        let (sender, done) = oneshot::channel();
        records.write_to(&mut self.changes, space);
        self.rooms.push(room);
        self.waiting.push((moment.time, sender));
        self.moment = moment;
        done
    }
}

/// Writes batch after batch, until none waits. It goes on whoever does not wait any more.
pub(super) async fn write(core: Arc<Core>) {
    loop {
        let mut head = core.head.lock().await;
        let (Some(batch), Some(storage)) = (head.next.take(), &core.storage) else {
            head.busy = false;
            return;
        };
        drop(head);
        let Batch { changes, mut rooms, moment, waiting } = batch;
        let Some(room) = rooms.pop() else { continue };
        let written = storage.disk.submit(changes, room).await;
        drop(rooms);
        match written {
            Ok(()) => {
                core.publish(moment);
                for (time, sender) in waiting {
                    // Who does not wait any more does not care.
                    let _ = sender.send(Ok(time));
                }
            }
            Err(error) => fail(&core, &error, waiting).await,
        }
    }
}

/// The head goes back to what is visible. Of a disk that failed it is not known what it has: nothing is
/// written any more until the process is started again.
async fn fail(core: &Core, error: &DiskError, waiting: Vec<(u64, Sender)>) {
    let is_unwritten = matches!(error, DiskError::Full { .. });
    let reason = error.to_string();
    let mut head = core.head.lock().await;
    let (visible, next) = (core.moment(), head.next.take());
    head.state = visible.state;
    head.conflicts.undo(visible.time);
    if !is_unwritten {
        head.failed = Some(reason.clone());
    }
    // Who lost against one of these may try again.
    core.seen.send_modify(|seen| seen.failures += 1);
    drop(head);
    let told = if is_unwritten { GraphError::Unavailable } else { GraphError::Unknown };
    for (_, sender) in waiting {
        let _ = sender.send(Err(told(reason.clone())));
    }
    for (_, sender) in next.into_iter().flat_map(|batch| batch.waiting) {
        let _ = sender.send(Err(unavailable(&reason)));
    }
}
