//! Questions about subjects that are too large for a view: each is a read of its own, shared by those who
//! ask the same. The read leaves the decision behind, so that one that outlasts its callers' patience was
//! not for nothing.

use std::sync::Arc;

use super::checker::Checker;
use super::decisions::{Decision, Stored};
use super::flights::Flights;
use super::key::DecisionKey;
use super::question::{CheckError, Question, Words};
use super::views::{Need, Resource, Viewed};
use crate::graph::Graph;
use crate::model::Invalid;
use crate::model::view::{SubjectView, evaluate};

/// Reads under way, by the key of their decision.
pub(super) type Narrowed = Flights<(Box<[u8]>, bool), Arc<Viewed<SubjectView>>, CheckError>;

impl<G: Graph> Checker<G> {
    /// A subject's view for one question about a resource.
    pub(super) async fn narrowed(
        &self,
        words: &Words<'_>,
        need: Need,
        resource: &Resource,
    ) -> Result<Arc<Viewed<SubjectView>>, CheckError> {
        let key: Box<[u8]> = match DecisionKey::new(words) {
            Some(key) => key.as_bytes().into(),
            None => return Err(Invalid::new("subject.id", "is too long").into()),
        };
        let question = words.question();
        let fill = |strict| {
            let (shared, decisions) = (Arc::clone(self.shared()), self.decisions().clone());
            let (key, resource, question) = (key.clone(), Arc::clone(resource), question.clone());
            async move {
                let Question { tenant, subject, action, resource: on } = &question;
                let read = |mode| shared.graph.narrowed(tenant, subject, action, on, mode);
                let viewed = Arc::new(shared.fill(tenant, strict, "narrowed", read).await?);
                let verdict = evaluate(&viewed.view, &resource.view, action, shared.clock.micros());
                let stored = Stored {
                    subject: viewed.view.attributes.clone(),
                    resource: resource.view.attributes.clone(),
                };
                let stamps = (Arc::clone(&viewed.stamp), Arc::clone(&resource.stamp));
                // Each hit looks whether both views hold.
                decisions.insert(key, Arc::new(Decision::new(verdict, stored, stamps)));
                Ok(viewed)
            }
        };
        self.shared().join(&key, need, self.narrowed_flights(), fill).await
    }
}
