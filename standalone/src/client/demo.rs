//! `triad demo`: a small company, with people, nested teams, roles, documents and a week of audit events.
//!
//! All of it goes through the public API, as anybody's would. What it makes is the same each time but for the ids that
//! the services give, so a second run in another tenant can be compared with the first.

mod company;
mod week;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::api::{Answer, Call, Condition, Service};
use super::audit;
use super::context::Context;
use super::error::ClientError;
use company::{BINDINGS, DOCUMENTS, FOLDERS, PEOPLE, ROLES, TEAMS};

/// The tenant of the demo.
pub const DEFAULT: &str = "acme";

/// Where the demo goes.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// The tenant that is made
    #[arg(default_value = DEFAULT)]
    pub id: String,
}

pub(crate) async fn run(ctx: &mut Context, args: DemoArgs) -> Result<(), ClientError> {
    let made = load(ctx, &args.id).await?;
    ctx.out.line(&made)
}

/// Makes the company, and says what to ask of it.
async fn load(ctx: &mut Context, tenant: &str) -> Result<String, ClientError> {
    let demo = Demo { ctx, tenant };
    demo.make_tenant().await?;
    let (ids, token) = demo.make_people().await?;
    demo.make_graph(&ids, &token).await?;
    let events = demo.make_history(&ids).await?;
    let (ann, lea) = (&ids["ann"], &ids["lea"]);
    Ok(format!(
        "{tenant}: {people} people in {teams} teams, {roles} roles, {documents} documents, {events} audit events\n\n\
         Ask as a gateway would, and why:\n\n  \
         triad -t {tenant} check user:{ann} write document:roadmap\n  \
         triad -t {tenant} explain user:{lea} write document:roadmap\n  \
         triad -t {tenant} audit query --from -7d --action document.write\n  \
         triad -t {tenant} user list\n\n\
         ann and lea are who is asked about; `triad -t {tenant} team members platform` says where they are.",
        people = PEOPLE.len(),
        teams = TEAMS.len(),
        roles = ROLES.len(),
        documents = DOCUMENTS.len(),
    ))
}

struct Demo<'a> {
    ctx: &'a Context,
    tenant: &'a str,
}

impl Demo<'_> {
    async fn make_tenant(&self) -> Result<(), ClientError> {
        let body = json!({"id": self.tenant, "name": "Acme, makers of anvils",
            "administrator": {"email": format!("admin@{}.example", self.tenant)}});
        let call = Call::post(Service::Identity, &["v1", "tenants"]).json(body);
        let about = format!("tenant {}", self.tenant);
        self.ctx.api.send(&call.about(about).condition(&Condition::default())?).await.map(drop)
    }

    async fn identity(&self, call: Call) -> Result<Answer, ClientError> {
        self.ctx.api.send(&call.of(self.tenant).condition(&Condition::default())?).await
    }

    /// Ids by name, of people and of teams; and the token of the last write.
    async fn make_people(
        &self,
    ) -> Result<(HashMap<&'static str, String>, Option<String>), ClientError> {
        let (mut ids, mut token) = (HashMap::new(), None);
        for (name, display) in PEOPLE {
            let email = format!("{name}@{}.example", self.tenant);
            let body = json!({"email": email, "user_name": name, "display_name": display});
            let call = Call::post(Service::Identity, &["users"]).json(body);
            let answer = self.identity(call.about(format!("user {name}"))).await?;
            ids.insert(*name, id(&answer.body));
        }
        for (name, ..) in TEAMS {
            let call = Call::post(Service::Identity, &["teams"]).json(json!({"name": name}));
            let answer = self.identity(call.about(format!("team {name}"))).await?;
            ids.insert(*name, id(&answer.body));
        }
        for (team, above, people) in TEAMS {
            let below = above.iter().map(|above| (*above, "team", *team));
            let members = people.iter().map(|person| (*team, "user", *person));
            for (team, kind, member) in below.chain(members) {
                let path = ["teams", &ids[team], "members", kind, &ids[member]];
                let call = Call::put(Service::Identity, &path);
                let about = format!("{member} in team {team}");
                token = self.identity(call.about(about)).await?.token.or(token);
            }
        }
        Ok((ids, token))
    }

    async fn make_graph(
        &self,
        ids: &HashMap<&'static str, String>,
        token: &Option<String>,
    ) -> Result<(), ClientError> {
        for (role, permissions) in ROLES {
            let permissions: Value = serde_json::from_str(permissions).unwrap_or_default();
            let call = Call::put(Service::Authz, &["roles", role]).of(self.tenant);
            let call = call.json(json!({"name": role, "permissions": permissions}));
            self.ctx.api.send(&call.about(format!("role {role}"))).await?;
        }
        for (document, _, status, owner) in DOCUMENTS {
            let call = Call::put(Service::Authz, &["resources", "document", document]);
            let owner = ids.get(owner).map_or(*owner, String::as_str);
            let body = json!({"attributes": {"status": status, "owner": owner}});
            self.ctx.api.send(&call.of(self.tenant).json(body)).await?;
        }
        let parent = |child: Value, parent: &str| {
            json!({"op": "touch", "relationship":
            {"relation": "parent", "resource": child, "parent": {"type": "folder", "id": parent}}})
        };
        let folder = |id: &str| json!({"type": "folder", "id": id});
        let folders = FOLDERS.iter().map(|(id, above)| parent(folder(id), above));
        let documents = DOCUMENTS
            .iter()
            .map(|(id, above, ..)| parent(json!({"type": "document", "id": id}), above));
        let bindings = BINDINGS.iter().map(|(kind, who, role, on)| {
            let subject = json!({"type": kind, "id": ids.get(who).map_or(*who, String::as_str)});
            let mut relationship =
                json!({"relation": "has_role", "subject": subject, "role": role});
            if !on.is_empty() {
                relationship["on"] = folder(on);
            }
            json!({"op": "touch", "relationship": relationship})
        });
        let writes: Vec<_> = folders.chain(documents).chain(bindings).collect();
        let call = Call::post(Service::Authz, &["relationships"]).of(self.tenant);
        let call = call.json(json!({"writes": writes})).about("what binds people and documents");
        self.ctx.api.send(&call.at_least(token.as_deref())?).await.map(drop)
    }

    /// How many were sent.
    async fn make_history(
        &self,
        ids: &HashMap<&'static str, String>,
    ) -> Result<usize, ClientError> {
        let events = week::events(self.ctx.api.clock.now(), ids);
        let count = events.len();
        let lines = events.into_iter().enumerate().map(|(at, event)| Ok((at + 1, event)));
        audit::send_all(&self.ctx.api, self.tenant, lines, |_| Ok(())).await?;
        Ok(count)
    }
}

fn id(body: &Value) -> String {
    body.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}
