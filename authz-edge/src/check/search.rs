//! Searches: candidates from the graph, each answered by the one evaluator, so that a search never says
//! anything else than a check.
//!
//! Work is bounded by page: at most [`MAX_EXAMINED`] candidates are asked about. A page may therefore be
//! empty and still not be the last.

use std::collections::BTreeSet;

use contracts::{Revision, TenantId};
use futures::StreamExt as _;

use super::checker::Checker;
use super::question::{AtLeast, CheckError, Given, Question};
use crate::graph::Graph;
use crate::graph::read::Reader;
use crate::graph::search::{self, Candidate, Candidates};
use crate::model::{Key, ResourceRef, SubjectRef, SubjectType};

/// The most candidates of one page.
pub const MAX_EXAMINED: usize = 1000;
/// Candidates that are asked about at once.
const AT_ONCE: usize = 32;

/// Where a page ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Position {
    /// Before everything.
    #[default]
    Start,
    /// After a node.
    Node {
        /// Its id.
        node: u64,
        /// Whether the whole list of the type is walked, and not what bindings name.
        whole: bool,
    },
    /// After a name.
    Name(String),
}

/// What all searches have in common.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// In which tenant.
    pub tenant: &'a TenantId,
    /// What the request says, of each candidate too.
    pub given: &'a Given,
    /// How fresh the answer must be.
    pub at_least: AtLeast,
    /// Where the last page ended.
    pub after: &'a Position,
    /// The most results.
    pub limit: usize,
}

/// A page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Ids of subjects or resources, or names of actions.
    pub results: Vec<String>,
    /// Where to go on; nothing is left without.
    pub next: Option<Position>,
    /// Every change up to here is in it.
    pub revision: Revision,
}

/// What became of candidates.
struct Sifted {
    /// The places of those that are allowed.
    allowed: Vec<usize>,
    /// How many were asked about, from the first.
    examined: usize,
    /// The oldest answer.
    revision: Revision,
}

