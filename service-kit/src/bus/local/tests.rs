use super::*;
use crate::{
    bus::{Bus, FollowError, Follower, PublisherOptions},
    embedded::Folder,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::path::Path;

const SOON: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::ZERO;

fn open(path: &Path) -> (Folder, Disk, LocalBus) {
    let folder = Folder::take(path).unwrap();
    let disk = Disk::open(&folder).unwrap();
    let keep = Duration::from_secs(60);
    let topics = [("kept", Kind::Durable(keep)), ("passing", Kind::Passing), ("sunk", Kind::Sunk)];
    let bus = LocalBus::open(&disk, topics).unwrap();
    (folder, disk, bus)
}

async fn publish(bus: &LocalBus, topic: &str, payload: &str) -> Result<Ack, PublishError> {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    bus.publisher(1000).publish(topic, Record { payload, ..Record::default() }).await
}

async fn texts(follower: &Follower) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(message) = follower.next(NOW).await.unwrap() {
        found.push(String::from_utf8(message.payload.unwrap().to_vec()).unwrap());
    }
    found
}

#[tokio::test]
async fn followers_hear_what_comes_and_a_kept_topic_also_what_was_before_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Utc::now();
    let (folder, disk, local) = open(dir.path());
    let bus = Bus::Local(local.clone());
    for topic in ["kept", "passing"] {
        let follower = bus.follow(topic).await.unwrap();
        let heard = tokio::spawn(async move { follower.next(SOON).await });
        publish(&local, topic, "a").await.unwrap();
        assert_eq!(heard.await.unwrap().unwrap().unwrap().payload.unwrap(), "a");
        let late = bus.follow(topic).await.unwrap();
        assert!(late.is_caught_up());
        assert_eq!(texts(&late).await, [""; 0]);
    }
    drop((bus, local, disk, folder));
    let (_folder, _disk, local) = open(dir.path());
    assert_eq!(publish(&local, "kept", "b").await, Ok(Ack { partition: 0, offset: 1 }));
    let bus = Bus::Local(local);
    let all = bus.follow_since("kept", begun).await.unwrap();
    assert!(!all.is_caught_up());
    assert_eq!(texts(&all).await, ["a", "b"]);
    assert!(all.is_caught_up());
    let none = bus.follow_since("kept", Utc::now() + chrono::Duration::hours(1)).await.unwrap();
    assert_eq!(texts(&none).await, [""; 0]);
}

#[tokio::test]
async fn a_group_goes_on_behind_what_it_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, disk, local) = open(dir.path());
    for text in ["a", "b", "c"] {
        publish(&local, "kept", text).await.unwrap();
    }
    let bus = Bus::Local(local.clone());
    let group = bus.subscribe("g", &["kept"], Start::Earliest).unwrap();
    let first = group.next(SOON).await.unwrap().unwrap();
    group.next(SOON).await.unwrap().unwrap();
    group.commit_before("kept", 0, first.offset + 1).await.unwrap();
    assert!(group.commit_before("other", 0, 1).await.is_err());
    let position = GroupPosition { begin: 0, end: 3, committed: Some(1) };
    assert_eq!(bus.group("g", "kept").unwrap().positions().await, Ok(vec![position]));
    drop((group, bus, local, disk, folder));
    let (_folder, _disk, local) = open(dir.path());
    let bus = Bus::Local(local);
    let group = bus.subscribe("g", &["kept"], Start::Earliest).unwrap();
    assert_eq!(group.next(SOON).await.unwrap().unwrap().payload.unwrap(), "b");
    let latest = bus.subscribe("h", &["kept"], Start::Latest).unwrap();
    assert_eq!(latest.next(NOW).await, Ok(None));
}

