//! `triad check`: exit code 0 when it is allowed, 1 when it is denied.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::api::{Call, Service};
use super::context::Context;
use super::entity::shown;
use super::error::ClientError;
use super::exit::Exit;
use super::global::Format;
use super::input;
use super::output::{Mood, member};
use super::question::{QuestionArgs, read_line};
use super::shape::{Cell, Column, Shape};

/// Questions that are asked at once.
const BATCH: usize = 500;

/// What is checked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 allowed, 1 denied; of a batch, 1 when any is denied and 6 when any has no answer.
A line of a batch is as the API has it, or short:
  {\"subject\": \"user:u-1\", \"action\": \"read\", \"resource\": \"document:d-9\"}")]
pub struct CheckArgs {
    #[command(flatten)]
    question: Option<QuestionArgs>,
    /// Ask every line of a file of NDJSON instead; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "QuestionArgs")]
    batch: Option<PathBuf>,
    /// Answer from a state that holds the write which gave out this token
    #[arg(long, visible_alias = "consistency-token", value_name = "TOKEN")]
    at_least: Option<String>,
    /// Say nothing: the exit code is the answer
    #[arg(long, short)]
    quiet: bool,
}

const ANSWERS: Shape = Shape {
    columns: &[
        Column::at("ANSWER", "answer"),
        Column::at("SUBJECT", "subject"),
        Column::at("ACTION", "action"),
        Column::at("RESOURCE", "resource"),
        Column::at("ERROR", "error"),
    ],
    id: Cell::At("answer"),
};

fn word(decision: bool) -> &'static str {
    if decision { "allowed" } else { "denied" }
}

pub(crate) async fn run(ctx: &mut Context, args: CheckArgs) -> Result<Exit, ClientError> {
    let token = args.at_least.as_deref();
    match (&args.question, &args.batch) {
        (Some(question), _) => one(ctx, question, token, args.quiet).await,
        (None, Some(file)) => batch(ctx, file, token, args.quiet).await,
        (None, None) => {
            let usage =
                "what is to be checked? `triad check SUBJECT ACTION RESOURCE`, or --batch FILE";
            Err(ClientError::Usage(usage.to_owned()))
        }
    }
}

async fn one(
    ctx: &mut Context,
    question: &QuestionArgs,
    at_least: Option<&str>,
    is_quiet: bool,
) -> Result<Exit, ClientError> {
    let answer = ctx.api.send(&question.call("check", ctx.tenant()?, at_least)).await?;
    let decision = answer.body.get("decision").and_then(Value::as_bool);
    let decision = decision.ok_or_else(|| answer.malformed("it has no decision"))?;
    let written = match ctx.out.format {
        _ if is_quiet => Ok(()),
        Format::Json | Format::Jsonl => ctx.out.json(&answer.body),
        Format::Table | Format::Id => {
            let mood = if decision { Mood::Good } else { Mood::Bad };
            let line = ctx.out.tint(word(decision), mood);
            ctx.out.line(&line)
        }
    };
    match written {
        // The answer is the exit code, whoever reads the words.
        Ok(()) | Err(ClientError::Closed) => Ok(if decision { Exit::Ok } else { Exit::Denied }),
        Err(error) => Err(error),
    }
}

async fn batch(
    ctx: &mut Context,
    file: &Path,
    at_least: Option<&str>,
    is_quiet: bool,
) -> Result<Exit, ClientError> {
    let lines = input::lines(input::open(file)?);
    let mut lines = lines.map(|line| line.and_then(|(number, line)| read_line(number, line)));
    let mut worst = Exit::Ok;
    let tenant = ctx.settings.tenant()?;
    let mut listing = ctx.out.listing(&ANSWERS);
    loop {
        let checks = lines.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
        if checks.is_empty() {
            break;
        }
        let mut body = json!({"checks": checks});
        if let Some(token) = at_least {
            body["at_least"] = token.into();
        }
        let call = Call::post(Service::Authz, &["check", "batch"]).of(tenant).about("the batch");
        let mut answer = ctx.api.send(&call.json(body)).await?;
        let results = answer.list("results")?;
        if results.len() != checks.len() {
            return Err(answer.malformed("it does not answer each check"));
        }
        for (check, result) in checks.iter().zip(&results) {
            worst = worse(worst, result);
            if !is_quiet {
                listing.push(&answered(check, result))?;
            }
        }
    }
    if !is_quiet {
        listing.finish(None)?;
    }
    Ok(worst)
}

fn worse(worst: Exit, result: &Value) -> Exit {
    match result.get("decision").and_then(Value::as_bool) {
        None => Exit::Refused,
        Some(false) if worst == Exit::Ok => Exit::Denied,
        Some(_) => worst,
    }
}

/// A question with its answer.
fn answered(check: &Value, result: &Value) -> Value {
    let part = |name: &str| check.get(name).map(shown).unwrap_or_default();
    let action = check.get("action").map(|action| member(action, "name")).unwrap_or_default();
    let mut line =
        json!({"subject": part("subject"), "action": action, "resource": part("resource")});
    match result.get("decision").and_then(Value::as_bool) {
        Some(decision) => {
            line["answer"] = word(decision).into();
            line["decision"] = decision.into();
        }
        None => {
            line["answer"] = "unanswered".into();
            line["error"] = result.get("error").cloned().unwrap_or_default();
        }
    }
    line
}
