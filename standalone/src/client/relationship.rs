//! `triad grant`, `triad revoke` and `triad relationships …`: what binds subjects, roles and resources.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::api::{Call, List, Service};
use super::args::{Paging, Since};
use super::context::Context;
use super::entity::{self, Entity, Place, shown};
use super::error::ClientError;
use super::input;
use super::output::member;
use super::shape::{Cell, Column, Shape};
use super::time::{Toward, rfc3339};

/// Writes of one list, at most.
const MAX_WRITES: usize = 1000;

/// Who holds which role, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Binding {
    /// user:ID, service_account:ID, team:ID; the id `*` is everyone of the type
    #[arg(value_parser = entity::subject)]
    subject: Entity,
    /// The role's id
    role: String,
    /// Only on this and what is below it: TYPE or TYPE:ID
    #[arg(long, value_name = "PLACE")]
    on: Option<Place>,
}

/// What is granted.
#[derive(Debug, clap::Args)]
pub struct GrantArgs {
    #[command(flatten)]
    binding: Binding,
    /// Until then: a time, or a length of time from now
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Fail when it is granted already
    #[arg(long)]
    only_new: bool,
    #[command(flatten)]
    since: Since,
}

/// What is revoked.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    binding: Binding,
    #[command(flatten)]
    since: Since,
}

/// Memberships, bindings and parents.
#[derive(Debug, clap::Subcommand)]
pub enum RelationshipsCommand {
    /// List relationships
    #[command(visible_alias = "ls")]
    List(Box<Filter>),
    /// Write relationships: all lines of a file or none
    #[command(after_help = "\
A line is {\"op\": \"touch\" | \"create\" | \"delete\", \"relationship\": {…}}, or a relationship as `list -o jsonl`
writes it, which is touched.")]
    Write {
        /// NDJSON of at most 1000 lines; `-`, or no file, is stdin
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        since: Since,
    },
}

/// Which relationships.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only these; else what the others imply
    #[arg(long, value_parser = ["member_of", "has_role", "parent"])]
    kind: Option<String>,
    /// The member, or who holds a role
    #[arg(long, value_parser = entity::subject)]
    subject: Option<Entity>,
    /// The team of a membership, by id
    #[arg(long)]
    team: Option<String>,
    /// The role that is held, by id
    #[arg(long)]
    role: Option<String>,
    /// On which a role is held, or what is below a parent
    #[arg(long, value_name = "TYPE:ID")]
    resource: Option<Entity>,
    /// The parent
    #[arg(long, value_name = "TYPE:ID")]
    parent: Option<Entity>,
    /// The type of what is below parents
    #[arg(long, value_name = "TYPE")]
    resource_type: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    since: Since,
}

const RELATIONSHIPS: Shape = Shape {
    columns: &[
        Column::of("WHO OR WHAT", |one| {
            one.get("subject").or_else(|| one.get("resource")).map(shown).unwrap_or_default()
        }),
        Column::at("RELATION", "relation"),
        Column::of("TO", |one| match one.get("parent") {
            Some(parent) => shown(parent),
            None => format!("{}{}", member(one, "team"), member(one, "role")),
        }),
        Column::of("ON", |one| one.get("on").map(shown).unwrap_or_default()),
        Column::at("EXPIRES", "expires_at"),
        Column::of("", |one| if one.get("expired").is_some() { "expired" } else { "" }.to_owned()),
    ],
    id: Cell::Of(Value::to_string),
};

impl Binding {
    fn json(&self, expires_at: Option<Value>) -> Value {
        let mut relationship = Map::from_iter([
            ("relation".to_owned(), "has_role".into()),
            ("subject".to_owned(), self.subject.json()),
            ("role".to_owned(), self.role.as_str().into()),
        ]);
        relationship.extend(self.on.as_ref().map(|on| ("on".to_owned(), on.json())));
        relationship.extend(expires_at.map(|end| ("expires_at".to_owned(), end)));
        relationship.into()
    }

    fn sentence(&self, verb: &str) -> String {
        let on = self
            .on
            .as_ref()
            .map_or_else(|| "everywhere".to_owned(), |on| format!("on {}", shown(&on.json())));
        format!("{} {verb} {} {on}", self.subject, self.role)
    }
}

/// A list of writes, done together or not at all.
pub(crate) fn write(tenant: &str, writes: &[Value], since: &Since) -> Result<Call, ClientError> {
    let call = Call::post(Service::Authz, &["relationships"]).of(tenant);
    call.json(json!({"writes": writes})).at_least(since.consistency_token.as_deref())
}

pub(crate) async fn grant(ctx: &mut Context, args: GrantArgs) -> Result<(), ClientError> {
    let GrantArgs { binding, expires, only_new, since } = args;
    let end = ctx.time("--expires", expires.as_deref(), Toward::Future)?;
    let op = if only_new { "create" } else { "touch" };
    let relationship = binding.json(end.map(|end| rfc3339(end).into()));
    let call = write(ctx.tenant()?, &[json!({"op": op, "relationship": relationship})], &since)?;
    let until = end.map_or_else(String::new, |end| format!(" until {}", rfc3339(end)));
    ctx.write_graph(&call, &format!("{}{until}", binding.sentence("holds"))).await
}

pub(crate) async fn revoke(ctx: &mut Context, args: RevokeArgs) -> Result<(), ClientError> {
    let RevokeArgs { binding, since } = args;
    let relationship = binding.json(None);
    let call =
        write(ctx.tenant()?, &[json!({"op": "delete", "relationship": relationship})], &since)?;
    ctx.write_graph(&call, &binding.sentence("no longer holds")).await
}

pub(crate) async fn run(
    ctx: &mut Context,
    command: RelationshipsCommand,
) -> Result<(), ClientError> {
    match command {
        RelationshipsCommand::List(filter) => {
            let call = Call::get(Service::Authz, &["relationships"]).of(ctx.tenant()?);
            let call = call
                .query("kind", filter.kind.as_deref())
                .query("subject", filter.subject.as_ref())
                .query("team", filter.team.as_deref())
                .query("role", filter.role.as_deref())
                .query("resource", filter.resource.as_ref())
                .query("parent", filter.parent.as_ref())
                .query("resource_type", filter.resource_type.as_deref())
                .at_least(filter.since.consistency_token.as_deref())?;
            ctx.list((call, List::graph("relationships")), &filter.paging, &RELATIONSHIPS).await
        }
        RelationshipsCommand::Write { file, since } => {
            let lines = input::lines(input::open_or_stdin(file.as_deref())?);
            let writes = lines.map(|line| line.map(|(_, value)| as_write(value)));
            // One more than may be is enough to refuse it.
            let writes = writes.take(MAX_WRITES + 1).collect::<Result<Vec<_>, _>>()?;
            if writes.is_empty() || writes.len() > MAX_WRITES {
                let rule = format!("a write has 1 to {MAX_WRITES} lines");
                return Err(ClientError::Input(rule));
            }
            let call = write(ctx.tenant()?, &writes, &since)?;
            ctx.write_graph(&call, &format!("{} relationships written", writes.len())).await
        }
    }
}

/// A line as a write; what a list says of a relationship beside its form is left out.
fn as_write(mut line: Value) -> Value {
    if line.get("op").is_some() {
        return line;
    }
    if let Some(members) = line.as_object_mut() {
        members.remove("expired");
    }
    json!({"op": "touch", "relationship": line})
}
