//! `evaluation` and `evaluations`.

use axum::response::Response;
use contracts::Revision;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use serde::Serialize;
use serde_json::value::RawValue;

use super::form::{Asked, Batch, Semantic, Tuple};
use super::{Call, Refusal, message};
use crate::check::{AtLeast, CheckError, Given};
use crate::http::problem;
use crate::model::Invalid;
use crate::model::key::check_id;

/// The most evaluations of one request.
const MAX_EVALUATIONS: usize = 1000;
/// Evaluations that are worked on at once.
const AT_ONCE: usize = 32;

/// A decision.
#[derive(Debug, Serialize)]
struct Decision {
    decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

#[derive(Debug, Serialize)]
struct Context {
    error: Failure,
}

/// Why an evaluation has no answer.
#[derive(Debug, Serialize)]
struct Failure {
    status: u16,
    message: String,
}

impl Decision {
    fn of(decision: bool) -> Self {
        Self { decision, context: None }
    }

    /// Whatever is wrong with one evaluation is said in its place. That the graph is away, or that a limit
    /// was reached, is no property of one, and must not be read as a denial.
    fn failed(error: CheckError) -> Result<Self, Refusal> {
        let CheckError::Invalid(_) = &error else { return Err(error.into()) };
        let problem = problem(&error);
        let error = Failure { status: problem.status.as_u16(), message: message(&problem) };
        Ok(Self { decision: false, context: Some(Context { error }) })
    }
}

#[derive(Debug, Serialize)]
struct Decisions {
    evaluations: Vec<Decision>,
}

/// `POST …/evaluation`.
pub(super) async fn evaluation(call: Call) -> Result<Response, Refusal> {
    let tuple: Tuple<'_> = call.read()?;
    single(&call, tuple).await
}

/// `POST …/evaluations`.
pub(super) async fn evaluations(call: Call) -> Result<Response, Refusal> {
    let mut batch: Batch<'_> = call.read()?;
    let defaults = batch.take_defaults();
    let items = batch.evaluations.take().unwrap_or_default();
    if items.is_empty() {
        return single(&call, defaults).await;
    }
    if items.len() > MAX_EVALUATIONS {
        let rule = format!("at most {MAX_EVALUATIONS} in one request");
        return Err(Invalid::new("evaluations", rule).into());
    }
    // They are copied for every evaluation: what is too large for one is not copied a thousand times.
    defaults.clone().take_given().check()?;
    call.take(items.len())?;
    let semantic = batch.options.and_then(|options| options.evaluations_semantic);
    let semantic = semantic.unwrap_or_default();
    let (decisions, revision) = several(&call, &defaults, items, semantic).await?;
    Ok(call.answer(&Decisions { evaluations: decisions }, revision))
}

async fn single(call: &Call, tuple: Tuple<'_>) -> Result<Response, Refusal> {
    call.take(1)?;
    let asked = tuple.complete()?;
    let (decision, revision) = decide(call, call.at_least, &asked).await?;
    call.audit(&asked, (decision, revision));
    Ok(call.answer(&Decision::of(decision), revision))
}

/// The decisions in order, up to where the semantic ends them, and their oldest revision.
///
/// Later ones may be worked on before an earlier one ends the batch: they leave nothing but cached views,
/// and only what is answered is audited.
async fn several<'a>(
    call: &Call,
    defaults: &Tuple<'a>,
    items: Vec<&'a RawValue>,
    semantic: Semantic,
) -> Result<(Vec<Decision>, Revision), Refusal> {
    // An identity token is waited for once.
    let need = AtLeast::Revision(call.api.checker.need(&call.tenant, call.at_least).await?);
    let mut items = items.into_iter();
    let mut answers = FuturesOrdered::new();
    for item in items.by_ref().take(AT_ONCE) {
        answers.push_back(ask(call, need, defaults, item));
    }
    let (mut decisions, mut answered, mut oldest) = (Vec::new(), Vec::new(), None::<Revision>);
    while let Some(answer) = answers.next().await {
        if let Some(item) = items.next() {
            answers.push_back(ask(call, need, defaults, item));
        }
        let decision = match answer {
            Ok((asked, (decision, revision))) => {
                oldest = Some(oldest.map_or(revision, |oldest| oldest.min(revision)));
                answered.push((asked, (decision, revision)));
                Decision::of(decision)
            }
            Err(error) => Decision::failed(error)?,
        };
        let ends = semantic.ends_with(decision.decision);
        decisions.push(decision);
        if ends {
            break;
        }
    }
    answered.iter().for_each(|(asked, decided)| call.audit(asked, *decided));
    Ok((decisions, oldest.unwrap_or_else(|| call.watermark())))
}

/// One evaluation, with what it lacks from `defaults`.
async fn ask<'a>(
    call: &Call,
    need: AtLeast,
    defaults: &Tuple<'a>,
    item: &'a RawValue,
) -> Result<(Asked<'a>, (bool, Revision)), CheckError> {
    let own: Tuple<'_> = serde_json::from_str(item.get())
        .map_err(|error| CheckError::Invalid(Invalid::new("evaluations", error)))?;
    let mut asked = own.or(defaults).complete()?;
    let decided = decide(call, need, &asked).await?;
    // The copies of what is given do not wait for the rest of the batch.
    asked.given = Given::default();
    Ok((asked, decided))
}

/// One decision, and what is in it at least.
async fn decide(
    call: &Call,
    at_least: AtLeast,
    asked: &Asked<'_>,
) -> Result<(bool, Revision), CheckError> {
    let (checker, tenant) = (&call.api.checker, &call.tenant);
    let Some(words) = asked.words(tenant) else {
        check_id("subject.type", &asked.subject_type)?;
        check_id("subject.id", &asked.subject)?;
        return Ok((false, call.watermark()));
    };
    let answer = checker.ask(&words, &asked.given, at_least).await?;
    Ok((answer.allowed, answer.revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphError;

    #[test]
    fn only_what_is_wrong_with_an_evaluation_is_said_in_its_place() {
        let invalid = CheckError::Invalid(Invalid::new("subject.id", "is empty"));
        assert!(!Decision::failed(invalid).unwrap().decision);
        for other in [
            CheckError::Graph(GraphError::Limit("too many".to_owned())),
            CheckError::Graph(GraphError::Unavailable("away".to_owned())),
            CheckError::Graph(GraphError::Contended),
            CheckError::Busy,
            CheckError::Behind("behind".to_owned()),
            CheckError::Lag("lag".to_owned()),
        ] {
            assert!(Decision::failed(other.clone()).is_err(), "{other:?}");
        }
    }
}