#[tokio::test]
async fn trimming_takes_what_is_old_and_committed_by_all_and_never_an_offset_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, disk, local) = open(dir.path());
    for text in ["a", "b", "c", "d"] {
        publish(&local, "kept", text).await.unwrap();
    }
    let bus = Bus::Local(local.clone());
    let behind = bus.follow_since("kept", DateTime::UNIX_EPOCH).await.unwrap();
    let later = Utc::now() + chrono::Duration::hours(1);
    for (group, next) in [("g", 2), ("h", 3)] {
        let group = bus.subscribe(group, &["kept"], Start::Earliest).unwrap();
        group.commit_before("kept", 0, next).await.unwrap();
    }
    local.trim(Utc::now()).await.unwrap();
    assert_eq!(local.position("g", "kept").unwrap().begin, 0, "young");
    local.trim(later).await.unwrap();
    assert_eq!(local.position("g", "kept").unwrap().begin, 2, "committed by all");
    assert_eq!(texts(&behind).await, ["c", "d"]);
    let group = bus.subscribe("g", &["kept"], Start::Earliest).unwrap();
    group.commit_before("kept", 0, 4).await.unwrap();
    bus.subscribe("h", &["kept"], Start::Earliest)
        .unwrap()
        .commit_before("kept", 0, 4)
        .await
        .unwrap();
    local.trim(later).await.unwrap();
    assert_eq!(
        local.position("g", "kept").unwrap().begin,
        3,
        "the last one says where the log ends"
    );
    drop((group, behind, bus, local, disk, folder));
    let (_folder, _disk, local) = open(dir.path());
    assert_eq!(publish(&local, "kept", "e").await.unwrap().offset, 4);
}

#[tokio::test]
async fn who_is_too_slow_for_memory_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_folder, _disk, local) = open(dir.path());
    let bus = Bus::Local(local.clone());
    let slow = bus.follow("passing").await.unwrap();
    for _ in 0..70_000 {
        publish(&local, "passing", "x").await.unwrap();
    }
    assert!(matches!(slow.next(SOON).await, Err(FollowError::Lost(_))));
}

struct Refusing;

impl Sink for Refusing {
    fn take(&self, record: Record) -> BoxFuture<'static, Result<Ack, PublishError>> {
        let offset = i64::try_from(record.payload.len()).unwrap();
        Box::pin(async move { Ok(Ack { partition: 7, offset }) })
    }
}

#[tokio::test]
async fn what_is_too_large_or_has_no_place_is_refused_and_a_sink_acknowledges_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (_folder, _disk, local) = open(dir.path());
    let large = publish(&local, "kept", &"x".repeat(1001)).await;
    assert_eq!(large, Err(PublishError::TooLarge { bytes: 1001, limit: 1000 }));
    assert!(matches!(publish(&local, "none", "x").await, Err(PublishError::Refused(_))));
    assert!(matches!(publish(&local, "sunk", "x").await, Err(PublishError::Refused(_))));
    local.sink("sunk", Arc::new(Refusing));
    assert_eq!(publish(&local, "sunk", "xx").await, Ok(Ack { partition: 7, offset: 2 }));
    let options = PublisherOptions {
        client_id: String::new(),
        max_buffer_kib: 1,
        timeout: SOON,
        max_message_bytes: 1,
    };
    let any = Bus::Local(local).publisher(options).unwrap();
    assert_eq!(any.partitions("sunk").await, Ok(1));
    assert!(any.partitions("none").await.is_err());
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written_and_no_bytes_panic(
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        payload in proptest::collection::vec(any::<u8>(), 0..50),
        headers in proptest::collection::vec(("[a-z]{0,9}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
        at in any::<i64>(),
        cut in 0_usize..100,
    ) {
        let headers = headers.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect();
        let record = Record { key: key.map(Bytes::from), payload: payload.into(), headers, partition: None };
        let framed = frame::write(&record, at);
        let read = frame::read("t", 3, &framed).unwrap();
        prop_assert_eq!(read.timestamp, Some(at));
        prop_assert_eq!((read.key, read.payload, read.headers), (record.key, Some(record.payload), record.headers));
        frame::read("t", 3, &framed[..cut.min(framed.len())]);
    }
}
