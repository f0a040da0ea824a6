use super::tables::WAITING;
use super::*;
use futures::StreamExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

fn open(path: &Path) -> (Folder, Disk) {
    let folder = Folder::take(path).unwrap();
    let disk = Disk::open(&folder).unwrap();
    (folder, disk)
}

fn put(space: &Space, key: &str, value: &str) -> Changes {
    let mut changes = Changes::new();
    changes.put(space, key.as_bytes(), value.as_bytes());
    changes
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, disk) = open(dir.path());
    let space = disk.space("a").unwrap();
    disk.write(put(&space, "k", "1")).await.unwrap();
    let mut both = put(&space, "k", "2");
    both.put(&disk.space("b").unwrap(), b"k", b"3");
    both.delete(&space, b"none");
    disk.write(both).await.unwrap();
    drop((space, disk, folder));
    let (_folder, disk) = open(dir.path());
    let read =
        |name: &str| disk.space(name).unwrap().get(b"k").unwrap().map(|value| value.to_vec());
    assert_eq!(read("a"), Some(b"2".to_vec()));
    assert_eq!(read("b"), Some(b"3".to_vec()));
}

#[tokio::test]
async fn submissions_are_written_in_their_order_and_without_being_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (_folder, disk) = open(dir.path());
    let space = disk.space("a").unwrap();
    let submit = |value: usize| {
        let changes = put(&space, "k", &value.to_string());
        let room = disk.try_room(changes.bytes()).unwrap();
        disk.submit(changes, room)
    };
    let last = (0..1000).map(submit).reduce(|_, last| last).unwrap();
    last.await.unwrap();
    assert_eq!(space.get(b"k").unwrap().unwrap(), b"999".as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_wait_for_room_and_all_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let (_folder, disk) = open(dir.path());
    let (space, done) = (disk.space("a").unwrap(), AtomicUsize::new(0));
    let write = async |n: usize| {
        let value = "x".repeat(1 << 20);
        disk.write(put(&space, &n.to_string(), &value)).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    };
    // More than may wait at once.
    futures::future::join_all((0..64).map(write)).await;
    assert_eq!((done.into_inner(), space.iter().count()), (64, 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_logs_are_bounded_however_long_full_load_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let (_folder, disk) = open(dir.path());
    let (space, rare) = (disk.space("a").unwrap(), disk.space("rare").unwrap());
    disk.write(put(&rare, "k", "1")).await.unwrap();
    let write = async |n: u32| {
        let mut changes = Changes::new();
        for part in 0..1024_u32 {
            changes.put(&space, [n.to_be_bytes(), part.to_be_bytes()].concat(), [7; 512]);
        }
        disk.write(changes).await.unwrap();
        // The full ones that wait, the one that is being filled, and what was in one commit.
        let memory = ((WAITING + 3) * MEMTABLE) as u64;
        assert!(disk.db.write_buffer_size() < memory, "{}", disk.db.write_buffer_size());
        // The rare one's record is in the first: it is written as a table when that is closed.
        assert!(disk.db.journal_count() <= 3);
        assert!(disk.db.journal_disk_space().unwrap() < 256 << 20);
    };
    // Never a pause between commits.
    futures::stream::iter(0..700).map(write).buffer_unordered(32).collect::<Vec<_>>().await;
    assert_eq!(rare.get(b"k").unwrap().unwrap(), b"1".as_slice());
    assert_eq!(space.iter().count(), 700 * 1024);
}

#[test]
fn a_folder_is_one_process_s_and_only_ours_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let folder = Folder::take(&path).unwrap();
    assert!(folder.is_new());
    assert!(matches!(Folder::take(&path), Err(DiskError::Locked(_))));
    drop(folder);
    assert!(!Folder::take(&path).unwrap().is_new());
    let refused = |text: &str| {
        std::fs::write(path.join("FORMAT"), text).unwrap();
        let refused = Folder::take(&path).unwrap_err();
        assert_eq!(std::fs::read_to_string(path.join("FORMAT")).unwrap(), text, "left as it was");
        refused.to_string()
    };
    let newer = refused("triad data, format 2\n");
    assert!(
        newer.ends_with("has format 2; this release reads up to 1: use the newer release"),
        "{newer}"
    );
    assert!(refused("what?").ends_with("is not Triad's"));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.tex"), "").unwrap();
    assert!(matches!(Folder::take(&other), Err(DiskError::Foreign(_))));
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}