impl Checker<Reader> {
    /// Which subjects of a type may do `action` to `resource`? Candidates are all of the type.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn search_subjects(
        &self,
        search: Search<'_>,
        type_: SubjectType,
        action: &str,
        resource: &ResourceRef,
    ) -> Result<Page, CheckError> {
        let list = Key::subjects(search.tenant, type_);
        let graph = &self.shared().graph.graph;
        let listed = search::listed(graph, &list, node(search.after), MAX_EXAMINED);
        let found = self.shared().in_turn(search.tenant, listed).await?;
        let question = |id: &str| Question {
            tenant: search.tenant.clone(),
            subject: SubjectRef::new(type_, id),
            action: action.to_owned(),
            resource: resource.clone(),
        };
        self.page(search, found, true, question).await
    }

    /// On which resources of a type may `subject` do `action`? Candidates are those that bindings and
    /// permissions name with what is below, or all of the type if the subject may have the action on
    /// more.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn search_resources(
        &self,
        search: Search<'_>,
        subject: &SubjectRef,
        action: &str,
        type_: &str,
    ) -> Result<Page, CheckError> {
        let (tenant, after) = (search.tenant, node(search.after));
        let graph = &self.shared().graph.graph;
        let walks = matches!(search.after, Position::Node { whole: true, .. });
        let named = if walks {
            None
        } else {
            let named = search::named(graph, tenant, (subject, action, type_), after, MAX_EXAMINED);
            self.shared().in_turn(tenant, named).await?
        };
        let (found, whole) = match named {
            Some(found) => (found, false),
            None => {
                let list = Key::resources(tenant, type_);
                let listed = search::listed(graph, &list, after, MAX_EXAMINED);
                (self.shared().in_turn(tenant, listed).await?, true)
            }
        };
        let question = |id: &str| Question {
            tenant: tenant.clone(),
            subject: subject.clone(),
            action: action.to_owned(),
            resource: ResourceRef::new(type_, id),
        };
        self.page(search, found, whole, question).await
    }

    /// What may `subject` do to `resource`? Candidates are the actions of all of its roles.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn search_actions(
        &self,
        search: Search<'_>,
        subject: &SubjectRef,
        resource: &ResourceRef,
    ) -> Result<Page, CheckError> {
        let (revision, mut names) = self.action_names(search, subject, resource).await?;
        if let Position::Name(after) = search.after {
            names.retain(|name| name > after);
        }
        let left = names.len() > MAX_EXAMINED;
        names.truncate(MAX_EXAMINED);
        let question = |action: &String| Question {
            tenant: search.tenant.clone(),
            subject: subject.clone(),
            action: action.clone(),
            resource: resource.clone(),
        };
        let sifted = self.sift(search, names.iter().map(question).collect()).await?;
        let last = sifted.examined.checked_sub(1).map(|at| names[at].clone());
        let next = (left || sifted.examined < names.len())
            .then(|| last.map_or_else(|| search.after.clone(), Position::Name));
        let results = sifted.allowed.into_iter().map(|at| names[at].clone()).collect();
        Ok(Page { results, next, revision: revision.min(sifted.revision) })
    }

    /// The actions that some role of the subject has, sorted, each once; and what is in them at least.
    async fn action_names(
        &self,
        search: Search<'_>,
        subject: &SubjectRef,
        resource: &ResourceRef,
    ) -> Result<(Revision, Vec<String>), CheckError> {
        let need = self.need(search.tenant, search.at_least).await?;
        // Before the view is looked at: what is found then holds at this watermark at least.
        let watermark = self.shared().freshness.watermark();
        let viewed = self.subject(search.tenant, subject, need).await?;
        match &viewed.view {
            Some(view) => {
                let all = view.roles.iter().flat_map(|role| role.grants.actions());
                let distinct: BTreeSet<&str> = all.collect();
                let revision = viewed.stamp.revision.max(watermark).max(need);
                Ok((revision, distinct.into_iter().map(str::to_owned).collect()))
            }
            None => {
                let graph = &self.shared().graph.graph;
                let actions = search::actions(graph, search.tenant, subject, resource);
                self.shared().in_turn(search.tenant, actions).await
            }
        }
    }

    async fn page(
        &self,
        search: Search<'_>,
        candidates: Candidates,
        whole: bool,
        question: impl Fn(&str) -> Question,
    ) -> Result<Page, CheckError> {
        let Candidates { revision, found } = candidates;
        let left = found.len() >= MAX_EXAMINED;
        let named: Vec<(u64, &str)> =
            found.iter().filter_map(|candidate| named(search.tenant, candidate)).collect();
        let questions = named.iter().map(|(_, id)| question(id)).collect();
        let sifted = self.sift(search, questions).await?;
        let all = sifted.examined == named.len();
        let end = match sifted.examined.checked_sub(1) {
            _ if all => found.last().map(|last| last.node),
            Some(last) => Some(named[last].0),
            None => None,
        };
        let next = (left || !all)
            .then(|| Position::Node { node: end.unwrap_or(node(search.after)), whole });
        let results = sifted.allowed.into_iter().map(|at| named[at].1.to_owned()).collect();
        Ok(Page { results, next, revision: revision.min(sifted.revision) })
    }
}

impl<G: Graph> Checker<G> {
    /// Asks in order until there are enough.
    async fn sift(
        &self,
        search: Search<'_>,
        questions: Vec<Question>,
    ) -> Result<Sifted, CheckError> {
        // An identity token is waited for once.
        let need = self.need(search.tenant, search.at_least).await?;
        let mut sifted = Sifted { allowed: Vec::new(), examined: 0, revision: Revision(u64::MAX) };
        if search.limit == 0 {
            return Ok(sifted);
        }
        let ask = async |question: Question| {
            self.check(&question, search.given, AtLeast::Revision(need)).await
        };
        let mut answers = futures::stream::iter(questions).map(ask).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let answer = answer?;
            if answer.allowed {
                sifted.allowed.push(sifted.examined);
            }
            sifted.examined += 1;
            sifted.revision = sifted.revision.min(answer.revision);
            if sifted.allowed.len() >= search.limit {
                break;
            }
        }
        Ok(sifted)
    }
}

fn node(position: &Position) -> u64 {
    match position {
        Position::Node { node, .. } => *node,
        Position::Start | Position::Name(_) => 0,
    }
}

/// A candidate's place and id; everyone of a type is no candidate.
fn named<'a>(tenant: &TenantId, candidate: &'a Candidate) -> Option<(u64, &'a str)> {
    let (_, _, id) = candidate.key.parts(tenant)?;
    (id != crate::model::key::EVERYONE).then_some((candidate.node, id))
}
