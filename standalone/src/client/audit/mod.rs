//! `triad audit …`: did they do what?

mod export;
mod filter;
mod send;
mod tail;

pub(crate) use send::send_all;

use serde_json::Value;

use super::api::{Call, List, Service};
use super::args::Paging;
use super::context::Context;
use super::error::ClientError;
use super::output::member;
use super::shape::{Cell, Column, Shape};
use filter::{Filter, Order, Range};

/// The audit trail.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Find events of a time range, newest first; the last 24 hours unless it is said
    Query(Box<QueryArgs>),
    /// Show events as they come, until ^C
    Tail(Box<tail::TailArgs>),
    /// Write events of a time range to a file
    Export(Box<export::ExportArgs>),
    /// Send events: one from options, or NDJSON from a file or stdin
    Send(Box<send::SendArgs>),
    /// Show an event
    Get {
        /// Its event_id
        id: String,
    },
}

/// Which events.
#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    filter: Filter,
    /// Which come first
    #[arg(long, default_value = "newest")]
    order: Order,
    #[command(flatten)]
    paging: Paging,
}

const EVENTS: Shape = Shape {
    columns: &[
        Column::id("TIME", "event_time"),
        Column::at("STATUS", "status"),
        Column::of("ACTOR", |event| pair(event, "actor_type", "actor_id")),
        Column::at("ACTION", "action"),
        Column::of("RESOURCE", |event| pair(event, "resource_type", "resource_id")),
        Column::at("SOURCE", "source_ip").extra(),
        Column::id("EVENT ID", "event_id").extra(),
    ],
    id: Cell::At("event_id"),
};

/// Type and id, of which each may be absent.
fn pair(event: &Value, type_: &str, id: &str) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    match (text(type_), text(id)) {
        (Some(type_), Some(id)) => format!("{type_}:{id}"),
        (type_, id) => type_.or(id).unwrap_or_default().to_owned(),
    }
}

fn events(ctx: &Context, rest: &[&str]) -> Result<Call, ClientError> {
    let path = [&["audit"], rest].concat();
    let about = rest.first().map_or("the audit trail".to_owned(), |id| format!("event {id}"));
    Ok(Call::get(Service::Audit, &path).of(ctx.tenant()?).about(about))
}

pub(crate) async fn run(ctx: &mut Context, command: AuditCommand) -> Result<(), ClientError> {
    match command {
        AuditCommand::Query(args) => {
            let call = args.filter.apply(events(ctx, &[])?);
            let call = args.range.apply(ctx, call)?.query("order", Some(args.order));
            ctx.list((call, List::EVENTS), &args.paging, &EVENTS).await
        }
        AuditCommand::Get { id } => {
            let answer = ctx.api.send(&events(ctx, &[&id])?).await?;
            ctx.out.show(&answer.body, &EVENTS)
        }
        AuditCommand::Tail(args) => tail::run(ctx, &args).await,
        AuditCommand::Export(args) => export::run(ctx, &args).await,
        AuditCommand::Send(args) => send::run(ctx, *args).await,
    }
}

/// An event on a line of its own, as `tail` shows it.
fn line(event: &Value) -> String {
    let status = member(event, "status");
    let cells = [
        member(event, "event_time"),
        format!("{status:<7}"),
        super::text::plain(&pair(event, "actor_type", "actor_id")),
        member(event, "action"),
        super::text::plain(&pair(event, "resource_type", "resource_id")),
        member(event, "source_ip"),
    ];
    cells
        .into_iter()
        .filter(|cell| !cell.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
        .trim_end()
        .to_owned()
}
