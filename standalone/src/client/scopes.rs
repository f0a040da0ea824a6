//! What users and service accounts may ask tokens for.

use contracts::Scope;
use serde_json::json;

use super::api::{Answer, Call, Service};
use super::args::Write;
use super::context::Context;
use super::error::ClientError;
use super::shape::{Cell, Shape};

/// What is changed; without any of it, what is so is shown.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Exactly these from now on; an empty text is none
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    #[arg(conflicts_with_all = ["add", "remove"])]
    set: Option<Vec<String>>,
    /// These too
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    add: Vec<String>,
    /// Not these any more
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    remove: Vec<String>,
}

/// A scope by its name, for clap; empty text passes, as it is no scope in a list.
///
/// # Errors
/// All that there are.
pub(crate) fn scope(text: &str) -> Result<String, String> {
    if text.is_empty() || Scope::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    let all: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    Err(format!("is none of {}", all.join(", ")))
}

const SHAPE: Shape = Shape { columns: &[], id: Cell::At("scopes") };

impl Change {
    /// What there are then; `None` when nothing is to be changed.
    fn of(&self, now: &[String]) -> Option<Vec<String>> {
        let next: Vec<String> = match &self.set {
            Some(set) => set.clone(),
            None if self.add.is_empty() && self.remove.is_empty() => return None,
            None => {
                let kept = now.iter().chain(&self.add);
                kept.filter(|scope| !self.remove.contains(scope)).cloned().collect()
            }
        };
        let mut next: Vec<_> = next.into_iter().filter(|scope| !scope.is_empty()).collect();
        next.sort();
        next.dedup();
        Some(next)
    }
}

/// Shows or changes the scopes at a path.
pub(crate) async fn run(
    ctx: &mut Context,
    path: &[&str],
    change: &Change,
    write: &Write,
) -> Result<(), ClientError> {
    let about = path.join(" ");
    let tenant = ctx.tenant()?;
    let call = Call::get(Service::Identity, path).of(tenant).about(about.clone());
    let Answer { body, .. } = ctx.api.send(&call).await?;
    let listed = body.get("scopes").and_then(|scopes| scopes.as_array());
    let now: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(|scope| scope.as_str().map(str::to_owned))
        .collect();
    let Some(next) = change.of(&now) else { return ctx.out.show(&body, &SHAPE) };
    let call = Call::put(Service::Identity, path).of(tenant).about(about);
    let call = call.json(json!({"scopes": next})).condition(&write.condition())?;
    let answer = ctx.api.send(&call).await?;
    ctx.out.show(&answer.body, &SHAPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_set_added_and_removed() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let now = texts(&["audit:read", "authz:check"]);
        let change = |set: Option<&[&str]>, add: &[&str], remove: &[&str]| {
            Change { set: set.map(texts), add: texts(add), remove: texts(remove) }.of(&now)
        };
        assert_eq!(change(None, &[], &[]), None);
        assert_eq!(change(Some(&[""]), &[], &[]), Some(vec![]));
        assert_eq!(change(Some(&["authz:write"]), &[], &[]), Some(texts(&["authz:write"])));
        let both = change(None, &["authz:write", "audit:read"], &["authz:check"]);
        assert_eq!(both, Some(texts(&["audit:read", "authz:write"])));
    }
}
