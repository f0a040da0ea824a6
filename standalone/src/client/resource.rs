//! `triad resource …`

use serde_json::{Map, Value, json};

use super::api::{Call, List, Pages, Service};
use super::args::{Paging, Since};
use super::context::Context;
use super::entity::{Entity, shown};
use super::error::ClientError;
use super::input;
use super::relationship;
use super::shape::{Cell, Column, Shape};

/// Resources: attributes that conditions read, and parents that pass roles on.
#[derive(Debug, clap::Subcommand)]
pub enum ResourceCommand {
    /// List the resources of a type
    #[command(visible_alias = "ls")]
    List {
        /// The type, as document
        #[arg(value_name = "TYPE")]
        of: String,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        since: Since,
    },
    /// Show a resource and its parents
    Get {
        /// TYPE:ID
        resource: Entity,
    },
    /// Set the attributes of a resource, or put it below others
    Put {
        /// TYPE:ID
        resource: Entity,
        /// All of its attributes from now on
        #[arg(long, value_name = "JSON", value_parser = input::object)]
        attributes: Option<Map<String, Value>>,
        /// Put it below this one, too; it stays below those that it is below
        #[arg(long, value_name = "TYPE:ID")]
        parent: Vec<Entity>,
        #[command(flatten)]
        since: Since,
    },
    /// Delete a resource with what binds it
    Delete {
        /// TYPE:ID
        resource: Entity,
    },
}

const RESOURCES: Shape = Shape { columns: &[Column::id("ID", "id")], id: Cell::At("id") };

pub(crate) async fn run(ctx: &mut Context, command: ResourceCommand) -> Result<(), ClientError> {
    use ResourceCommand as C;
    let tenant = ctx.tenant()?.to_owned();
    let call = |make: fn(Service, &[&str]) -> Call, resource: &Entity| {
        let call = make(Service::Authz, &["resources", &resource.type_, &resource.id]);
        call.of(&tenant).about(format!("resource {resource}"))
    };
    match command {
        C::List { of, paging, since } => {
            let call = Call::get(Service::Authz, &["resources", &of]).of(&tenant);
            let call = call.at_least(since.consistency_token.as_deref())?;
            ctx.list((call, List::graph("resources")), &paging, &RESOURCES).await
        }
        C::Get { resource } => {
            let mut answer = ctx.api.send(&call(Call::get, &resource)).await?;
            answer.body["id"] = resource.to_string().into();
            answer.body["parents"] = parents(ctx, &tenant, &resource).await?.into();
            ctx.out.show(&answer.body, &RESOURCES)
        }
        C::Put { resource, attributes, parent, since } => {
            if attributes.is_none() && parent.is_empty() {
                let nothing = "nothing to set was given: --attributes or --parent".to_owned();
                return Err(ClientError::Usage(nothing));
            }
            let sentence = format!("resource {resource} is as given");
            let last = attributes.map(|attributes| {
                call(Call::put, &resource).json(json!({"attributes": attributes}))
            });
            let writes: Vec<_> = parent.iter().map(|parent| below(&resource, parent)).collect();
            if writes.is_empty() {
                return match last {
                    Some(call) => ctx.write_graph(&call, &sentence).await,
                    None => Ok(()),
                };
            }
            if let Some(call) = last {
                ctx.api.send(&call).await?;
            }
            ctx.write_graph(&relationship::write(&tenant, &writes, &since)?, &sentence).await
        }
        C::Delete { resource } => {
            let sentence = format!("resource {resource} deleted");
            ctx.write_graph(&call(Call::delete, &resource), &sentence).await
        }
    }
}

fn below(resource: &Entity, parent: &Entity) -> Value {
    let relationship =
        json!({"relation": "parent", "resource": resource.json(), "parent": parent.json()});
    json!({"op": "touch", "relationship": relationship})
}

async fn parents(
    ctx: &Context,
    tenant: &str,
    resource: &Entity,
) -> Result<Vec<String>, ClientError> {
    let call = Call::get(Service::Authz, &["relationships"]).of(tenant);
    let call = call.query("kind", Some("parent")).query("resource", Some(resource));
    let mut pages = Pages::new(&ctx.api, call, List::graph("relationships"), Paging::ALL.limit());
    let mut parents = Vec::new();
    while let Some(page) = pages.next().await? {
        parents.extend(page.iter().filter_map(|one| one.get("parent").map(shown)));
    }
    Ok(parents)
}
