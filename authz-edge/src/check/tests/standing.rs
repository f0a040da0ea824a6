//! Who is unknown, deleted or inactive, where identities come from sync and where anybody writes them.

use super::edge::{Edge, doc, options, question};
use super::world::{Change, until};
use crate::model::key::EVERYONE;
use crate::model::{Scope, SubjectRef, SubjectType};

/// One where every user may read everything.
fn edge(welcomes: bool) -> Edge {
    let edge = Edge::seeded(options());
    if welcomes {
        edge.memory.welcome();
    }
    let everyone = SubjectRef::new(SubjectType::User, EVERYONE);
    let forever = Some(until(None));
    edge.change(&Change::Bind(everyone, "reader".to_owned(), Scope::All, forever));
    edge
}

async fn may(edge: &Edge, who: &SubjectRef) -> bool {
    edge.ask(&question(who.clone(), doc("1"))).await.unwrap().allowed
}

#[tokio::test]
async fn who_is_deleted_is_denied_where_sync_brings_identities_and_else_a_stranger_again() {
    for (welcomes, stranger) in [(false, false), (true, true)] {
        let edge = edge(welcomes);
        let bob = SubjectRef::new(SubjectType::User, "bob");
        assert_eq!(may(&edge, &bob).await, stranger, "unknown");
        edge.change(&Change::Add(bob.clone()));
        assert!(may(&edge, &bob).await);
        edge.change(&Change::RemoveSubject(bob.clone()));
        assert_eq!(may(&edge, &bob).await, stranger, "deleted");
    }
}

#[tokio::test]
async fn who_is_inactive_is_denied_everywhere() {
    for welcomes in [false, true] {
        let edge = edge(welcomes);
        let bob = SubjectRef::new(SubjectType::User, "bob");
        edge.change(&Change::Bar(bob.clone(), true));
        assert!(!may(&edge, &bob).await);
        edge.change(&Change::Suspend(true));
        assert!(!may(&edge, &SubjectRef::new(SubjectType::User, "carol")).await);
    }
}
