//! `triad explain`: why a check is decided as it is, first in a sentence and then path by path.

use serde_json::Value;

use super::context::Context;
use super::entity::shown;
use super::error::ClientError;
use super::global::Format;
use super::output::{Mood, Output, member};
use super::question::QuestionArgs;
use super::text::{cell, plain};

/// What is explained.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    question: QuestionArgs,
    /// Answer from a state that holds the write which gave out this token
    #[arg(long, visible_alias = "consistency-token", value_name = "TOKEN")]
    at_least: Option<String>,
}

pub(crate) async fn run(ctx: &mut Context, args: ExplainArgs) -> Result<(), ClientError> {
    let call = args.question.call("explain", ctx.tenant()?, args.at_least.as_deref());
    let answer = ctx.api.send(&call).await?;
    match ctx.out.format {
        Format::Table => {
            let text = text(&ctx.out, &answer.body);
            text.iter().try_for_each(|line| ctx.out.line(line))
        }
        Format::Id => ctx.out.line(&member(&answer.body, "reason")),
        Format::Json | Format::Jsonl => ctx.out.json(&answer.body),
    }
}

/// The lines that people read.
fn text(out: &Output, explained: &Value) -> Vec<String> {
    let is_allowed = explained.get("decision").and_then(Value::as_bool) == Some(true);
    let (word, mood) = if is_allowed { ("allowed", Mood::Good) } else { ("denied", Mood::Bad) };
    let mut lines = vec![format!("{}: {}", out.tint(word, mood), member(explained, "summary"))];
    let paths = list(explained, "paths");
    for (at, path) in paths.iter().enumerate() {
        let (fork, stem) =
            if at + 1 == paths.len() { ("└─", "  ") } else { ("├─", "│ ") };
        let outcome = member(path, "outcome");
        let mood = if outcome == "granted" { Mood::Good } else { Mood::Doubtful };
        let outcome = out.tint(&outcome.replace('_', " "), mood);
        lines.push(format!("{fork} {outcome}: {}", member(path, "because")));
        lines.extend(steps(path).into_iter().map(|step| format!("{stem}   {}", plain(&step))));
    }
    let others: Vec<_> = list(explained, "roles_without_action").iter().map(cell).collect();
    if !others.is_empty() {
        lines.push(format!("roles without the action: {}", others.join(", ")));
    }
    for cycle in list(explained, "cycles") {
        let members: Vec<_> = list(cycle, "members").iter().map(|one| plain(&shown(one))).collect();
        lines.push(format!(
            "a ring of {} (harmless): {}",
            member(cycle, "of"),
            members.join(" → ")
        ));
    }
    if explained.get("truncated").and_then(Value::as_bool) == Some(true) {
        let shown = paths.len();
        let all = explained.pointer("/counts/paths").map(cell).unwrap_or_default();
        lines.push(format!("there is more than is said here; {shown} of {all} paths are shown"));
    }
    lines
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A path, step by step: who is in what, what that holds, how the resource is covered, what the role permits.
fn steps(path: &Value) -> Vec<String> {
    let (none, binding, permission) = (Value::Null, path.get("binding"), path.get("permission"));
    let (binding, permission) = (binding.unwrap_or(&none), permission.unwrap_or(&none));
    let through: Vec<_> = list(path, "through").iter().map(shown).collect();
    let mut steps = Vec::new();
    if through.len() > 1 {
        steps.push(through.join(" ∈ "));
    }
    let holder = through.last().map(String::as_str).unwrap_or_default();
    let until =
        binding.get("expires_at").map(|end| format!(" until {}", cell(end))).unwrap_or_default();
    let (role, place) = (member(binding, "role"), place(binding));
    steps.push(format!("{holder} holds {role} {place}{until}"));
    steps.extend(covered(binding));
    let when = permission.get("condition").map(condition).unwrap_or_default();
    steps.push(format!(
        "{role} permits {} {}{when}",
        member(permission, "action"),
        self::place(permission)
    ));
    steps.extend(covered(permission));
    steps
}

fn place(of: &Value) -> String {
    let Some(on) = of.get("on") else { return "everywhere".to_owned() };
    match (on.get("type"), on.get("id")) {
        (Some(type_), None) => format!("on every {}", cell(type_)),
        (Some(_), Some(_)) => format!("on {}", shown(on)),
        (None, _) => "on a resource that was deleted".to_owned(),
    }
}

fn covered(of: &Value) -> Option<String> {
    let covers: Vec<_> = list(of, "covers").iter().map(shown).collect();
    (covers.len() > 1).then(|| covers.join(" is below "))
}

fn condition(condition: &Value) -> String {
    let result = match condition.get("result").and_then(Value::as_bool) {
        Some(true) => "it holds".to_owned(),
        Some(false) => "it does not hold".to_owned(),
        None => match condition.get("error") {
            Some(error) => cell(error),
            None => "not evaluated".to_owned(),
        },
    };
    let missing = list(condition, "missing");
    let missing = match missing {
        [] => String::new(),
        _ => format!("; nobody says {}", missing.iter().map(cell).collect::<Vec<_>>().join(", ")),
    };
    format!(" if {} ({result}{missing})", member(condition, "text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_reads_as_a_tree() {
        let explained = json!({
            "decision": false, "reason": "condition_false", "summary": "user:u-1 may not write document:d-9: so",
            "paths": [
                {"outcome": "condition_false", "because": "the condition does not hold",
                 "through": [{"type": "user", "id": "u-1"}, {"type": "team", "id": "w\u{1b}"}],
                 "binding": {"role": "editor", "on": {"type": "folder", "id": "f-1"}, "expires_at": "2030-01-01T00:00:00Z",
                    "covers": [{"type": "document", "id": "d-9"}, {"type": "folder", "id": "f-1"}]},
                 "permission": {"action": "write", "on": {"type": "document"},
                    "condition": {"text": "a != b", "result": false, "missing": ["context.a"]}}},
                {"outcome": "binding_out_of_scope", "because": "elsewhere",
                 "through": [{"type": "user", "id": "u-1"}],
                 "binding": {"role": "owner", "on": {"deleted": true}}, "permission": {"action": "write"}}],
            "roles_without_action": ["reader"], "cycles": [{"of": "teams", "members": [{"type": "team", "id": "a"}]}],
            "counts": {"paths": 7}, "truncated": true});
        let out = Output::to(Some(Format::Table), Vec::new(), Vec::new());
        let expected = [
            "denied: user:u-1 may not write document:d-9: so",
            "├─ condition false: the condition does not hold",
            "│    user:u-1 ∈ team:w\\u{1b}",
            "│    team:w\\u{1b} holds editor on folder:f-1 until 2030-01-01T00:00:00Z",
            "│    document:d-9 is below folder:f-1",
            "│    editor permits write on every document if a != b (it does not hold; nobody says context.a)",
            "└─ binding out of scope: elsewhere",
            "     user:u-1 holds owner on a resource that was deleted",
            "     owner permits write everywhere",
            "roles without the action: reader",
            "a ring of teams (harmless): team:a",
            "there is more than is said here; 2 of 7 paths are shown",
        ];
        assert_eq!(text(&out, &explained), expected);
    }
}
