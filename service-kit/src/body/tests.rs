//! What is too much.

use super::*;
use futures::FutureExt as _;
use proptest::prelude::*;

fn bodies(max_bytes: usize) -> Bodies {
    Bodies::new(max_bytes, Duration::from_secs(1))
}

fn pieces(lengths: &[usize]) -> Body {
    let pieces: Vec<_> =
        lengths.iter().map(|n| Ok::<_, Infallible>(Bytes::from(vec![b'x'; *n]))).collect();
    Body::from_stream(futures::stream::iter(pieces))
}

#[tokio::test]
async fn bodies_are_bounded_all_together_and_small_ones_are_always_read() {
    let bodies = bodies(HELD_BYTES);
    let held = bodies.read(Unread(pieces(&[HELD_BYTES]))).await.unwrap();
    assert_eq!(held.len(), HELD_BYTES);
    // What is free for each is still there.
    bodies.held.forget_permits(bodies.held.available_permits());
    assert_eq!(bodies.read(Unread(pieces(&[FREE_BYTES]))).await.unwrap().len(), FREE_BYTES);
    let refused = bodies.read(Unread(pieces(&[1, FREE_BYTES]))).await.unwrap_err();
    assert_eq!(refused.status, 429);
    drop(held);
    bodies.read(Unread(pieces(&[1, FREE_BYTES]))).await.unwrap();
}

proptest! {
    #[test]
    fn a_body_is_its_pieces_and_gives_back_what_it_took(
        lengths in prop::collection::vec(0..20_000_usize, 0..6), max in 0..60_000_usize,
    ) {
        let bodies = bodies(max);
        let read = bodies.read(Unread(pieces(&lengths))).now_or_never().unwrap();
        let length = lengths.iter().sum::<usize>();
        match read {
            Ok(read) => {
                prop_assert_eq!(read.len(), length);
                prop_assert!(length <= max);
                let taken = HELD_BYTES - bodies.held.available_permits();
                prop_assert_eq!(taken, length.saturating_sub(FREE_BYTES));
            }
            Err(problem) => {
                prop_assert_eq!(problem.status.as_u16(), 413);
                prop_assert!(length > max);
            }
        }
        prop_assert_eq!(bodies.held.available_permits(), HELD_BYTES);
    }
}
